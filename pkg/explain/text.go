package explain

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/policy"
)

// WriteText writes the answer for people.
func (a *Answer) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	if a.Assumed {
		line("Token", "none: what follows is for a caller who has these claims")
	} else if a.Accepted {
		line("Token", "accepted")
	} else {
		line("Token", "REFUSED, %s", a.Refusal)
		if a.Caller != "" {
			line("", "what follows is what the token says of itself, unverified")
		}
	}
	if a.Caller != "" {
		if a.Issuer == "" {
			line("Caller", "%s", printable(a.Caller))
		} else {
			line("Caller", "%s (issuer %s)", printable(a.Caller), printable(a.Issuer))
		}
	}
	if a.Expires != nil {
		line("Expires", "%s", a.Expires.UTC().Format(time.RFC3339))
	}
	for i, name := range slices.Sorted(maps.Keys(a.Claims)) {
		value, err := json.Marshal(a.Claims[name], json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("render claim: %w", err)
		}
		line(map[bool]string{true: "Claims"}[i == 0], "%s = %s", printable(name), value)
	}
	if err := a.Exchange.write(line, a.Claims, a.Accepted); err != nil {
		return err
	}
	a.AWS.write(line)
	for i, m := range a.Mappings {
		mark := "no match"
		if m.Matched {
			mark = "match"
		}
		if m.Selected {
			mark = "SELECTED"
		}
		line(map[bool]string{true: "Mappings"}[i == 0], "[%d] %-8s %s: %s", m.Index, mark, m.Role, m.Reason)
	}
	if a.Role != "" {
		line("Role", "%s (%s)", a.Role, a.RoleReason)
		line("Session", "%s", a.SessionName)
		line("Principal", "%s", a.Principal)
		if a.Actor != "" {
			line("Actor", "%s", printable(a.Actor))
		}
	} else if a.RoleReason != "" {
		line("Role", "none, %s", a.RoleReason)
	}
	a.Decision.write(line)
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	return nil
}

func (d *Decision) write(line func(name, format string, args ...any)) {
	if d == nil {
		return
	}
	verdict := "DENIED"
	if d.Allowed {
		verdict = "allowed"
	}
	line("Decision", "%s %s on %s: %s", d.Tool, verdict, d.Upstream, d.Reason)
	for _, id := range d.Policies {
		line("", "policy %s", printable(id))
	}
	for _, e := range d.Errors {
		line("", "error %s", e)
	}
	for i, change := range d.Changes {
		heading := "or by"
		if i == 0 || change.WithAnother {
			heading = map[bool]string{true: "Allowed by", false: "and by"}[i == 0]
		}
		WriteChange(change, func(text string) { line(heading, "%s", text); heading = "" })
	}
	if d.Script != nil {
		d.Script.Lines(func(name, text string) { line(name, "%s", text) })
	}
}

// WriteJSON writes the answer for programs.
func (a *Answer) WriteJSON(w io.Writer) error {
	if err := json.MarshalWrite(w, a, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	if err != nil {
		return fmt.Errorf("write explanation: %w", err)
	}
	return nil
}

// WriteChange says in words what to change, a line each.
func WriteChange(change policy.Change, line func(text string)) {
	switch change.Kind {
	case policy.ChangeAdd:
		line("adding a policy:")
	case policy.ChangeExempt:
		also := ""
		if change.WithAnother {
			also = ", with what else is said here"
		}
		line(fmt.Sprintf("adding to the forbid %s%s:", change.Policy, also))
	case policy.ChangeRelax:
		line(fmt.Sprintf("taking from the permit %s this part, which allows others too:", change.Policy))
	}
	for text := range strings.Lines(change.Text) {
		line("  " + strings.TrimRight(text, "\n"))
	}
}
