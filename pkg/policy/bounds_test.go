package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// each gives what one makes of 0 to n-1, listOf the same with commas between.
func each(n int, one func(i int) string) []string {
	var parts []string
	for i := range n {
		parts = append(parts, one(i))
	}
	return parts
}

func listOf(n int, one func(i int) string) string { return strings.Join(each(n, one), ",") }

func when(condition string) string {
	return "permit(principal, action, resource) when { " + condition + " };"
}

func TestWhatWouldTakeTooLongIsRefusedBeforeItIsParsed(t *testing.T) {
	deep := func(open, inside, end string, n int) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
	}
	tool := func(schema string) string {
		return `{"tools":[{"name":"x","inputSchema":{"type":"object","properties":{"a":` + schema + `}}}]}`
	}
	entity := func(attribute string) string {
		return `[{"uid":{"type":"T","id":"x"},"parents":[],"attrs":{"a":` + attribute + `}}]`
	}
	for name, c := range map[string]struct {
		source source
		want   string
	}{
		"132 000 times !":        {source{policies: when(strings.Repeat("!", 132_000) + "true")}, "is longer than 131072 bytes"},
		"100 000 times !":        {source{policies: when(strings.Repeat("!", 100_000) + "true")}, "more than 4 of ! and - follow each other"},
		"100 000 times -":        {source{policies: when(strings.Repeat("-", 100_000) + "1 == 1")}, "more than 4 of ! and - follow each other"},
		"16 000 parts of a path": {source{policies: when("context has a" + strings.Repeat(".a", 16_000))}, "a path of attributes has more than 64"},
		"a path with spaces":     {source{policies: when("context" + strings.Repeat(" . a", 65) + " == 1")}, "a path of attributes has more than 64"},
		"15 000 operators":       {source{policies: when("true" + strings.Repeat(" && true", 15_000))}, "more than 8192 words and signs"},
		"many ifs":               {source{policies: when(strings.Repeat("if true then true else ", 101) + "true")}, "more than 100 ifs"},
		"records in records":     {source{policies: when(deep("{a:", "1", "}", 14_000) + " == 1")}, "is nested more than 100 deep"},
		"behind a comment with a quote": {
			source{policies: "// it's \" one\n" + when(deep("(", "true", ")", 101))}, "p.cedar: 2:144: is nested more than 100 deep",
		},
		"behind a comment of the other kind": {source{policies: "/* \" */" + when(deep("(", "true", ")", 101))}, "is nested more than 100 deep"},
		"behind a quote in a string":         {source{policies: when(`"\"" == "` + `" && ` + deep("(", "true", ")", 101))}, "is nested more than 100 deep"},
		"schemas in schemas":                 {source{policies: when("true"), tools: tool(deep(`{"type":"object","properties":{"a":`, `{"type":"string"}`, "}}", 4_900))}, "tools.json: is nested more than 64 deep"},
		"lists in lists":                     {source{policies: when("true"), tools: tool(deep(`{"type":"array","items":`, `{"type":"string"}`, "}", 4_900))}, "tools.json: is nested more than 64 deep"},
		"too many tools": {
			source{policies: when("true"), tools: `{"tools":[` + listOf(1001, func(i int) string { return fmt.Sprintf(`{"name":"t%d","inputSchema":{}}`, i) }) + `]}`},
			"tools.json: has more than 1000 tools",
		},
		"a policy for each of 999 tools": {
			source{policies: strings.Join(each(999, func(i int) string {
				return fmt.Sprintf(`permit(principal, action == MCP::Action::"t%d", resource);`, i)
			}), "\n")}, "there are too many policies (999) for so many tools",
		},
		"values in values":               {source{policies: when("true"), entities: entity(deep(`{"a":`, "1", "}", 100))}, "entities.json: is nested more than 32 deep"},
		"sets whose members may collide": {source{policies: when("true"), entities: entity("[" + listOf(2_100, func(i int) string { return fmt.Sprintf("[%d,%d]", i, -i) }) + "]")}, "entities.json: has sets that are too large"},
		"too many values":                {source{policies: when("true"), entities: entity("[" + listOf(60_000, func(int) string { return "1" }) + "]")}, "entities.json: has more than 50000 values and names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, errs := c.source.compile()
			if err := errs.AsError(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatPeopleWriteIsWithinTheBounds(t *testing.T) {
	for name, c := range map[string]source{
		"a list of 500 names":       {policies: when("[" + listOf(500, func(i int) string { return fmt.Sprintf(`"%d"`, i) }) + `].contains(context.server)`)},
		"a chain of 200 conditions": {policies: when(strings.Join(each(200, func(i int) string { return fmt.Sprintf(`context.server == "%d"`, i) }), " || "))},
		"comments, strings, paths":  {policies: "// a {{{{ comment \"\n/* {{{ */ " + when(`context.server like "*{{{\"*" || !(context.pod.name == "x")`)},
		"a diamond of parents of 40 layers": {
			policies: `permit(principal, action, resource in MCP::Server::"s");`,
			entities: "[" + listOf(80, func(i int) string {
				parents := ""
				if i > 1 {
					parents = listOf(2, func(n int) string { return fmt.Sprintf(`{"type":"MCP::Group","id":"%d-%d"}`, i/2-1, n) })
				}
				return fmt.Sprintf(`{"uid":{"type":"MCP::Group","id":"%d-%d"},"attrs":{},"parents":[%s]}`, i/2, i%2, parents)
			}) + "]",
		},
		"100 policies for 100 tools": {policies: strings.Join(each(100, func(i int) string {
			return fmt.Sprintf(`permit(principal, action == MCP::Action::"t%d", resource);`, i)
		}), "\n")},
	} {
		if _, _, errs := c.compile(); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestAQuestionThatNobodyWaitsForIsDenied(t *testing.T) {
	set := source{policies: strings.Repeat(`permit(principal, action, resource);`+"\n", 100)}.must(t)
	ctx, cancel := context.WithCancel(t.Context())
	if got := set.Decide(ctx, call("list", `{}`)); !got.Allowed {
		t.Errorf("%+v", got)
	}
	cancel()
	if got := set.Decide(ctx, call("list", `{}`)); got.Allowed || len(got.Errors) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestListsOfOneCallThatMayCollideAreBounded(t *testing.T) {
	list := "[" + listOf(1_000, func(i int) string { return fmt.Sprintf("[%d,%d]", i, -i) }) + "]"
	set := source{policies: when(`context.input has a && context.input.a == [1] || context.input has b && context.input.b == [1] || context.input has c && context.input.c == [1]`)}.must(t)
	if got := set.Decide(t.Context(), call("list", `{"a":`+list+`,"b":`+list+`,"c":`+list+`}`)); got.Allowed || !strings.Contains(got.ArgumentFault, "one of too many long lists") {
		t.Errorf("%+v", got)
	}
}

func FuzzPolicyTextsNeverEndTheProcess(f *testing.F) {
	f.Add(`permit(principal, action, resource) when { context has a.b && !(1 + -2 == 3) };`)
	f.Add("// \"\n/* */ @id(\"x\") forbid(principal, action, resource) unless { if true then [1].contains(2) else {a: 1}.a == 1 };")
	f.Fuzz(func(_ *testing.T, text string) {
		source{policies: text}.compile()
	})
}
