package compile

import (
	"slices"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
)

func TestWhatAnExchangeLeavesOpenIsWarnedOf(t *testing.T) {
	const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: IDENTITY
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
`
	const oidc = `{source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign`
	const mounted = "id: c, secretRef: {name: a, key: b}"
	for name, c := range map[string]struct {
		identity string
		want     []string
	}{
		"no exchange":               {oidc + "}}", []string{WithoutExchange}},
		"the service account":       {"{source: serviceAccount}", nil},
		"an exchange":               {oidc + ", exchange: {client: {" + mounted + "}}}}", nil},
		"nothing shows the subject": {oidc + ", exchange: {subjectClaim: '', client: {" + mounted + "}}}}", []string{"subjectClaim is empty"}},
		"no Secret to mount":        {oidc + ", exchange: {client: {id: c}}}}", nil},
		"any client will do":        {oidc + ", exchange: {authorizedParty: none, client: {" + mounted + "}}}}", []string{"has no authorizedParty"}},
		"parties that nobody reads": {oidc + ", authorizedParties: [x], exchange: {client: {" + mounted + "}}}}", []string{"authorizedParties is not used"}},
	} {
		compiled, err := Files(authconfig.Files{"auth-config.yaml": strings.Replace(config, "IDENTITY", c.identity, 1)}, policy.Pod{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(compiled.Warnings, c.want, func(got, want string) bool { return strings.Contains(got, want) }) {
			t.Errorf("%s: %q, want %q", name, compiled.Warnings, c.want)
		}
	}
}
