package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
)

const toolsJSON = `{"tools":[
 {"name":"list","inputSchema":{"type":"object","properties":{"region":{"type":"string"},"limit":{"type":"integer"},"ratio":{"type":"number"},"deep":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}},"filter":{"type":"object","properties":{"owner":{"type":["string","null"]}}},"any":{}},"required":["region"]},"annotations":{"readOnlyHint":true,"destructiveHint":false}},
 {"name":"drop","inputSchema":{"type":"object"}}]}`

type source struct {
	policies, entities, tools string
	claims                    string
	workload                  bool
	mode                      authconfig.Mode
}

func (s source) compile() (*policy.Set, []string, authconfig.Errors) {
	config := &authconfig.Config{
		Upstreams:     []authconfig.Upstream{{Name: "aws"}, {Name: "other"}},
		Identity:      authconfig.Identity{Source: authconfig.SourceBearer},
		Authorization: &authconfig.Authorization{Mode: s.mode},
		PolicyFiles:   []authconfig.PolicyFile{{Name: "p.cedar", Text: s.policies}},
	}
	if s.workload {
		config.Identity.Source = authconfig.SourceServiceAccount
	}
	if s.entities != "" {
		config.Entities = []byte(s.entities)
	}
	if s.claims != "" {
		config.Claims = []byte(s.claims)
	}
	if s.tools != "" {
		config.Tools = []byte(s.tools)
	}
	return policy.Compile(config, policy.Pod{Namespace: "agents", Name: "pod-1", ServiceAccount: "demo"})
}

func (s source) must(t *testing.T) *policy.Set {
	t.Helper()
	set, _, errs := s.compile()
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return set
}

var alice = policy.NewUser("alice", "https://idp", []string{"mcp:use"}, []string{"readers"}, map[string]any{
	"dept": "finance", "level": int64(3), "ratio": 1.5, "admin": true, "teams": []any{"a", "b"},
	"address": map[string]any{"country": "DE"}, "nothing": nil, "objects": []any{map[string]any{}},
})

func call(tool, arguments string) policy.Request {
	return policy.Request{
		Principal: alice, Server: "aws", Host: "aws-mcp.us-east-1.api.aws", Action: policy.CallTool, Name: tool,
		Arguments: jsontext.Value(arguments), Role: "arn:aws:iam::123456789012:role/R", Now: time.Now(),
	}
}

func TestConditionsSeeTheWholeRequest(t *testing.T) {
	for name, c := range map[string]struct {
		condition string
		arguments string
		want      bool
	}{
		"a tag that is a string":           {`principal.hasTag("dept") && principal.getTag("dept").contains("finance")`, `{}`, true},
		"a tag that is a number":           {`principal.hasTag("level") && principal.getTag("level").contains("3")`, `{}`, true},
		"a tag that is a fraction":         {`principal.hasTag("ratio") && principal.getTag("ratio").contains("1.5")`, `{}`, true},
		"a tag that is a boolean":          {`principal.hasTag("admin") && principal.getTag("admin").contains("true")`, `{}`, true},
		"a tag that is a list":             {`principal.hasTag("teams") && principal.getTag("teams").containsAll(["a", "b"])`, `{}`, true},
		"a nested tag":                     {`principal.hasTag("address.country") && principal.getTag("address.country").contains("DE")`, `{}`, true},
		"a null claim is no tag":           {`principal.hasTag("nothing")`, `{}`, false},
		"the caller":                       {`principal.sub == "alice" && principal.iss == "https://idp" && principal.scopes.contains("mcp:use")`, `{}`, true},
		"a group":                          {`principal in MCP::Group::"readers"`, `{}`, true},
		"another group":                    {`principal in MCP::Group::"writers"`, `{}`, false},
		"the server":                       {`resource in MCP::Server::"aws" && context.server == "aws-mcp.us-east-1.api.aws"`, `{}`, true},
		"another server":                   {`resource in MCP::Server::"other"`, `{}`, false},
		"the role":                         {`context.role like "*:role/R"`, `{}`, true},
		"the pod":                          {`context.pod.namespace == "agents" && context.pod.name == "pod-1" && context.pod.serviceAccount == "demo"`, `{}`, true},
		"the time":                         {`context.now > datetime("2024-01-01") && context.now < datetime("2100-01-01")`, `{}`, true},
		"hints default to the worst":       {`!resource.readOnly && resource.destructive && !resource.idempotent && resource.openWorld`, `{}`, true},
		"the tool's name":                  {`resource.name == "list"`, `{}`, true},
		"a string argument":                {`context.input has a && context.input.a == "x"`, `{"a":"x"}`, true},
		"a Long argument":                  {`context.input has a && context.input.a == 22`, `{"a":22}`, true},
		"22.0 is 22":                       {`context.input has a && context.input.a == 22`, `{"a":22.0}`, true},
		"2.2e1 is 22":                      {`context.input has a && context.input.a == 22`, `{"a":2.2e1}`, true},
		"-0 is 0":                          {`context.input has a && context.input.a == 0`, `{"a":-0.0}`, true},
		"a large integer is exact":         {`context.input has a && context.input.a == 9007199254740993`, `{"a":9007199254740993}`, true},
		"the largest":                      {`context.input has a && context.input.a == 9223372036854775807`, `{"a":9223372036854775807}`, true},
		"a decimal":                        {`context.input has a && context.input.a == decimal("1.25")`, `{"a":1.25}`, true},
		"a small decimal with an exponent": {`context.input has a && context.input.a == decimal("0.0125")`, `{"a":1.25e-2}`, true},
		"null is left out":                 {`context.input has a`, `{"a":null}`, false},
		"a list is a set":                  {`context.input has a && context.input.a.contains(2)`, `{"a":[1,2,null]}`, true},
		"an object is a record":            {`context.input has a && context.input.a has b && context.input.a.b`, `{"a":{"b":true}}`, true},
		"an __entity stays a record":       {`context.input has a && context.input.a has __entity`, `{"a":{"__entity":{"type":"MCP::Group","id":"x"}}}`, true},
		"an __extn stays a record":         {`context.input has a && context.input.a has __extn`, `{"a":{"__extn":{"fn":"ip","arg":"1.1.1.1"}}}`, true},
		"no arguments":                     {`context.input has a`, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: "permit(principal, action == MCP::Action::\"list\", resource) when { " + c.condition + " };"}.must(t)
			if got := set.Decide(t.Context(), call("list", c.arguments)); got.Allowed != c.want || len(got.Errors) > 0 {
				t.Errorf("%+v, want %t", got, c.want)
			}
		})
	}
}

func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		tool     string
		want     bool
		ids      string
	}{
		"nothing is allowed by default":          {`permit(principal, action == MCP::Action::"drop", resource);`, "list", false, ""},
		"forbid wins":                            {`permit(principal, action, resource); @id("no") forbid(principal, action == MCP::Action::"list", resource);`, "list", false, "no"},
		"a permit names itself by file":          {`permit(principal, action, resource); permit(principal, action == MCP::Action::"list", resource);`, "list", true, "p.cedar/0 p.cedar/1"},
		"a tool is in CallTool":                  {`permit(principal, action in MCP::Action::"CallTool", resource);`, "list", true, "p.cedar/0"},
		"a tool is not CallTool":                 {`permit(principal, action == MCP::Action::"CallTool", resource);`, "list", false, ""},
		"a set of actions":                       {`permit(principal, action in [MCP::Action::"list", MCP::Action::"drop"], resource);`, "drop", true, "p.cedar/0"},
		"a reserved name":                        {`permit(principal, action, resource);`, "ReadResource", false, ""},
		"a forbid that fails denies":             {`permit(principal, action, resource); @id("f") forbid(principal, action in MCP::Action::"CallTool", resource) when { context.input has a && context.input.a < 5 };`, "list", false, "f"},
		"a permit that fails does not allow":     {`permit(principal, action in MCP::Action::"CallTool", resource) when { context.input has a && context.input.a < 5 };`, "list", false, ""},
		"a failing permit beside one that holds": {`permit(principal, action in MCP::Action::"CallTool", resource) when { context.input has a && context.input.a < 5 }; permit(principal, action, resource);`, "list", true, "p.cedar/1"},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: c.policies}.must(t)
			got := set.Decide(t.Context(), call(c.tool, `{"a":"text"}`))
			if got.Allowed != c.want || strings.Join(got.Policies, " ") != c.ids {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAForbidThatOverflowsDenies(t *testing.T) {
	set := source{policies: `
permit(principal, action, resource);
@id("f") forbid(principal, action == MCP::Action::"list", resource) when { context.input has limit && context.input.limit * 2 > 10 };`, tools: toolsJSON}.must(t)
	got := set.Decide(t.Context(), call("list", `{"region":"x","limit":9223372036854775807}`))
	if got.Allowed || len(got.Errors) != 1 || strings.Join(got.Policies, " ") != "f" {
		t.Errorf("%+v", got)
	}
}

func TestWorkloads(t *testing.T) {
	set := source{workload: true, policies: `permit(principal == MCP::Workload::"system:serviceaccount:agents:demo", action, resource) when { principal.namespace == "agents" && principal.serviceAccount == "demo" };`}.must(t)
	request := call("list", `{}`)
	if set.Decide(t.Context(), request).Allowed {
		t.Error("a user passes for a workload")
	}
	request.Principal = policy.NewWorkload("agents", "demo", nil, nil)
	if got := set.Decide(t.Context(), request); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

func TestToolsJSONPinsTypesAndHints(t *testing.T) {
	set := source{tools: toolsJSON, policies: `
permit(principal, action in MCP::Action::"CallTool", resource) when { resource.readOnly && !resource.destructive };
forbid(principal, action == MCP::Action::"list", resource) when { context.input.region == "eu" };
forbid(principal, action == MCP::Action::"list", resource) when { context.input has limit && context.input.limit > 100 };
forbid(principal, action == MCP::Action::"list", resource) when { context.input has ratio && context.input.ratio.greaterThan(decimal("2.0")) };
forbid(principal, action == MCP::Action::"list", resource) when { context.input has filter && context.input.filter has owner && context.input.filter.owner == "root" };`}.must(t)
	for arguments, want := range map[string]bool{
		`{"region":"us"}`:                              true,
		`{"region":"eu"}`:                              false,
		`{}`:                                           false, // the forbid on a required argument fails
		`{"region":"us","limit":100}`:                  true,
		`{"region":"us","limit":101}`:                  false,
		`{"region":"us","limit":"101"}`:                false, // an upstream may convert it
		`{"region":"us","ratio":2}`:                    true,
		`{"region":"us","ratio":3}`:                    false,
		`{"region":"us","filter":{"owner":"root"}}`:    false,
		`{"region":"us","filter":{"owner":null}}`:      true,
		`{"region":"us","filter":"root"}`:              false,
		`{"region":"us","any":[1,"x"],"undeclared":1}`: true,
		`{"region":["eu"]}`:                            false,
	} {
		if got := set.Decide(t.Context(), call("list", arguments)); got.Allowed != want {
			t.Errorf("%s: %+v, want %t", arguments, got, want)
		}
	}
	if got := set.Decide(t.Context(), call("drop", `{}`)); got.Allowed {
		t.Errorf("the hints of another tool: %+v", got)
	}
}

func TestGroupsHaveParentsInEntitiesJSON(t *testing.T) {
	set := source{policies: `
permit(principal in MCP::Group::"employees", action, resource) when { resource in MCP::Server::"aws" };
permit(principal in Acme::Unit::"emea", action, resource);
forbid(principal in MCP::Group::"employees", action, resource) unless { MCP::Group::"readers".cleared };`, entities: `[
{"uid":{"type":"MCP::Group","id":"readers"},"attrs":{"cleared":true},"parents":[{"type":"MCP::Group","id":"employees"},{"type":"Acme::Unit","id":"emea"}]},
{"uid":{"type":"MCP::Group","id":"employees"},"attrs":{"cleared":false},"parents":[]},
{"uid":{"type":"Acme::Unit","id":"emea"},"attrs":{"name":"EMEA"},"parents":[]}]`}.must(t)
	if got := set.Decide(t.Context(), call("list", `{}`)); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

func TestValidationNamesTheFault(t *testing.T) {
	for name, c := range map[string]struct {
		source source
		want   string
	}{
		"a syntax error":                 {source{policies: "permit(principal, action, resource);\npermit("}, "p.cedar: 2:"},
		"an attribute that nothing has":  {source{policies: "permit(principal, action, resource) when { principal.emial == \"x\" };"}, `p.cedar: 1:1: policy "p.cedar/0":`},
		"a type that does not exist":     {source{policies: "permit(principal is MCP::Usr, action, resource);"}, "p.cedar: 1:1:"},
		"an argument without has":        {source{policies: `permit(principal, action == MCP::Action::"t", resource) when { context.input.a == 1 };`}, "p.cedar: 1:1:"},
		"an action that no tool has":     {source{policies: `permit(principal, action == MCP::Action::"lst", resource);`, tools: toolsJSON}, "lst"},
		"an argument of another type":    {source{policies: `permit(principal, action == MCP::Action::"list", resource) when { context.input.region == 1 };`, tools: toolsJSON}, "p.cedar: 1:1:"},
		"an optional argument unguarded": {source{policies: `permit(principal, action == MCP::Action::"list", resource) when { context.input.limit > 1 };`, tools: toolsJSON}, "p.cedar: 1:1:"},
		"an id twice":                    {source{policies: `@id("a") permit(principal, action, resource); @id("a") permit(principal, action, resource);`}, `the policy id "a" is taken`},
		"no policy":                      {source{policies: "// nothing"}, "p.cedar: holds no policy"},
		"a static user":                  {source{policies: "permit(principal, action, resource);", entities: `[{"uid":{"type":"MCP::User","id":"a"},"attrs":{},"parents":[]}]`}, "come from requests"},
		"a static action":                {source{policies: "permit(principal, action, resource);", entities: `[{"uid":{"type":"MCP::Action","id":"a"},"attrs":{},"parents":[]}]`}, "come from requests"},
		"entities that are no list":      {source{policies: "permit(principal, action, resource);", entities: `{}`}, "entities.json: is not a list"},
		"tools that are no list":         {source{policies: "permit(principal, action, resource);", tools: `{"x":1}`}, "tools.json: has no tools"},
		"one page of tools":              {source{policies: "permit(principal, action, resource);", tools: `{"tools":[],"nextCursor":"x"}`}, "tools.json: is one page of several"},
		"a tool with a built-in's name":  {source{policies: "permit(principal, action, resource);", tools: `{"tools":[{"name":"CallTool"}]}`}, "tools.json: tools[0]: bears the name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, errs := c.source.compile()
			if len(errs) == 0 || !strings.Contains(errs.Error(), c.want) {
				t.Errorf("got %v, want %s", errs, c.want)
			}
		})
	}
}

func TestWhatIsProbablyNotMeantEarnsAWarning(t *testing.T) {
	for want, s := range map[string]source{
		"write action in": {policies: `permit(principal, action == MCP::Action::"CallTool", resource);`},
		`no tool that it is about declares the argument "regoin"`: {tools: toolsJSON, policies: `forbid(principal, action == MCP::Action::"list", resource) when { context.input has regoin };`},
		`MCP::Server::"awss" is neither an upstream`:              {policies: `permit(principal, action, resource in MCP::Server::"awss");`},
		"": {tools: toolsJSON, policies: `permit(principal, action in MCP::Action::"CallTool", resource in MCP::Server::"aws") when { context.input has limit };`},
	} {
		_, warnings, errs := s.compile()
		if len(errs) > 0 || (want == "") != (len(warnings) == 0) || want != "" && !strings.Contains(warnings[0], want) {
			t.Errorf("%s: %v, %v", want, warnings, errs)
		}
	}
}

func TestListsNeverHideWhatSomeCallCouldBeAllowed(t *testing.T) {
	const rules = `
permit(principal, action == MCP::Action::"by-argument", resource) when { context.input has a && context.input.a == 1 };
permit(principal, action == MCP::Action::"forbidden-by-argument", resource);
forbid(principal, action == MCP::Action::"forbidden-by-argument", resource) when { context.input has a && context.input.a == 1 };
forbid(principal, action == MCP::Action::"forbidden-by-argument", resource) unless { context.input has b };
permit(principal, action == MCP::Action::"other-dept", resource) when { principal.hasTag("dept") && principal.getTag("dept").contains("hr") };
permit(principal, action == MCP::Action::"forbidden", resource);
forbid(principal, action == MCP::Action::"forbidden", resource) unless { principal.hasTag("dept") && principal.getTag("dept").contains("hr") };
permit(principal, action == MCP::Action::"both", resource) when { principal.hasTag("dept") && principal.getTag("dept").contains("finance") && context.input has a };
permit(principal, action == MCP::Action::"neither", resource) when { context.input has a && principal in MCP::Group::"writers" };
permit(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "docs://*" };
forbid(principal, action == MCP::Action::"ReadResource", resource == MCP::Resource::"docs://secret");
forbid(principal, action == MCP::Action::"ReadResource", resource in MCP::Server::"other");
`
	set := source{policies: rules}.must(t)
	for tool, want := range map[string]bool{
		"by-argument": true, "forbidden-by-argument": true, "other-dept": false, "forbidden": false, "both": true, "unknown": false,
		// It may show more than could be: the argument is asked for first.
		"neither": true, "CallTool": false,
	} {
		if got := set.View(call("", "")).CouldAllow(t.Context(), policy.CallTool, tool, false); got != want {
			t.Errorf("%s: %t, want %t", tool, got, want)
		}
	}
	for server, want := range map[string]bool{"aws": true, "other": false} {
		request := call("", "")
		request.Server = server
		if got := set.View(request).CouldReadTemplate(t.Context()); got != want {
			t.Errorf("templates of %s: %t, want %t", server, got, want)
		}
	}
}

func TestManyTargetsDoNotChangeDecisions(t *testing.T) {
	set := source{policies: `permit(principal, action in MCP::Action::"CallTool", resource) when { resource.name like "tool-*" };`}.must(t)
	for i := range 5000 {
		name := fmt.Sprintf("tool-%d", i)
		if !set.Decide(t.Context(), call(name, `{}`)).Allowed || set.Decide(t.Context(), call("x"+name, `{}`)).Allowed {
			t.Fatal(name)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add(`{"a":22.0,"b":[1e2,-0,{"__entity":{}}],"c":null}`)
	f.Add(`{"a":1e999999999,"b":0.00000001,"limit":"x"}`)
	set, _, errs := source{tools: toolsJSON, policies: `permit(principal, action, resource);`}.compile()
	if len(errs) > 0 {
		f.Fatal(errs)
	}
	f.Fuzz(func(t *testing.T, arguments string) {
		set.Decide(t.Context(), call("list", arguments))
		set.Decide(t.Context(), call("free", arguments))
	})
}

func TestHostileConfigsAreErrorsAndNoCrashes(t *testing.T) {
	const allow = `permit(principal, action, resource);`
	for name, c := range map[string]struct {
		source source
		want   string
	}{
		"attributes of two types":   {source{policies: allow, entities: `[{"uid":{"type":"MCP::Group","id":"a"},"attrs":{"x":"a"},"parents":[]},{"uid":{"type":"MCP::Group","id":"b"},"attrs":{"x":1},"parents":[]}]`}, `entities.json: MCP::Group::"b": attribute "x"`},
		"tags of two types":         {source{policies: allow, entities: `[{"uid":{"type":"MCP::Group","id":"a"},"attrs":{},"parents":[],"tags":{"x":"a","y":1}}]`}, "entities.json:"},
		"a set of two types":        {source{policies: allow, entities: `[{"uid":{"type":"MCP::Group","id":"a"},"attrs":{"x":["a",1]},"parents":[]}]`}, "entities.json:"},
		"a parent of no known type": {source{policies: allow, entities: `[{"uid":{"type":"MCP::Group","id":"a"},"attrs":{},"parents":[{"type":"X","id":"x"}]}]`}, "entities.json:"},
		"many brackets":             {source{policies: strings.Repeat("(", 100_000)}, "p.cedar: 1:102: is nested more than"},
		"a very long file":          {source{policies: allow + strings.Repeat(" ", 200_000)}, "p.cedar: is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, errs := c.source.compile()
			if len(errs) == 0 || !strings.Contains(errs.Error(), c.want) {
				t.Errorf("got %v, want %s", errs, c.want)
			}
		})
	}
	// An empty set beside a full one is no conflict.
	source{policies: allow, entities: `[{"uid":{"type":"MCP::Group","id":"a"},"attrs":{"x":[]},"parents":[]},{"uid":{"type":"MCP::Group","id":"b"},"attrs":{"x":[1]},"parents":[]}]`}.must(t)
}

func TestNumbersThatAreNotOfTheDeclaredTypeAreDenied(t *testing.T) {
	set := source{tools: `{"tools":[{"name":"t","inputSchema":{"type":"object","properties":{
"n":{"type":"integer"},"f":{"type":"number"},"r":{"anyOf":[{"type":"string"},{"type":"null"}]},"e":{"enum":["a","b"]}}}}]}`, policies: `
permit(principal, action, resource);
forbid(principal, action == MCP::Action::"t", resource) when { context.input has n && context.input.n == 22 };
forbid(principal, action == MCP::Action::"t", resource) when { context.input has r && context.input.r == "eu" };
forbid(principal, action == MCP::Action::"t", resource) when { context.input has e && context.input.e == "b" };`}.must(t)
	for arguments, want := range map[string]bool{
		`{"n":21}`: true, `{"n":22}`: false, `{"n":22.0}`: false, `{"n":22.4}`: false, `{"n":1e30}`: false,
		`{"f":1.5}`: true, `{"f":1.50001}`: true, `{"f":"x"}`: true, `{"r":"us"}`: true, `{"r":null}`: true, `{"r":["eu"]}`: false, `{"e":"a"}`: true, `{"e":"b"}`: false,
	} {
		if got := set.Decide(t.Context(), call("t", arguments)); got.Allowed != want {
			t.Errorf("%s: %+v, want %t", arguments, got, want)
		}
	}
}

func TestTemplatesOfAServerInAGroupOfServers(t *testing.T) {
	set := source{policies: `permit(principal, action == MCP::Action::"ReadResource", resource in MCP::Server::"all");`,
		entities: `[{"uid":{"type":"MCP::Server","id":"aws"},"attrs":{},"parents":[{"type":"MCP::Server","id":"all"}]},{"uid":{"type":"MCP::Server","id":"all"},"attrs":{},"parents":[]}]`}.must(t)
	for server, want := range map[string]bool{"aws": true, "other": false} {
		request := call("", "")
		request.Server = server
		if got := set.View(request).CouldReadTemplate(t.Context()); got != want {
			t.Errorf("%s: %t", server, got)
		}
	}
}

func TestNothingOfOneCallIsInTheNext(t *testing.T) {
	set := source{policies: permitAll + `
forbid (principal, action, resource) when { context has input && context.input has a };
forbid (principal, action, resource)
when { context has input && context.input has b && context.input.b has c };`}.must(t)
	for range 100 {
		for arguments, allowed := range map[string]bool{
			`{"a":1}`: false, `{"b":{"c":1}}`: false, `{"b":{"d":1}}`: true, `{}`: true,
		} {
			if got := set.Decide(t.Context(), call("list", arguments)); got.Allowed != allowed {
				t.Fatalf("%s: %+v", arguments, got)
			}
		}
	}
}

func TestWhoActsForTheCallerIsAbsentWhereNobodyDoes(t *testing.T) {
	set := source{policies: permitAll + `forbid (principal, action, resource) when { context has actor };`}.must(t)
	for name, act := range map[string]map[string]any{"nobody": nil, "an agent": {"sub": "agent-7"}} {
		t.Run(name, func(t *testing.T) {
			request := call("list", `{}`)
			request.Principal = policy.NewUser("alice", "https://idp", nil, nil, nil)
			if act != nil {
				request.Principal.SetActor(act)
			}
			if got := set.Decide(t.Context(), request); got.Allowed != (act == nil) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestOneCallWithManyArgumentsMakesNoLaterOneDearer(t *testing.T) {
	set := source{policies: permitAll + `
forbid (principal, action, resource)
when { context.input has tags && context.input.tags.contains("x") };`}.must(t)
	decide := func(arguments string) {
		if got := set.Decide(t.Context(), call("list", arguments)); !got.Allowed {
			t.Fatalf("%+v", got)
		}
	}
	allocated := func() uint64 {
		const calls = 500
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			decide(`{"tags":["a","b"]}`)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / calls
	}
	first := allocated()
	for _, members := range []int{8, 9, 64, 1000} {
		names := make([]string, members)
		for i := range names {
			names[i] = fmt.Sprintf("%q:1", fmt.Sprint("name-", i))
		}
		decide(`{"tags":[{` + strings.Join(names, ",") + `}]}`)
		if later := allocated(); later > first*5/4 {
			t.Errorf("%d bytes a call, %d before one with %d members", later, first, members)
		}
	}
}
