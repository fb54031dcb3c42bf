package compile

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
)

func TestTheExchangesInTheDocumentationAreValid(t *testing.T) {
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "docs", "identity.md"))
	if err != nil {
		t.Fatal(err)
	}
	const begin = "       exchange:"
	count := 0
	for _, section := range strings.Split(string(text), "\n### ") {
		name, _, _ := strings.Cut(section, "\n")
		for _, block := range strings.Split(section, "\n"+begin)[1:] {
			count++
			var lines []string
			for line := range strings.Lines(block) {
				if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "         ") {
					break
				}
				lines = append(lines, line)
			}
			config := `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
  identity:
    source: bearer
    oidc:
       issuer: https://idp.example.com
       audience: countersign
` + begin + strings.Join(lines, "")
			c, err := Files(authconfig.Files{"auth-config.yaml": config}, policy.Pod{})
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, config)
				continue
			}
			for _, warning := range c.Warnings {
				// Where the issuer is one for all, and sets no azp, it says so itself.
				if !strings.Contains(warning, "has no authorizedParty") {
					t.Errorf("%s: %s", name, warning)
				}
			}
		}
	}
	if count < 7 {
		t.Errorf("only %d exchanges are in the documentation", count)
	}
}
