package rolemap

import (
	"fmt"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// BenchmarkSelect finds a role among few and many mappings, of which the last fits, for
// callers with few and many groups. It happens once for each token.
func BenchmarkSelect(b *testing.B) {
	arn, err := authconfig.ParseRoleARN("arn:aws:iam::123456789012:role/R")
	if err != nil {
		b.Fatal(err)
	}
	for _, mappings := range []int{2, 2000} {
		for _, groups := range []int{5, 2000} {
			for _, kind := range []string{"claims", "matchers"} {
				b.Run(fmt.Sprintf("%d %s, %d groups", mappings, kind, groups), func(b *testing.B) {
					config := &authconfig.AWSSTS{RoleClaim: "groups", SessionNameClaim: "sub"}
					for n := range mappings {
						name := fmt.Sprintf("group-of-mapping-%d", n)
						if n == mappings-1 {
							name = "group-0"
						}
						mapping := authconfig.RoleMapping{Role: arn, Claim: name}
						if kind == "matchers" {
							mapping = authconfig.RoleMapping{Role: arn, Matcher: fmt.Sprintf("%q in claims.groups", name)}
						}
						config.RoleMappings = append(config.RoleMappings, mapping)
					}
					m, errs := Compile(config, false)
					if len(errs) > 0 {
						b.Fatal(errs)
					}
					held := make([]any, groups)
					for n := range held {
						held[n] = fmt.Sprintf("group-%d", n)
					}
					claims := map[string]any{"sub": "alice", "groups": held}
					b.ReportAllocs()
					for b.Loop() {
						if selected, err := m.Select(claims); err != nil || selected.Mapping != mappings-1 {
							b.Fatal(selected, err)
						}
					}
				})
			}
		}
	}
}
