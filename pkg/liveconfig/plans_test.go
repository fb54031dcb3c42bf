package liveconfig_test

import (
	"fmt"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/liveconfig"
)

const oneRole = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign}}
  awsSts:
    region: us-east-1
    roleMappings:
    - {claim: everybody, roleArn: "arn:aws:iam::123456789012:role/Everybody", priority: 1}
`

func TestRolesThatAreForgottenAreCounted(t *testing.T) {
	evicted := map[string]int{}
	configs := liveconfig.NewStore(liveconfig.Options{Evicted: func(cache string) { evicted[cache]++ }})
	defer configs.Close()
	if err := configs.Load(authconfig.Files{"auth-config.yaml": oneRole}); err != nil {
		t.Fatal(err)
	}
	plan := func(n int) *liveconfig.Plan {
		p, err := configs.Current().PlanFor(t.Context(), &identity.Caller{
			Issuer: "https://idp.example.com", Subject: fmt.Sprint(n), Token: identity.NewToken(fmt.Sprint(n)),
			Claims: map[string]any{"sub": fmt.Sprint(n), "groups": []any{"everybody"}},
		})
		if err != nil || p.Err != nil {
			t.Fatal(err, p.Err)
		}
		return p
	}
	const remembered = 10_000
	first, last := plan(0), (*liveconfig.Plan)(nil)
	for n := 1; n < remembered+7; n++ {
		last = plan(n)
	}
	if evicted["roles"] != 7 || len(evicted) != 1 {
		t.Errorf("forgotten: %v", evicted)
	}
	if plan(remembered+6) != last || plan(0) == first {
		t.Error("not the caller longest unseen is forgotten")
	}
}
