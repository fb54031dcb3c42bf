// Package audit writes decision records: one JSON line per decision, whole lines in
// each write, so that a line is never torn.
package audit

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The values of Record.Decision.
const (
	Allow = "allow"
	Deny  = "deny"
	// Reject is for requests that were never decided on, because they are
	// malformed or cannot be served; a denial is never among them.
	Reject = "reject"
)

// maxArguments bounds the arguments in a record, in bytes.
const maxArguments = 4096

// Record is one decision. Empty fields are left out.
type Record struct {
	Time      time.Time
	RequestID string
	TraceID   string
	// Caller is the token's sub.
	Caller string
	Issuer string
	// Actor is the sub of the token's act: who acts for the caller.
	Actor       string
	SessionName string
	Role        string
	Upstream    string
	HTTPMethod  string
	Method      string
	// Subjects are what the message is about: a tool's or prompt's name, a
	// resource's URI. A single one is written as "tool", several as "subjects".
	Subjects []string
	Decision string
	Reason   string
	// Failure says why a call that was allowed could not be served.
	Failure string
	// NotEnforced marks a denial that logOnly let pass.
	NotEnforced bool
	Policies    []string
	// Errors are policies whose evaluation failed.
	Errors            []string
	Status            int
	Duration          time.Duration
	UpstreamRequestID string
	// AWS is what a call's script does, nil for calls without one.
	AWS *AWS
	// Arguments is JSON; it is written only when the config asks for it.
	Arguments jsontext.Value
}

// AWS is what a script does to AWS.
type AWS struct {
	// Calls and Actions are as far as they are known; Reason says what is not.
	Calls    []string
	Actions  []string
	Complete bool
	Reason   string
	// Session is "script" for a session of its own, else "role"; empty where nothing
	// was sent. AccessKeyID is that of the credential.
	Session     string
	AccessKeyID string
	// Unseen are the calls that AWS says it made and that are not among Calls, and
	// Stopped those that the session policy stopped.
	Unseen  []string
	Stopped []string
}

// maxListed bounds each list of a script in a record.
const maxListed = 100

func (a *AWS) append(b []byte) []byte {
	b = strconv.AppendBool(append(b, `,"aws":{"complete":`...), a.Complete)
	b = appendField(b, "reason", a.Reason)
	for _, l := range [...]struct {
		name   string
		values []string
	}{{"calls", a.Calls}, {"actions", a.Actions}, {"unseen", a.Unseen}, {"stopped", a.Stopped}} {
		b = appendList(b, l.name, l.values[:min(len(l.values), maxListed)])
	}
	b = appendField(b, "session", a.Session)
	b = appendField(b, "accessKeyId", a.AccessKeyID)
	return append(b, '}')
}

func (r *Record) append(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time.UTC())
	b = append(b, '"')
	b = appendField(b, "requestId", r.RequestID)
	b = appendField(b, "traceId", r.TraceID)
	b = appendField(b, "caller", r.Caller)
	b = appendField(b, "issuer", r.Issuer)
	b = appendField(b, "actor", r.Actor)
	b = appendField(b, "sessionName", r.SessionName)
	b = appendField(b, "role", r.Role)
	b = appendField(b, "upstream", r.Upstream)
	b = appendField(b, "httpMethod", r.HTTPMethod)
	b = appendField(b, "method", r.Method)
	if len(r.Subjects) == 1 {
		b = appendField(b, "tool", r.Subjects[0])
	} else {
		b = appendList(b, "subjects", r.Subjects)
	}
	b = appendField(b, "decision", r.Decision)
	b = appendField(b, "reason", r.Reason)
	b = appendField(b, "failure", r.Failure)
	if r.NotEnforced {
		b = append(b, `,"enforced":false`...)
	}
	b = appendList(b, "policies", r.Policies)
	b = appendList(b, "errors", r.Errors)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"durationMs":`...)
	b = strconv.AppendFloat(b, float64(r.Duration.Microseconds())/1000, 'f', -1, 64)
	b = appendField(b, "upstreamRequestId", r.UpstreamRequestID)
	if r.AWS != nil {
		b = r.AWS.append(b)
	}
	b = r.appendArguments(b)
	return append(b, "}\n"...)
}

// appendTime writes RFC 3339 with microseconds; package time is quick for the layout without
// them alone.
func appendTime(b []byte, at time.Time) []byte {
	b = at.AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // in place of the Z
	micros := strconv.AppendInt(nil, int64(1_000_000+at.Nanosecond()/1000), 10)
	return append(append(b, micros[1:]...), 'Z')
}

// appendArguments writes JSON that is short enough as it is, compacted, and the
// beginning of a longer one as a string.
func (r *Record) appendArguments(b []byte) []byte {
	if len(r.Arguments) == 0 {
		return b
	}
	compact := r.Arguments.Clone()
	if compact.Compact() == nil && len(compact) <= maxArguments {
		return append(append(b, `,"arguments":`...), compact...)
	}
	b = append(b, `,"argumentsTruncated":`...)
	return appendQuoted(b, string(compact), maxArguments)
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendQuoted(b, value, maxField)
}

func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':', '[')
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, value, maxField)
	}
	return append(b, ']')
}

// maxField bounds every other string of a record: names come from callers.
const maxField = 1024

func appendQuoted(b []byte, value string, most int) []byte {
	if len(value) > most {
		value = value[:most]
		for !utf8.ValidString(value) && len(value) > most-utf8.UTFMax {
			value = value[:len(value)-1]
		}
	}
	quoted, err := jsontext.AppendQuote(b, value)
	if err != nil {
		return append(b, `"(not UTF-8)"`...)
	}
	return quoted
}
