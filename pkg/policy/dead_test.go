package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/policy"
)

func TestAPolicyThatCanNeverApplyIsNamedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		policies, tools, want string
		workload              bool
	}{
		"an attribute that no tool has":         {`forbid(principal, action in MCP::Action::"CallTool", resource) when { resource has destructiveHint && resource.destructiveHint };`, "", "no request has `resource has destructiveHint`", false},
		"an attribute that no caller has":       {`forbid(principal, action, resource) when { principal has claim_dept && principal.claim_dept == "x" };`, "", "no request has `principal has claim_dept`", false},
		"the group of actions as an action":     {`forbid(principal, action, resource) when { action == MCP::Action::"CallTool" };`, "", "no request has `action == MCP::Action::\"CallTool\"`", false},
		"an action that is another tool's":      {`forbid(principal, action == MCP::Action::"call_tool", resource == MCP::Tool::"delete");`, "", "bears the name of its tool", false},
		"actions none of which is the tool's":   {`forbid(principal, action in [MCP::Action::"a", MCP::Action::"b"], resource == MCP::Tool::"c");`, "", "bears the name of its tool", false},
		"a resource in a condition":             {`forbid(principal, action == MCP::Action::"a", resource) when { resource == MCP::Tool::"b" };`, "", "no tool has both", false},
		"a condition that excludes itself":      {`forbid(principal, action in MCP::Action::"CallTool", resource) when { resource == MCP::Tool::"a" && action == MCP::Action::"b" };`, "", "no tool has both", false},
		"a kind of caller that there is not":    {`forbid(principal is MCP::Workload, action, resource);`, "", "no caller of this auth-config is a MCP::Workload", false},
		"a condition on such a kind":            {`forbid(principal, action, resource) when { principal is MCP::Workload };`, "", "no request has `principal is MCP::Workload`", false},
		"the other kind for workloads":          {`forbid(principal, action, resource) when { principal is MCP::User };`, "", "no request has `principal is MCP::User`", true},
		"false":                                 {`forbid(principal, action, resource) when { false };`, "", "no request has `false`", false},
		"unless something that always is":       {`forbid(principal, action, resource) unless { true };`, "", "no request has `!true`", false},
		"a claim that is not declared":          {`forbid(principal, action, resource) when { context.claims has level && context.claims.level == 1 };`, "", "no request has `context.claims has level`", false},
		"a tool that tools.json lacks":          {`forbid(principal, action in MCP::Action::"CallTool", resource == MCP::Tool::"gone");`, toolsJSON, `names the tool "gone", which tools.json does not have`, false},
		"an impossible part beside an argument": {`forbid(principal, action in MCP::Action::"CallTool", resource) when { context.input has x && context.input.x == 1 && resource has hint };`, "", "no request has `resource has hint`", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, errs := source{policies: permitAll + "@id(\"the-policy\") " + c.policies, tools: c.tools, workload: c.workload}.compile()
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if got := strings.Join(warnings, "\n"); !strings.Contains(got, "the-policy") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAPolicyThatMayApplyIsNotNamed(t *testing.T) {
	for name, policies := range map[string]string{
		"an argument without tools.json":    `forbid(principal, action == MCP::Action::"a", resource) when { context.input has x && context.input.x == 1 };`,
		"an argument of any tool":           `forbid(principal, action in MCP::Action::"CallTool", resource) when { context.input has x };`,
		"a tag":                             `forbid(principal, action, resource) when { principal.hasTag("dept") && principal.getTag("dept").contains("x") };`,
		"a group":                           `forbid(principal in MCP::Group::"x", action, resource);`,
		"a tool and its action":             `forbid(principal, action == MCP::Action::"a", resource == MCP::Tool::"a");`,
		"a tool among actions":              `forbid(principal, action in [MCP::Action::"a", MCP::Action::"b"], resource == MCP::Tool::"b");`,
		"a tool in a condition":             `forbid(principal, action in MCP::Action::"CallTool", resource) when { resource == MCP::Tool::"a" };`,
		"all but one tool":                  `forbid(principal, action in MCP::Action::"CallTool", resource) unless { resource == MCP::Tool::"a" };`,
		"a kind of caller":                  `forbid(principal, action, resource) when { principal is MCP::User };`,
		"a resource":                        `forbid(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "x*" };`,
		"a choice by an argument":           `forbid(principal, action in MCP::Action::"CallTool", resource) when { if context.input has x then resource.readOnly else false };`,
		"an argument in what always is not": `forbid(principal, action in MCP::Action::"CallTool", resource) unless { context.input has x && context.input.x == 1 };`,
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, errs := source{policies: permitAll + policies}.compile()
			if len(errs) > 0 || strings.Contains(strings.Join(warnings, "\n"), "never apply") {
				t.Errorf("%v %q", errs, warnings)
			}
		})
	}
}

// randomCondition writes conditions of the kinds that people write, of depth at
// most.
func randomCondition(r *rand.Rand, depth int) string {
	atoms := []string{
		`resource.readOnly`, `resource.destructive`, `resource has hint`, `principal has dept`, `true`, `false`,
		`resource == MCP::Tool::"a"`, `resource == MCP::Tool::"b"`, `action == MCP::Action::"a"`, `action == MCP::Action::"b"`,
		`context.input has x`, `(context.input has x && context.input.x == 1)`, `context.input == {}`,
		`principal is MCP::User`, `principal is MCP::Workload`, `principal in MCP::Group::"readers"`, `principal == MCP::User::"alice"`,
		`context.server == "x"`, `principal.hasTag("dept")`, `(principal.hasTag("dept") && principal.getTag("dept").contains("finance"))`,
		`resource in MCP::Server::"aws"`, `resource in MCP::ToolGroup::"g"`, `(context.claims has level && context.claims.level > 3)`,
		`context.claims has other`, `resource.name == "a"`, `resource is MCP::Tool`,
	}
	if depth == 0 || r.IntN(3) == 0 {
		return atoms[r.IntN(len(atoms))]
	}
	one, two := randomCondition(r, depth-1), randomCondition(r, depth-1)
	switch r.IntN(4) {
	case 0:
		return "(" + one + " || " + two + ")"
	case 1:
		return "!(" + one + ")"
	case 2:
		return "(if " + one + " then " + two + " else " + randomCondition(r, depth-1) + ")"
	}
	return "(" + one + " && " + two + ")"
}

// TestNoPolicyThatAppliesIsEverCalledDead asks random policies about random
// requests: one that was said never to apply must not decide any of them.
func TestNoPolicyThatAppliesIsEverCalledDead(t *testing.T) {
	const seed = 20261125
	r := rand.New(rand.NewPCG(seed, seed))
	actions := []string{`action`, `action in MCP::Action::"CallTool"`, `action == MCP::Action::"a"`, `action in [MCP::Action::"a", MCP::Action::"b"]`}
	resources := []string{`resource`, `resource == MCP::Tool::"a"`, `resource == MCP::Tool::"b"`, `resource in MCP::Server::"aws"`, `resource is MCP::Tool`}
	claims := map[string]any{"dept": "finance", "level": int64(5)}
	dead, applied := 0, 0
	for n := range 1500 {
		text := fmt.Sprintf("permit(principal, %s, %s) when { %s };", actions[r.IntN(len(actions))], resources[r.IntN(len(resources))], randomCondition(r, 3))
		set, warnings, errs := source{policies: text, claims: `{"level":"Long"}`}.compile()
		if len(errs) > 0 {
			continue
		}
		isDead := strings.Contains(strings.Join(warnings, "\n"), "never apply")
		if isDead {
			dead++
		}
		for range 20 {
			principal := policy.NewUser([]string{"alice", "bob"}[r.IntN(2)], "https://idp", nil, [][]string{nil, {"readers"}}[r.IntN(2)], claims)
			set.Declare(principal, claims)
			request := call([]string{"a", "b", "c"}[r.IntN(3)], []string{`{}`, `{"x":1}`, `{"x":2,"hint":true}`}[r.IntN(3)])
			request.Principal = principal
			if set.Decide(t.Context(), request).Allowed {
				applied++
				if isDead {
					t.Fatalf("policy %d applies to %s(%s) and is called dead: %s\n%s", n, request.Name, request.Arguments, text, warnings)
				}
			}
		}
	}
	if dead < 50 || applied < 1000 {
		t.Errorf("the test sees too little: %d dead policies, %d permits", dead, applied)
	}
}

// TestTheSearchForDeadPoliciesIsBounded compiles what took three minutes when
// every named tool was looked at with every action.
func TestTheSearchForDeadPoliciesIsBounded(t *testing.T) {
	scope := func(tools int) string {
		var names []string
		for n := range tools {
			names = append(names, fmt.Sprintf(`MCP::Action::"t%d"`, n))
		}
		return `permit(principal, action in [` + strings.Join(names, ", ") + `], resource) when { resource == MCP::Tool::"zzz" };`
	}
	for tools, named := range map[int]bool{20: true, 800: false} {
		begun := time.Now()
		_, warnings, errs := source{policies: scope(tools)}.compile()
		if len(errs) > 0 || strings.Contains(strings.Join(warnings, "\n"), "can never apply") != named {
			t.Errorf("%d tools: %v %q", tools, errs, warnings)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("%d tools took %v", tools, took)
		}
	}
	begun := time.Now()
	if _, _, errs := (source{policies: strings.Repeat(scope(60), 60)}).compile(); len(errs) > 0 {
		t.Error(errs)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("many policies took %v", took)
	}
}
