package awsscript

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Report is what a person wants to know of a script.
type Report struct {
	Complete bool   `json:"complete"`
	Reason   string `json:"reason,omitempty"`
	Line     int    `json:"line,omitempty"`

	Calls    []string `json:"calls"`
	Actions  []string `json:"actions"`
	Services []string `json:"services"`
	Regions  []string `json:"regions"`
	Levels   []string `json:"levels"`
	ReadOnly bool     `json:"readOnly"`
	Secrets  bool     `json:"secrets"`
	// Unsigned are calls that no policy of IAM stops.
	Unsigned []string `json:"unsigned,omitempty"`

	// Session says which session the script is sent with, SessionPolicy is the inline
	// policy that STS is asked for, where there is one.
	Session       string         `json:"session,omitempty"`
	SessionPolicy jsontext.Value `json:"sessionPolicy,omitempty"`
}

// NewReport tells of a script's effects.
func NewReport(e *Effects) *Report {
	return &Report{
		Complete: e.Complete, Reason: e.Reason, Line: e.Line, Calls: orNone(e.Calls), Actions: orNone(e.Actions),
		Services: orNone(e.Services), Regions: orNone(e.Regions), Levels: orNone(e.Levels), ReadOnly: e.ReadOnly,
		Secrets: e.Secrets, Unsigned: e.Unsigned,
	}
}

// orNone makes an empty list of nil, which JSON would write as null.
func orNone(list []string) []string { return append([]string{}, list...) }

// orWord writes a list in one line.
func orWord(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Lines writes the report for people, name and text of each line.
func (r *Report) Lines(line func(name, text string)) {
	switch {
	case r.Complete:
		line("Script", "complete: it can make these calls and no others")
	case r.Line > 0:
		line("Script", fmt.Sprintf("NOT READABLE, line %d: %s", r.Line, r.Reason))
	default:
		line("Script", "NOT READABLE: "+r.Reason)
	}
	list := func(name string, values []string) {
		for i, value := range values {
			if i > 0 {
				name = ""
			}
			line(name, value)
		}
	}
	list("Calls", r.Calls)
	list("Actions", r.Actions)
	if len(r.Calls) == 0 {
		line("Calls", "none")
	}
	line("Regions", orWord(r.Regions))
	levels := orWord(r.Levels)
	if r.ReadOnly {
		levels += " (read-only)"
	}
	line("Levels", levels)
	if r.Secrets {
		line("Secrets", "an answer may hold a secret or a credential")
	}
	list("Unsigned", r.Unsigned)
	if r.Session != "" {
		line("Sent with", r.Session)
	}
	if len(r.SessionPolicy) > 0 {
		line("Policy", string(r.SessionPolicy))
	}
}
