package policy_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/policy"
)

const permitAll = `permit(principal, action, resource); `

func TestANumberThatCedarCannotHoldIsComparedWithNothing(t *testing.T) {
	const forbid = `forbid(principal, action == MCP::Action::"list", resource) `
	for name, c := range map[string]struct {
		policies, arguments string
		allowed             bool
		argument            string
	}{
		"a little more than 22":               {forbid + `when { context.input has n && context.input.n == 22 };`, `{"n":22.000000000000000000001}`, false, "n"},
		"a little less than 22":               {forbid + `when { context.input has n && context.input.n == 22 };`, `{"n":21.99999999999999999999}`, false, "n"},
		"a little more than nothing":          {forbid + `when { context.input has n && context.input.n == 0 };`, `{"n":1e-400}`, false, "n"},
		"more than a double holds":            {forbid + `when { context.input has n && context.input.n == 0 };`, `{"n":1e400}`, false, "n"},
		"one more than the largest Long":      {forbid + `when { context.input has n && context.input.n < 0 };`, `{"n":9223372036854775808}`, false, "n"},
		"five digits behind the point":        {forbid + `when { context.input has n && context.input.n.lessThan(decimal("1.0")) };`, `{"n":1.23456}`, false, "n"},
		"less than":                           {forbid + `when { context.input has n && context.input.n < 5 };`, `{"n":4.99999}`, false, "n"},
		"unless":                              {forbid + `unless { context.input has n && context.input.n == 22 };`, `{"n":22.000001}`, false, "n"},
		"a member of a set":                   {forbid + `when { context.input has n && context.input.n.contains(22) };`, `{"n":[1,22.000001]}`, false, "n"},
		"a number in a record":                {forbid + `when { context.input has a && context.input.a has n && context.input.a.n == 22 };`, `{"a":{"n":22.000001}}`, false, "a.n"},
		"a record that is compared whole":     {forbid + `when { context.input has a && context.input.a == {"n": 22} };`, `{"a":{"n":22.000001}}`, false, "a.n"},
		"all arguments compared whole":        {forbid + `when { context.input == {} };`, `{"n":22.000001}`, false, "n"},
		"a permit that reads it":              {`permit(principal, action == MCP::Action::"list", resource) when { context.input has n && context.input.n == 22 };`, `{"n":22.000001}`, false, "n"},
		"another attribute":                   {forbid + `when { context.input has m && context.input.m == 22 };`, `{"n":22.000001}`, true, ""},
		"an attribute beside it in a record":  {forbid + `when { context.input has a && context.input.a has m && context.input.a.m == 22 };`, `{"a":{"n":22.000001,"m":1}}`, true, ""},
		"only whether it is there":            {forbid + `when { context.input has m };`, `{"n":22.000001}`, true, ""},
		"only that it is there":               {forbid + `when { context.input has n };`, `{"n":22.000001}`, false, ""},
		"a policy on another tool":            {`forbid(principal, action == MCP::Action::"drop", resource) when { context.input has n && context.input.n == 22 };`, `{"n":22.000001}`, true, ""},
		"a policy on another caller's group":  {`forbid(principal in MCP::Group::"others", action, resource) when { context has input && context.input == {} };`, `{"n":22.000001}`, true, ""},
		"a policy on the caller's group":      {`forbid(principal in MCP::Group::"readers", action, resource) when { context.input == {} };`, `{"n":22.000001}`, false, "n"},
		"a policy on another resource":        {`forbid(principal, action, resource == MCP::Tool::"drop") when { context.input == {} };`, `{"n":22.000001}`, true, ""},
		"exact in another way of writing":     {forbid + `when { context.input has n && context.input.n == 22 };`, `{"n":2200e-2}`, false, ""},
		"longer than a set that is looked at": {forbid + `when { context.input has n && context.input.n.contains(22) };`, `{"n":[` + strings.Repeat("1,", 1000) + `1]}`, false, "n"},
		"a long set that nobody reads":        {forbid + `when { context.input has m && context.input.m.contains(22) };`, `{"n":[` + strings.Repeat("1,", 100_000) + `1]}`, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := source{policies: permitAll + c.policies}.must(t).Decide(t.Context(), call("list", c.arguments))
			if got.Allowed != c.allowed || got.Argument != c.argument {
				t.Errorf("%+v, want %t because of %q", got, c.allowed, c.argument)
			}
			if c.argument != "" && (len(got.Errors) != 1 || !strings.Contains(got.Errors[0], c.argument)) {
				t.Errorf("the errors name no argument: %q", got.Errors)
			}
		})
	}
}

func TestADeclaredNumberIsOnlyLookedAtWhereAPolicyReadsIt(t *testing.T) {
	tools := `{"tools":[{"name":"list","inputSchema":{"type":"object","properties":{"longitude":{"type":"number"},"n":{"type":"integer"}}}}]}`
	call := call("list", `{"longitude":-122.332071,"n":"x"}`)
	if got := (source{policies: permitAll, tools: tools}).must(t).Decide(t.Context(), call); !got.Allowed {
		t.Errorf("%+v", got)
	}
	reading := permitAll + `forbid(principal, action == MCP::Action::"list", resource) when { context.input has longitude && context.input.longitude.lessThan(decimal("0.0")) };`
	if got := (source{policies: reading, tools: tools}).must(t).Decide(t.Context(), call); got.Allowed || got.Argument != "longitude" {
		t.Errorf("%+v", got)
	}
}

func TestAnIntegerIsADecimalWhereOneIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		condition, arguments string
		allowed              bool
	}{
		"equal":                      {`context.input has n && context.input.n == decimal("22.0")`, `{"n":22}`, false},
		"equal, written with .0":     {`context.input has n && context.input.n == decimal("22.0")`, `{"n":22.0}`, false},
		"equal, from the other side": {`context.input has n && decimal("22.0") == context.input.n`, `{"n":22}`, false},
		"another":                    {`context.input has n && context.input.n == decimal("22.0")`, `{"n":23}`, true},
		"one of a set":               {`context.input has n && [decimal("1.5"), decimal("22.0")].contains(context.input.n)`, `{"n":22}`, false},
		"in a set":                   {`context.input has n && context.input.n.contains(decimal("22.0"))`, `{"n":[1,22]}`, false},
		"not in a set":               {`context.input has n && context.input.n.contains(decimal("22.0"))`, `{"n":[1,2.5]}`, true},
		"less":                       {`context.input has n && context.input.n.lessThan(decimal("22.5"))`, `{"n":22}`, false},
		"not less":                   {`context.input has n && context.input.n.lessThan(decimal("22.5"))`, `{"n":23}`, true},
		"too large for a decimal":    {`context.input has n && context.input.n == decimal("22.0")`, `{"n":9223372036854775807}`, false},
		"an integer, elsewhere":      {`context.input has n && context.input.n == 22`, `{"n":22}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: permitAll + `forbid(principal, action == MCP::Action::"list", resource) when { ` + c.condition + ` };`}.must(t)
			if got := set.Decide(t.Context(), call("list", c.arguments)); got.Allowed != c.allowed {
				t.Errorf("%+v", got)
			}
		})
	}
}

// FuzzNumbers: a number is equal to a Long for policies exactly when it is that
// number, and never compared when Cedar cannot hold it.
func FuzzNumbers(f *testing.F) {
	for _, text := range []string{"22", "22.0", "2.2e1", "22.000000000000000000001", "1e-400", "-0.0", "9223372036854775807", "1e999999999", "0e99999999999999999999", "1E+2"} {
		f.Add(text)
	}
	set, _, errs := source{policies: permitAll + `forbid(principal, action == MCP::Action::"list", resource) when { context.input has n && context.input.n == 22 };`}.compile()
	if len(errs) > 0 {
		f.Fatal(errs)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Trim(text, "0123456789+-.eE") != "" || len(text) > 64 {
			return
		}
		exponent := strings.ToLower(text[strings.IndexAny(text+"e", "eE"):])
		if len(exponent) > 5 {
			return // big.Rat would take for ever
		}
		value, ok := new(big.Rat).SetString(text)
		got := set.Decide(t.Context(), call("list", `{"n":`+text+`}`))
		switch {
		case len(got.Errors) > 0 && got.Argument == "":
			return // no JSON number
		case !ok:
			t.Fatalf("%s is a number to JSON only: %+v", text, got)
		case got.Argument != "":
			scaled := new(big.Rat).Mul(value, big.NewRat(10_000, 1))
			if scaled.IsInt() && scaled.Num().IsInt64() {
				t.Fatalf("%s is a decimal and was not compared", text)
			}
		case got.Allowed == (value.Cmp(big.NewRat(22, 1)) == 0):
			t.Fatalf("%s: %+v", text, got)
		}
	})
}

func TestDeclaredClaimsHaveTheirTypes(t *testing.T) {
	const claims = `{"level":"Long","email":"String","admin":"Bool","teams":"Set<String>","address.country":"String","https://example.com/org":"String","missing":"Long","nothing":"Long"}`
	all := map[string]any{
		"level": int64(5), "email": "alice@example.com", "admin": true, "teams": []any{"a", "b"}, "nothing": nil,
		"address": map[string]any{"country": "DE"}, "https://example.com/org": "eng", "other": "x",
	}
	for name, c := range map[string]struct {
		condition string
		change    map[string]any
		want      bool
	}{
		"an email in a domain":        {`context.claims has email && context.claims.email like "*@example.com"`, nil, true},
		"a level above 3":             {`context.claims has level && context.claims.level > 3`, nil, true},
		"a level written as 5.0":      {`context.claims has level && context.claims.level == 5`, map[string]any{"level": 5.0}, true},
		"a boolean":                   {`context.claims has admin && context.claims.admin`, nil, true},
		"a set":                       {`context.claims has teams && context.claims.teams.contains("b")`, nil, true},
		"one string is a set of one":  {`context.claims has teams && context.claims.teams.contains("a")`, map[string]any{"teams": "a"}, true},
		"a nested claim":              {`context.claims has "address.country" && context.claims["address.country"] == "DE"`, nil, true},
		"a claim named by a URL":      {`context.claims has "https://example.com/org" && context.claims["https://example.com/org"] == "eng"`, nil, true},
		"a missing claim":             {`context.claims has missing`, nil, false},
		"a claim that is null":        {`context.claims has nothing`, nil, false},
		"a claim of another type":     {`context.claims has level`, map[string]any{"level": "5"}, false},
		"a set with a number":         {`context.claims has teams`, map[string]any{"teams": []any{"a", int64(1)}}, false},
		"a number that is no integer": {`context.claims has level`, map[string]any{"level": 5.5}, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: `permit(principal, action, resource) when { ` + c.condition + ` };`, claims: claims}.must(t)
			given := map[string]any{}
			for claim, value := range all {
				given[claim] = value
			}
			for claim, value := range c.change {
				given[claim] = value
			}
			principal := policy.NewUser("alice", "https://idp", nil, nil, given)
			set.Declare(principal, given)
			request := call("list", `{}`)
			request.Principal = principal
			if got := set.Decide(t.Context(), request); got.Allowed != c.want {
				t.Errorf("%+v, want %t", got, c.want)
			}
		})
	}
}

func TestAForbidThatReadsAClaimOfAnotherTypeDenies(t *testing.T) {
	set := source{claims: `{"level":"Long","other":"Long"}`, policies: permitAll + `
forbid(principal, action == MCP::Action::"list", resource) when { context.claims has level && context.claims.level < 3 };`}.must(t)
	claims := map[string]any{"level": "1", "other": "1"}
	principal := policy.NewUser("alice", "https://idp", nil, nil, claims)
	set.Declare(principal, claims)
	for tool, want := range map[string]bool{"list": false, "drop": true} {
		request := call(tool, `{}`)
		request.Principal = principal
		if got := set.Decide(t.Context(), request); got.Allowed != want || !want && !strings.Contains(fmt.Sprint(got.Errors), "claims.level is not a Long") {
			t.Errorf("%s: %+v", tool, got)
		}
	}
}

func TestAClaimOfAnotherTypeDeniesWhereItsAbsenceSpeaksForTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		want     bool
	}{
		"a forbid that asks whether it is there": {permitAll + `forbid(principal, action, resource) when { context.claims has quarantined };`, false},
		"a forbid that asks whether it is not":   {permitAll + `forbid(principal, action, resource) unless { context.claims has quarantined };`, false},
		"a forbid about other tools":             {permitAll + `forbid(principal, action == MCP::Action::"drop", resource) when { context.claims has quarantined };`, true},
		"a permit unless it is there":            {`permit(principal, action, resource) unless { context.claims has quarantined && context.claims.quarantined };`, false},
		"a permit when it is not there":          {`permit(principal, action, resource) when { !(context.claims has quarantined) };`, false},
		"a permit when asking gives false":       {`permit(principal, action, resource) when { (context.claims has quarantined) == false };`, false},
		"a permit that turns on it":              {`permit(principal, action, resource) when { if context.claims has quarantined then false else true };`, false},
		"a permit that needs it, beside another": {permitAll + `permit(principal, action, resource) when { context.claims has quarantined && context.claims.quarantined };`, true},
		"a permit that needs it, and no other":   {`permit(principal, action, resource) when { context.claims has quarantined && context.claims.quarantined };`, false},
		"policies that ask for another claim":    {permitAll + `forbid(principal, action, resource) when { context.claims has other };`, true},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{claims: `{"quarantined":"Bool","other":"Bool"}`, policies: c.policies}.must(t)
			claims := map[string]any{"quarantined": "yes"}
			principal := policy.NewUser("alice", "https://idp", nil, nil, claims)
			set.Declare(principal, claims)
			request := call("list", `{}`)
			request.Principal = principal
			if got := set.Decide(t.Context(), request); got.Allowed != c.want {
				t.Errorf("with arguments: %+v", got)
			}
			if got := set.DecideWithAnyArguments(t.Context(), request); got.Allowed != c.want {
				t.Errorf("with any arguments: %+v", got)
			}
		})
	}
}

func TestManyValuesThatCannotBeComparedCountAsOne(t *testing.T) {
	var arguments strings.Builder
	arguments.WriteString(`{"a":{"k":1e-9`)
	for n := range 5000 {
		fmt.Fprintf(&arguments, `,"k%d":1e-9`, n)
	}
	arguments.WriteString(`},"b":1}`)
	for condition, argument := range map[string]string{
		`context.input has a && context.input.a == 1`:                                                            "a.k",
		`context.input has a && context.input.a has k4999 && context.input.a.k4999 == 1 && context.input.a == 1`: "a.k",
	} {
		set := source{policies: permitAll + `forbid(principal, action == MCP::Action::"list", resource) when { ` + condition + ` };`}.must(t)
		if got := set.Decide(t.Context(), call("list", arguments.String())); got.Allowed || got.Argument != argument {
			t.Errorf("%s: %+v", condition, got)
		}
	}
}

func TestClaimsThatAreDeclaredWronglyAreNamed(t *testing.T) {
	for claims, want := range map[string]string{
		`[]`:                 "is not an object of claims",
		`{"a":"Decimal"}`:    `claim "a": "Decimal" is not Long, String, Bool or Set<String>`,
		`{"a":1}`:            "is not an object of claims",
		`{"a":"Long","a":1}`: "duplicate",
	} {
		if _, _, errs := (source{policies: permitAll, claims: claims}).compile(); !strings.Contains(fmt.Sprint(errs), want) {
			t.Errorf("%s: %v", claims, errs)
		}
	}
	if _, _, errs := (source{policies: `permit(principal, action, resource) when { context.claims.level > 3 };`, claims: `{"level":"Long"}`}).compile(); len(errs) == 0 {
		t.Error("a claim may be read without has")
	}
}

func TestToolsHaveGroupsAndAttributesOfTheUsersOwn(t *testing.T) {
	entities := `[
{"uid":{"type":"MCP::Tool","id":"list"},"attrs":{"acme":{"cost":2}},"parents":[{"type":"MCP::ToolGroup","id":"cheap"}]},
{"uid":{"type":"MCP::ToolGroup","id":"cheap"},"attrs":{},"parents":[{"type":"MCP::ToolGroup","id":"harmless"}]},
{"uid":{"type":"MCP::ToolGroup","id":"harmless"},"attrs":{},"parents":[]}]`
	for condition, want := range map[string]bool{
		`permit(principal, action, resource in MCP::ToolGroup::"cheap");`:                                                      true,
		`permit(principal, action, resource in MCP::ToolGroup::"harmless");`:                                                   true,
		`permit(principal, action, resource in MCP::Server::"aws");`:                                                           true,
		`permit(principal, action in MCP::Action::"CallTool", resource) when { resource has acme && resource.acme.cost < 3 };`: true,
		`permit(principal, action, resource in MCP::ToolGroup::"other");`:                                                      false,
	} {
		set := source{policies: condition, entities: entities}.must(t)
		if got := set.Decide(t.Context(), call("list", `{}`)); got.Allowed != want {
			t.Errorf("%s: %+v", condition, got)
		}
		if got := set.Decide(t.Context(), call("drop", `{}`)); got.Allowed && !strings.Contains(condition, "Server") {
			t.Errorf("%s, of a tool in no group: %+v", condition, got)
		}
	}
	for name, bad := range map[string]string{
		"a built-in attribute":  `[{"uid":{"type":"MCP::Tool","id":"list"},"attrs":{"readOnly":true},"parents":[]}]`,
		"a parent that is none": `[{"uid":{"type":"MCP::Tool","id":"list"},"attrs":{},"parents":[{"type":"MCP::Group","id":"x"}]}]`,
	} {
		if _, _, errs := (source{policies: permitAll, entities: bad}).compile(); len(errs) == 0 {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestConditionsOfOnePolicyAreJoined(t *testing.T) {
	set := source{policies: `permit(principal, action == MCP::Action::"list", resource) when { context.input has x } when { context.input.x == 1 } unless { context.input has y && context.input.y };`, tools: `{"tools":[{"name":"list","inputSchema":{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"boolean"}}}}]}`}.must(t)
	for arguments, want := range map[string]bool{`{"x":1}`: true, `{"x":2}`: false, `{}`: false, `{"x":1,"y":true}`: false} {
		if got := set.Decide(t.Context(), call("list", arguments)); got.Allowed != want {
			t.Errorf("%s: %+v", arguments, got)
		}
	}
}
