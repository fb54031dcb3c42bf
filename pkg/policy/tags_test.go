package policy_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/countersign-io/countersign/pkg/policy"
)

func TestOnlyClaimsThatPoliciesAskForAreKept(t *testing.T) {
	claims := map[string]any{
		"dept": "finance", "email": "alice@example.com", "address": map[string]any{"country": "DE", "city": "Ulm"},
		"address.zip": "89073", "addressee": "x", "teams": []any{"a"},
	}
	for name, c := range map[string]struct {
		condition string
		kept      []string
	}{
		"none":                     {`context.role like "*"`, nil},
		"one":                      {`principal.hasTag("dept") && principal.getTag("dept").contains("finance")`, []string{"dept"}},
		"whether there is one":     {`principal.hasTag("teams")`, []string{"teams"}},
		"a member of one":          {`principal.hasTag("address.country") && principal.getTag("address.country").contains("DE")`, []string{"address"}},
		"a name with a dot":        {`principal.hasTag("address.zip")`, []string{"address", "address.zip"}},
		"one that no caller has":   {`!principal.hasTag("nobody")`, nil},
		"behind an if":             {`if principal.hasTag("dept") then principal.getTag("dept").contains("finance") else false`, []string{"dept"}},
		"a name that is made":      {`principal.hasTag(if context.role like "*R" then "dept" else "email")`, slices.Sorted(maps.Keys(claims))},
		"in an unless of a forbid": {`true };forbid (principal, action, resource) unless { principal.hasTag("email")`, []string{"email"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: "permit (principal, action, resource) when { " + c.condition + " };"}.must(t)
			kept := set.TagClaims(claims)
			if got := slices.Sorted(maps.Keys(kept)); !slices.Equal(got, c.kept) {
				t.Errorf("kept %q", got)
			}
			all, some := call("list", `{}`), call("list", `{}`)
			all.Principal = policy.NewUser("alice", "https://idp", nil, nil, claims)
			some.Principal = policy.NewUser("alice", "https://idp", nil, nil, kept)
			if a, b := set.Decide(t.Context(), all), set.Decide(t.Context(), some); a.Allowed != b.Allowed || !a.Allowed {
				t.Errorf("allowed %v with all claims, %v with those", a.Allowed, b.Allowed)
			}
		})
	}
	var none *policy.Set
	if got := none.TagClaims(claims); len(got) > 0 {
		t.Errorf("without policies %v is kept", got)
	}
}
