package rolemap

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

func role(t *testing.T, name string) authconfig.RoleARN {
	t.Helper()
	arn, err := authconfig.ParseRoleARN("arn:aws:iam::123456789012:role/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

func mapper(t *testing.T, fallback bool) *Mapper {
	t.Helper()
	one, ten := 1, 10
	config := &authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub", RoleMappings: []authconfig.RoleMapping{
		{Claim: "late", Role: role(t, "Late")},
		{Claim: "readers", Role: role(t, "Readers"), Priority: &ten},
		{Matcher: `"admins" in claims["groups"] && claims["org"] == "eng"`, Role: role(t, "Admins"), Priority: &one},
		{Matcher: `claims.level >= 5`, Role: role(t, "Level"), Priority: &ten},
		{Claim: "later", Role: role(t, "Later")},
	}}
	if fallback {
		config.FallbackRole = role(t, "Fallback")
	}
	m, errs := Compile(config, false)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return m
}

func TestTheFirstMappingInPriorityOrderWins(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"a claim in a list":                {map[string]any{"groups": []any{"x", "readers"}}, "Readers"},
		"a claim that is a string":         {map[string]any{"groups": "readers"}, "Readers"},
		"a string is not split":            {map[string]any{"groups": "readers late"}, "Fallback"},
		"a lower number first":             {map[string]any{"groups": []any{"readers", "admins"}, "org": "eng"}, "Admins"},
		"the matcher is false":             {map[string]any{"groups": []any{"readers", "admins"}, "org": "ops"}, "Readers"},
		"a matcher that fails is no match": {map[string]any{"groups": []any{"late"}}, "Late"},
		"no priority comes last, in order": {map[string]any{"groups": []any{"later", "late"}}, "Late"},
		"numbers compare across types":     {map[string]any{"level": 5.5}, "Level"},
		"a missing claim is no match":      {map[string]any{}, "Fallback"},
		"null is a missing claim":          {map[string]any{"groups": nil}, "Fallback"},
		"an object matches by its members": {map[string]any{"groups": map[string]any{"readers": true}}, "Readers"},
	} {
		t.Run(name, func(t *testing.T) {
			c.claims["sub"] = "alice"
			got, err := mapper(t, true).Select(c.claims)
			if err != nil || got.Role.Name() != c.want {
				t.Errorf("%v, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestWithoutAFallbackThereMayBeNoRole(t *testing.T) {
	if _, err := mapper(t, false).Select(map[string]any{"sub": "alice"}); !errors.Is(err, ErrNoRole) {
		t.Error(err)
	}
	var name *SessionNameError
	if _, err := mapper(t, true).Select(map[string]any{}); !errors.As(err, &name) {
		t.Error(err)
	}
}

func TestMatcherErrorsHavePathAndPosition(t *testing.T) {
	for matcher, want := range map[string]string{
		`"x" in claim["groups"]`: `spec.awsSts.roleMappings[0].matcher: 1:8: undeclared reference to 'claim'`,
		`claims.org ==`:          `spec.awsSts.roleMappings[0].matcher: 1:`,
		`"text"`:                 `spec.awsSts.roleMappings[0].matcher: 1:1: must be a boolean, not string`,
	} {
		_, errs := Compile(&authconfig.AWSSTS{RoleMappings: []authconfig.RoleMapping{{Matcher: matcher, Role: role(t, "R")}}}, false)
		if len(errs) == 0 || !strings.HasPrefix(errs[0].Error(), want) {
			t.Errorf("%s: %v, want %s", matcher, errs, want)
		}
	}
}

func TestAMatcherThatCostsTooMuchIsNoMatch(t *testing.T) {
	groups := make([]any, 2000)
	for i := range groups {
		groups[i] = "g"
	}
	m, errs := Compile(&authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub", RoleMappings: []authconfig.RoleMapping{
		{Matcher: `claims.groups.all(a, claims.groups.all(b, claims.groups.all(c, a == b || b == c || a == c)))`, Role: role(t, "R")},
	}}, false)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if got, err := m.Select(map[string]any{"sub": "a", "groups": groups}); !errors.Is(err, ErrNoRole) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestClaimsAreFoundByNameAndByPath(t *testing.T) {
	claims := map[string]any{
		"https://example.com/groups": []any{"a"}, "realm_access": map[string]any{"roles": []any{"b"}, "x.y": "c"},
		"a.b": "exact", "a": map[string]any{"b": "nested"},
	}
	for name, want := range map[string]string{"https://example.com/groups": "a", "realm_access.roles": "b", "realm_access.x.y": "c", "a.b": "exact"} {
		value, ok := LookupClaim(claims, name)
		if texts := ClaimTexts(value); !ok || len(texts) != 1 || texts[0] != want {
			t.Errorf("%s: %v", name, value)
		}
	}
	if value, ok := LookupClaim(claims, "a.c"); ok {
		t.Error(value)
	}
}

func TestSessionNamesAreAcceptedBySTSAndNeverShared(t *testing.T) {
	for _, value := range []string{"alice", "alice@example.com", "550e8400-e29b-41d4-a716-446655440000", strings.Repeat("a", 64)} {
		if got := SessionName(value); got != value {
			t.Errorf("%q became %q", value, got)
		}
	}
	seen := map[string]string{}
	long := strings.Repeat("a", 65)
	for _, value := range []string{"auth0|x", "auth0 x", "auth0-x", "a", "ü", "x\n", long, long + "b", "", SessionName("auth0|x"), SessionName(SessionName("auth0|x"))} {
		name := SessionName(value)
		if !sessionNameForm.MatchString(name) {
			t.Errorf("%q: STS refuses %q", value, name)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q share %q", value, other, name)
		}
		seen[name] = value
	}
}

func TestExplainSaysWhy(t *testing.T) {
	outcomes := mapper(t, true).Explain(map[string]any{"groups": "readers"})
	if len(outcomes) != 5 || !strings.Contains(outcomes[0].Reason, "the matcher failed") || !outcomes[1].Matched {
		t.Errorf("%+v", outcomes)
	}
}

func TestAPatternThatWouldTakeMuchMemoryIsRefused(t *testing.T) {
	compile := func(matcher string) authconfig.Errors {
		_, errs := Compile(&authconfig.AWSSTS{RoleMappings: []authconfig.RoleMapping{{Matcher: matcher}}}, false)
		return errs
	}
	if errs := compile(`claims["sub"].matches("^team-[a-z]{1,63}(-[0-9]{1,8})?$")`); len(errs) > 0 {
		t.Errorf("an ordinary one: %v", errs)
	}
	for _, pattern := range []string{`[^a]{1000}[^a]{1000}[^a]{1000}`, `([^a]{30}){30}([^a]{30}){30}`} {
		errs := compile(`claims["sub"].matches("` + pattern + `")`)
		if len(errs) != 1 || errs[0].Position.Line != 1 || !strings.Contains(errs[0].Error(), "too large") {
			t.Errorf("%s: %v", pattern, errs)
		}
	}
}

func TestARoleClaimThatCannotBeComparedIsNoMissingOne(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		shape  string
	}{
		"a number":                        {map[string]any{"groups": int64(7)}, "is a number"},
		"a boolean":                       {map[string]any{"groups": true}, "is a boolean"},
		"a list of objects":               {map[string]any{"groups": []any{map[string]any{"name": "readers"}}}, "is an array that holds an object"},
		"a nested list":                   {map[string]any{"groups": []any{[]any{"readers"}}}, "is an array that holds an array"},
		"a list with null":                {map[string]any{"groups": []any{"readers", nil}}, "is an array that holds null"},
		"left out as a distributed claim": {map[string]any{"_claim_names": map[string]any{"groups": "src1"}}, "was left out by the identity provider (_claim_names)"},
		"left out for its size":           {map[string]any{"hasgroups": true}, "was left out by the identity provider (hasgroups)"},
	} {
		t.Run(name, func(t *testing.T) {
			c.claims["sub"] = "alice"
			var unusable *UnusableClaimError
			if _, err := mapper(t, true).Select(c.claims); !errors.As(err, &unusable) || unusable.Shape != c.shape {
				t.Errorf("%v", err)
			}
			if reason := mapper(t, true).Explain(c.claims)[1].Reason; !strings.Contains(reason, c.shape) {
				t.Errorf("explained as %q", reason)
			}
			one := 1
			for what, config := range map[string]*authconfig.AWSSTS{
				"asked to fall back":  {RoleMappings: []authconfig.RoleMapping{{Claim: "x", Role: role(t, "X")}}, OnUnusableClaim: authconfig.UnusableFallsBack},
				"nothing compares it": {RoleMappings: []authconfig.RoleMapping{{Matcher: "false", Role: role(t, "X"), Priority: &one}}},
			} {
				config.RoleClaim, config.SessionNameClaim, config.FallbackRole = "groups", "sub", role(t, "Fallback")
				m, errs := Compile(config, false)
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				if got, err := m.Select(c.claims); err != nil || got.Role.Name() != "Fallback" {
					t.Errorf("%s: %v, %v", what, got, err)
				}
			}
			m, _ := Compile(&authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub", FallbackRole: role(t, "Fallback")}, true)
			if _, err := m.Select(c.claims); !errors.As(err, &unusable) {
				t.Errorf("policies read groups: %v", err)
			}
		})
	}
}

// TestExtensionsCountAmongAMatchersCost: each of these ran for seconds when a call
// of an extension counted as one.
func TestExtensionsCountAmongAMatchersCost(t *testing.T) {
	groups := func(n int) map[string]any {
		list := make([]any, n)
		for i := range list {
			list[i] = fmt.Sprintf("group-%d", i)
		}
		return map[string]any{"sub": "alice", "groups": list}
	}
	for _, matcher := range []string{
		`claims.groups.all(g, claims.groups.sort().size() > 0)`,
		`claims.groups.all(g, claims.groups.reverse().size() > 0)`,
		`claims.groups.all(g, claims.groups.join(",").size() > 0)`,
		`claims.groups.all(g, "%s%s%s".format([claims.groups, claims.groups, claims.groups]).size() > 0)`,
		`claims.groups.all(g, [claims.groups, claims.groups].flatten().size() > 0)`,
	} {
		m, errs := Compile(&authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub", FallbackRole: role(t, "Fallback"),
			RoleMappings: []authconfig.RoleMapping{{Matcher: matcher, Role: role(t, "Matched")}}}, false)
		if len(errs) > 0 {
			t.Errorf("%s: %v", matcher, errs)
			continue
		}
		begun := time.Now()
		for n, want := range map[int]string{20: "Matched", 4000: "Fallback"} {
			if got, err := m.Select(groups(n)); err != nil || got.Role.Name() != want {
				t.Errorf("%s with %d groups: %v, %v", matcher, n, got.Role.Name(), err)
			}
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %v", matcher, took)
		}
	}
}

func TestMatchersMayUseCELsExtensions(t *testing.T) {
	claims := map[string]any{"sub": "alice", "scope": "mcp:read mcp:write", "email": "Alice@Example.COM", "groups": []any{"a", "b"}, "org": "eng"}
	for matcher, want := range map[string]bool{
		`"mcp:read" in claims["scope"].split(" ")`:                   true,
		`claims.email.lowerAscii().endsWith("@example.com")`:         true,
		`claims.?org.orValue("") == "eng"`:                           true,
		`claims.?missing.orValue("none") == "none"`:                  true,
		`sets.contains(claims.groups, ["a"])`:                        true,
		`sets.intersects(claims.groups, ["x"])`:                      false,
		`claims.groups.slice(0, 1) == ["a"]`:                         true,
		`lists.range(1000000).size() > 0`:                            false,
		`claims.scope.replace("", claims.scope).size() > 1000000000`: false,
	} {
		m, errs := Compile(&authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub", FallbackRole: role(t, "Fallback"),
			RoleMappings: []authconfig.RoleMapping{{Matcher: matcher, Role: role(t, "Matched")}}}, false)
		if len(errs) > 0 {
			t.Errorf("%s: %v", matcher, errs)
			continue
		}
		if got, err := m.Select(claims); err != nil || (got.Role.Name() == "Matched") != want {
			t.Errorf("%s: %v, %v", matcher, got.Role.Name(), err)
		}
	}
}

func TestTheFirstOfManyMappingsThatFitsIsFound(t *testing.T) {
	var mappings []authconfig.RoleMapping
	var groups []any
	for n := range 2000 {
		mappings = append(mappings, authconfig.RoleMapping{
			Role: role(t, fmt.Sprint("R", n)), Claim: fmt.Sprint("mapped-", n),
		})
		groups = append(groups, fmt.Sprint("group-", n))
	}
	m, errs := Compile(&authconfig.AWSSTS{
		RoleClaim: "groups", SessionNameClaim: "sub", RoleMappings: mappings,
	}, false)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	claims := map[string]any{"sub": "alice", "groups": append(groups, "mapped-1999", "mapped-1500")}
	if got, err := m.Select(claims); err != nil || got.Mapping != 1500 {
		t.Errorf("%d %v", got.Mapping, err)
	}
}
