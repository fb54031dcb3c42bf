package policy_test

import (
	"fmt"
	"testing"

	"github.com/countersign-io/countersign/pkg/policy"
)

// TestToolsThatPoliciesTellApartAreDecidedOneByOne asks about one tool first and about
// another that the policies tell from it then.
func TestToolsThatPoliciesTellApartAreDecidedOneByOne(t *testing.T) {
	const calls = `permit(principal, action in MCP::Action::"CallTool"`
	const everybody = calls + `, resource)`
	const group = `[
{"uid":{"type":"MCP::Tool","id":"good"},"attrs":{},"parents":[{"type":"MCP::ToolGroup","id":"safe"}]},
{"uid":{"type":"MCP::ToolGroup","id":"safe"},"attrs":{},"parents":[]}]`
	for name, s := range map[string]source{
		"by the action": {policies: `permit(principal, action == MCP::Action::"good", resource);`},
		"by one of several actions": {
			policies: `permit(principal, action in [MCP::Action::"x", MCP::Action::"good"], resource);`,
		},
		"by the resource": {policies: `permit(principal, action, resource == MCP::Tool::"good");`},
		"by the resource it is in": {
			policies: calls + `, resource in MCP::Tool::"good");`,
		},
		"by name":      {policies: everybody + ` when { resource.name == "good" };`},
		"by a pattern": {policies: everybody + ` when { resource.name like "g*" };`},
		"by one of two patterns": {
			policies: everybody + ` when { resource.name like "x*" || resource.name like "go*" };`,
		},
		"by a list of names": {policies: everybody + ` when { ["x", "good"].contains(resource.name) };`},
		"by another name":    {policies: everybody + ` unless { resource.name != "good" };`},
		"by a name that an argument's attribute has": {
			policies: everybody + ` when { resource.name == "good" && (context has input) };`,
		},
		"by a name in a record": {policies: everybody + ` when { {a: resource.name}.a == "good" };`},
		"by a claim": {
			policies: everybody + ` when { principal.hasTag("tools") &&
principal.getTag("tools").contains(resource.name) };`,
		},
		"by the entity": {policies: everybody + ` when { resource == MCP::Tool::"good" };`},
		"by the entity, on the other side": {
			policies: everybody + ` unless { MCP::Tool::"good" != resource };`,
		},
		"by a set of entities": {policies: everybody + ` when { [MCP::Tool::"good"].contains(resource) };`},
		"by an action in a condition": {
			policies: everybody + ` when { action == MCP::Action::"good" };`,
		},
		"by a chosen entity": {
			policies: everybody + `
when { (if context.server == "x" then MCP::Tool::"x" else resource) == MCP::Tool::"good" };`,
		},
		"by a group": {
			policies: calls + `, resource in MCP::ToolGroup::"safe");`, entities: group,
		},
		"by what tools.json says of it": {
			policies: everybody + ` when { resource.readOnly };`,
			tools:    `{"tools":[{"name":"good","annotations":{"readOnlyHint":true}},{"name":"bad"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			request := func(tool string) policy.Request {
				r := call(tool, "")
				r.Principal = policy.NewUser("alice", "https://idp", nil, nil, map[string]any{"tools": []any{"good"}})
				return r
			}
			for _, order := range [][2]string{{"good", "bad"}, {"bad", "good"}} {
				view := s.must(t).View(request(""))
				for _, tool := range order {
					if got := view.CouldAllow(t.Context(), policy.CallTool, tool, false); got != (tool == "good") {
						t.Errorf("%v: a list shows %s: %t", order, tool, got)
					}
				}
				fresh := s.must(t)
				for _, tool := range order {
					if got := fresh.Decide(t.Context(), request(tool)); got.Allowed != (tool == "good") {
						t.Errorf("%v: %s: %+v", order, tool, got)
					}
				}
			}
		})
	}
}

func TestManyToolsThatPoliciesDoNotTellApart(t *testing.T) {
	set := source{policies: `
permit(principal, action in MCP::Action::"CallTool", resource)
when { !resource.readOnly && context.server == "aws-mcp.us-east-1.api.aws" };
forbid(principal, action in MCP::Action::"CallTool", resource) when { context.input has secret };
permit(principal, action == MCP::Action::"tool-7", resource);`}.must(t)
	view := set.View(call("", ""))
	for n := range 5000 {
		tool := fmt.Sprint("tool-", n)
		if !view.CouldAllow(t.Context(), policy.CallTool, tool, false) {
			t.Fatalf("a list hides %s", tool)
		}
		if n%500 == 0 {
			if got := set.Decide(t.Context(), call(tool, `{"secret":1}`)); got.Allowed {
				t.Errorf("%s with a secret: %+v", tool, got)
			}
		}
	}
}
