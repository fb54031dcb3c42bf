package compile

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/rolemap"
)

const spec = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}
  - {name: gw, url: "https://gw.gateway.bedrock-agentcore.us-east-1.amazonaws.com/mcp"}
  identity: {source: serviceAccount}
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/F
    roleMappings:
    - claim: a
      roleArn: arn:aws:iam::123456789012:role/A
      sessionPolicy: '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
      policyArns: ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
`

func TestTheGuardrailIsPerUpstream(t *testing.T) {
	c, err := Files(authconfig.Files{"auth-config.yaml": spec}, policy.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		upstream, mapping int
		deny              bool
		allows            int
	}{
		"AWS's own, mapped":     {0, 0, true, 1},
		"AWS's own, fallback":   {0, rolemap.Fallback, true, 1},
		"a gateway, mapped":     {1, 0, false, 1},
		"a gateway, by default": {1, rolemap.Fallback, false, 0},
	} {
		session := c.RoleSession(want.upstream, rolemap.Selection{Mapping: want.mapping, Role: c.AWSSTS.FallbackRole, SessionName: "s"})
		if strings.Contains(session.Policy, "ViaAWSMCPService") != want.deny || strings.Count(session.Policy, "Allow") != want.allows {
			t.Errorf("%s: %s", name, session.Policy)
		}
		if (len(session.PolicyARNs) == 1) != (want.mapping == 0) {
			t.Errorf("%s: %v", name, session.PolicyARNs)
		}
	}
}

func TestFaultsOfEveryKindComeAtOnce(t *testing.T) {
	_, err := Files(authconfig.Files{
		"auth-config.yaml": strings.Replace(spec, "claim: a", "matcher: claim.x", 1) + "  nonsense: 1\n",
		"p.cedar":          "permit(principal, action, resource) when { principal.nme == \"x\" };",
		"q.cedar":          "permit(",
		"tools.json":       "{}",
	}, policy.Pod{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"spec.nonsense:", "spec.awsSts.roleMappings[0].matcher: 1:1: undeclared reference to 'claim'", "p.cedar: 1:1:", "q.cedar: 1:", "tools.json:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %s in\n%v", want, err)
		}
	}
}

func TestASessionPolicyThatIsTooLongIsAFault(t *testing.T) {
	_, err := Files(authconfig.Files{"auth-config.yaml": strings.Replace(spec, "s3:*", strings.Repeat("x", 2048), 1)}, policy.Pod{})
	if err == nil || !strings.Contains(err.Error(), "spec.awsSts.roleMappings[0].sessionPolicy: inline session policy") || strings.Count(err.Error(), "STS takes 2048") != 1 {
		t.Errorf("%v", err)
	}
}

func TestTheExampleIsValid(t *testing.T) {
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "..", "docs", "example")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	files, err := authconfig.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Files(files, policy.Pod{}); err != nil || !slices.Equal(c.Warnings, []string{WithoutExchange}) {
		t.Errorf("%v, %v", err, c.Warnings)
	}
}
