package compile_test

import (
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/policy"
)

func TestAHostThatSaysNothingOfItsServiceEarnsAWarning(t *testing.T) {
	for name, c := range map[string]struct {
		upstream string
		warned   bool
	}{
		"a name of one's own":             {`url: "https://mcp.example.com/mcp"`, true},
		"and a service that is written":   {`url: "https://mcp.example.com/mcp", service: lambda`, false},
		"AWS's own server":                {`url: "https://aws-mcp.us-east-1.api.aws/mcp"`, false},
		"a Lambda URL":                    {`url: "https://x.lambda-url.eu-west-1.on.aws/"`, false},
		"another name of AWS's customers": {`url: "https://x.something.eu-west-1.on.aws/"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := compile.Files(authconfig.Files{"auth-config.yaml": `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, ` + c.upstream + `}]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: x}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
`}, policy.Pod{})
			if err != nil {
				t.Fatal(err)
			}
			if warned := strings.Contains(strings.Join(config.Warnings, "\n"), "says nothing of a service"); warned != c.warned {
				t.Errorf("%q", config.Warnings)
			}
		})
	}
}
