package policylife

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/countersign-io/countersign/pkg/compile"
)

const (
	// maxQuestions bounds the different calls that are decided again.
	maxQuestions = 100_000
	// kept outcomes are of calls, by what decides on them.
	methodCall = "tools/call"
)

// Record is what is read of a decision record.
type Record struct {
	Time      time.Time      `json:"time"`
	RequestID string         `json:"requestId"`
	Caller    string         `json:"caller"`
	Role      string         `json:"role"`
	Upstream  string         `json:"upstream"`
	Method    string         `json:"method"`
	Tool      string         `json:"tool"`
	Decision  string         `json:"decision"`
	Enforced  *bool          `json:"enforced"`
	Failure   string         `json:"failure"`
	AWS       *RecordedAWS   `json:"aws"`
	Arguments jsontext.Value `json:"arguments"`
	Truncated string         `json:"argumentsTruncated"`
}

// RecordedAWS is what a script did.
type RecordedAWS struct {
	Complete bool     `json:"complete"`
	Actions  []string `json:"actions"`
}

// Callers have claims by the claim sub: decision records have no claims.
type Callers map[string]map[string]any

// ParseCallers reads a file of callers, YAML or JSON.
func ParseCallers(text []byte) (Callers, error) {
	document, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	callers := Callers{}
	if err := json.Unmarshal(document, &callers); err != nil {
		return nil, fmt.Errorf("not claims by caller: %w", err)
	}
	return callers, nil
}

// Shift is a call for which a new auth-config decides otherwise.
type Shift struct {
	Caller   string `json:"caller"`
	Tool     string `json:"tool"`
	Upstream string `json:"upstream"`
	// Before and After are allow or deny; RoleBefore and RoleAfter ARNs.
	Before     string `json:"before"`
	After      string `json:"after"`
	RoleBefore string `json:"roleBefore,omitempty"`
	RoleAfter  string `json:"roleAfter,omitempty"`
	// Reason is why After is so.
	Reason string `json:"reason"`
	// Calls counts the records; Example is the request id of one.
	Calls   int    `json:"calls"`
	Example string `json:"example"`
}

// Replay is what a new auth-config makes of old records.
type Replay struct {
	Gains []*Shift `json:"gains,omitempty"`
	Loses []*Shift `json:"loses,omitempty"`
	// Roles are calls that are allowed before and after, with another role.
	Roles []*Shift `json:"roles,omitempty"`
	// Same counts the records that are decided alike.
	Same int `json:"same"`
	// Unknown counts, by why, the records of which nobody can tell.
	Unknown map[string]int `json:"unknown,omitempty"`
}

// Changes reports whether somebody gains, loses, or gets another role.
func (r *Replay) Changes() bool { return len(r.Gains)+len(r.Loses)+len(r.Roles) > 0 }

// Replayer collects records and decides each different call once.
type Replayer struct {
	config  *compile.Compiled
	callers Callers
	calls   map[question]*Shift
	unknown map[string]int
}

type question struct{ caller, upstream, tool, arguments, before, role string }

// NewReplayer asks an auth-config; callers have the claims.
func NewReplayer(config *compile.Compiled, callers Callers) *Replayer {
	return &Replayer{config: config, callers: callers, calls: map[question]*Shift{}, unknown: map[string]int{}}
}

// Add takes a record.
func (r *Replayer) Add(line []byte) {
	var record Record
	if json.Unmarshal(line, &record) != nil || record.Method != methodCall || record.Tool == "" ||
		record.Caller == "" {
		return
	}
	if record.Decision != "allow" && record.Decision != "deny" {
		return
	}
	switch _, known := r.callers[record.Caller]; {
	case !known:
		r.unknown["the claims of "+record.Caller+" are not in the file of callers"]++
		return
	case record.Truncated != "":
		r.unknown["the arguments were too long for the record"]++
		return
	case record.AWS != nil && len(record.Arguments) == 0:
		r.unknown["the script is not in the record: set audit.includeArguments"]++
		return
	}
	before := record.Decision
	if before == "deny" && record.Enforced != nil && !*record.Enforced {
		before = "allow"
	}
	key := question{record.Caller, record.Upstream, record.Tool, string(record.Arguments), before, record.Role}
	shift := r.calls[key]
	if shift == nil {
		if len(r.calls) >= maxQuestions {
			r.unknown["there are too many different calls"]++
			return
		}
		shift = &Shift{
			Caller: record.Caller, Tool: record.Tool, Upstream: record.Upstream, Before: before, RoleBefore: record.Role,
			Example: record.RequestID,
		}
		r.calls[key] = shift
	}
	shift.Calls++
}

const unknownArguments = "the policies read arguments, and the record has none: set audit.includeArguments"

// Decide asks about all that was added.
func (r *Replayer) Decide(ctx context.Context) (*Replay, error) {
	replay := &Replay{Unknown: r.unknown}
	merged := map[question]*Shift{}
	for key, shift := range r.calls {
		answer, err := ask(ctx, r.config, &Case{
			Caller: key.caller, Claims: r.callers[key.caller], Upstream: key.upstream, Tool: key.tool,
			Arguments: jsontext.Value(key.arguments),
		})
		if err != nil {
			replay.Unknown[err.Error()] += shift.Calls
			continue
		}
		if key.arguments == "" && answer.Decision != nil && answer.Decision.ReadsInput {
			replay.Unknown[unknownArguments] += shift.Calls
			continue
		}
		shift.After, shift.RoleAfter, shift.Reason = decisionOf(answer), answer.Role, reasonOf(answer)
		if shift.Before == shift.After && (shift.After == "deny" || shift.RoleBefore == shift.RoleAfter) {
			replay.Same += shift.Calls
			continue
		}
		// Calls that differ in their arguments alone are one line.
		key.arguments = shift.After + shift.Reason + shift.RoleAfter
		if known := merged[key]; known != nil {
			known.Calls += shift.Calls
			continue
		}
		merged[key] = shift
	}
	for _, shift := range slices.SortedFunc(maps.Values(merged), compareShifts) {
		switch {
		case shift.Before == shift.After:
			replay.Roles = append(replay.Roles, shift)
		case shift.After == "allow":
			replay.Gains = append(replay.Gains, shift)
		default:
			replay.Loses = append(replay.Loses, shift)
		}
	}
	return replay, ctx.Err()
}

func compareShifts(a, b *Shift) int {
	return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Tool, b.Tool), cmp.Compare(a.Upstream, b.Upstream),
		cmp.Compare(a.Reason, b.Reason))
}
