// Package policylife helps policies through their life: it tests them against cases, asks a
// new auth-config about old decision records, and learns policies from such records.
package policylife

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/explain"
)

// maxCases bounds the cases of a file.
const maxCases = 10_000

// Cases are what an auth-config is tested with, as YAML or JSON has them.
type Cases struct {
	// Config is the auth-config: a directory or file, relative to this one. Empty where the
	// command line says it.
	Config string `json:"config,omitempty"`
	Cases  []Case `json:"cases"`
}

// Case is one call of one caller, and what must come of it.
type Case struct {
	Name string `json:"name"`
	// Caller is the claim sub; Claims are the others. With a serviceAccount source Caller is
	// system:serviceaccount:NAMESPACE:NAME.
	Caller string         `json:"caller"`
	Claims map[string]any `json:"claims,omitempty"`
	// Upstream is a name; default the first.
	Upstream  string         `json:"upstream,omitempty"`
	Tool      string         `json:"tool"`
	Arguments jsontext.Value `json:"arguments,omitempty"`
	// Script is that of a tool which takes one, in place of Arguments.
	Script string `json:"script,omitempty"`

	// Decision is allow or deny.
	Decision string `json:"decision"`
	// Role, Policies and SessionActions are compared where they are given.
	Role     string   `json:"role,omitempty"`
	Policies []string `json:"policies,omitempty"`
	// SessionActions are those that the session of a script is held to.
	SessionActions []string `json:"sessionActions,omitempty"`
}

// ParseCases reads a file of cases; errors name the case.
func ParseCases(text []byte) (*Cases, error) {
	document, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	cases := &Cases{}
	if err := json.Unmarshal(document, cases, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if len(cases.Cases) == 0 {
		return nil, errors.New("cases: there is none")
	}
	if len(cases.Cases) > maxCases {
		return nil, fmt.Errorf("cases: there are more than %d", maxCases)
	}
	var faults []error
	for i := range cases.Cases {
		if err := cases.Cases[i].check(); err != nil {
			faults = append(faults, fmt.Errorf("cases[%d] %s: %w", i, cases.Cases[i].Name, err))
		}
	}
	return cases, errors.Join(faults...)
}

func (c *Case) check() error {
	switch {
	case c.Name == "":
		return errors.New("name: is missing")
	case c.Caller == "":
		return errors.New("caller: is missing")
	case c.Tool == "":
		return errors.New("tool: is missing")
	case c.Decision != "allow" && c.Decision != "deny":
		return fmt.Errorf("decision: %q is not allow or deny", c.Decision)
	case c.Script != "" && len(c.Arguments) > 0:
		return errors.New("script: stands in place of arguments; give one of them")
	}
	return nil
}

// Outcome is what came of a case.
type Outcome struct {
	Name string `json:"name"`
	// Faults are in what it differs from what is expected; none for a case that passed.
	Faults []string        `json:"faults,omitempty"`
	Answer *explain.Answer `json:"answer"`
}

// Passed reports whether all is as expected.
func (o *Outcome) Passed() bool { return len(o.Faults) == 0 }

// Test asks about one case.
func Test(ctx context.Context, config *compile.Compiled, c *Case) (*Outcome, error) {
	answer, err := ask(ctx, config, c)
	if err != nil {
		return nil, fmt.Errorf("case %q: %w", c.Name, err)
	}
	o := &Outcome{Name: c.Name, Answer: answer}
	fault := func(format string, args ...any) { o.Faults = append(o.Faults, fmt.Sprintf(format, args...)) }
	if got := decisionOf(answer); got != c.Decision {
		fault("decision is %s, not %s: %s", got, c.Decision, reasonOf(answer))
	}
	if c.Role != "" && answer.Role != c.Role {
		fault("role is %s, not %s", orNone(answer.Role), c.Role)
	}
	if answer.Decision == nil {
		return o, nil
	}
	if c.Policies != nil && !sameSet(c.Policies, answer.Decision.Policies) {
		fault("policies are %v, not %v", answer.Decision.Policies, c.Policies)
	}
	if c.SessionActions == nil {
		return o, nil
	}
	switch script := answer.Decision.Script; {
	case script == nil:
		fault("the tool takes no script, so its session is the role's")
	case len(script.SessionPolicy) == 0 || script.Session != "a session of its own":
		fault("the session is not held to actions: %s", script.Session)
	case !sameSet(c.SessionActions, script.Actions):
		fault("the session's actions are %v, not %v", script.Actions, c.SessionActions)
	}
	return o, nil
}

// ask explains the call of a case.
func ask(ctx context.Context, config *compile.Compiled, c *Case) (*explain.Answer, error) {
	claims := map[string]any{"sub": c.Caller, "iss": config.Identity.OIDC.Issuer}
	for name, value := range c.Claims {
		claims[name] = value
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	arguments := c.Arguments
	if c.Script != "" {
		if arguments, err = explain.ScriptArguments(config, c.Upstream, c.Tool, c.Script); err != nil {
			return nil, err
		}
	}
	return explain.Explain(ctx, explain.Question{
		Config: config, Claims: text, Tool: c.Tool, Arguments: arguments, Upstream: c.Upstream, Client: http.DefaultClient,
	})
}

// decisionOf is what the sidecar would do: who has no role is denied.
func decisionOf(a *explain.Answer) string {
	if a.Role == "" || a.Decision == nil || !a.Decision.Allowed && a.Decision.Enforced {
		return "deny"
	}
	return "allow"
}

func reasonOf(a *explain.Answer) string {
	if a.Role == "" {
		return a.RoleReason
	}
	if a.Decision == nil {
		return a.Refusal
	}
	if len(a.Decision.Policies) > 0 {
		return a.Decision.Reason + " (" + strings.Join(a.Decision.Policies, ", ") + ")"
	}
	return a.Decision.Reason
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
