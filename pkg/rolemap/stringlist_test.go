package rolemap

import (
	"fmt"
	"testing"
)

func TestMatchersSeeNoDifferenceInLongLists(t *testing.T) {
	groups := func(mixed bool) []any {
		var all []any
		for n := range 40 {
			all = append(all, fmt.Sprint("group-", n))
		}
		if mixed {
			all[20] = int64(20)
		}
		return all
	}
	claims := map[string]any{
		"groups": groups(false), "mixed": groups(true), "again": groups(false), "one": "group-1",
		"realm": map[string]any{"roles": groups(false), "few": []any{"a"}},
		"list":  []any{map[string]any{"roles": groups(false)}},
	}
	converted, changed := withStringLists(claims)
	if _, replaced := converted["groups"].(*stringList); !changed || !replaced {
		t.Fatal("no list was replaced")
	}
	if _, was := claims["groups"].([]any); !was {
		t.Fatal("the claims themselves were changed")
	}
	for text, want := range map[string]bool{
		`"group-3" in claims.groups`:                                   true,
		`"group-99" in claims.groups`:                                  false,
		`claims.one in claims["groups"]`:                               true,
		`3 in claims.groups`:                                           false,
		`20 in claims.mixed && "group-3" in claims.mixed`:              true,
		`"group-20" in claims.mixed`:                                   false,
		`"group-3" in claims.realm.roles && "a" in claims.realm.few`:   true,
		`claims.list.exists(l, "group-3" in l.roles)`:                  true,
		`claims.groups.exists(g, g.endsWith("-7"))`:                    true,
		`claims.groups.all(g, g.startsWith("group"))`:                  true,
		`size(claims.groups) == 40 && claims.groups.size() == 40`:      true,
		`claims.groups[0] == "group-0" && claims.groups[39] != "x"`:    true,
		`claims.groups == claims.again`:                                true,
		`claims.groups == claims.mixed`:                                false,
		`claims.groups != claims.mixed`:                                true,
		`"x" in (claims.groups + ["x"])`:                               true,
		`"group-3" in (["x"] + claims.groups)`:                         true,
		`sets.contains(claims.groups, ["group-1", "group-2"])`:         true,
		`sets.intersects(claims.groups, ["y", "group-39"])`:            true,
		`sets.equivalent(claims.groups, claims.again)`:                 true,
		`type(claims.groups) == list`:                                  true,
		`claims.groups.join(",").contains("group-3,group-4")`:          true,
		`claims.groups.map(g, g.size()).exists(n, n == 8)`:             true,
		`claims.groups.slice(0, 2) == ["group-0", "group-1"]`:          true,
		`claims.groups.filter(g, g in ["group-1"]) == ["group-1"]`:     true,
		`claims.groups in [claims.again]`:                              true,
		`claims.?groups.orValue([]).exists(g, g == "group-2")`:         true,
		`dyn(claims.groups) == dyn(["group-0"])`:                       false,
		`has(claims.groups) && !has(claims.nothing)`:                   true,
		`[claims.groups, ["x"]].flatten().exists(g, g == "group-3")`:   true,
		`claims.groups.filter(g, g != "group-0").reverse().size() > 1`: true,
	} {
		m, errs := compileMatcher("m", text)
		if len(errs) > 0 {
			t.Errorf("%s: %v", text, errs)
			continue
		}
		plain, plainErr := m.match(claims)
		got, err := m.match(converted)
		if plainErr != nil || err != nil || plain != want || got != want {
			t.Errorf("%s: %t %v in place of %t %v", text, got, err, plain, plainErr)
		}
	}
}
