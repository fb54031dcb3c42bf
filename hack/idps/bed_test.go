package idps

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
)

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp}]
  identity:
    source: bearer
    oidc:
      issuer: %q
      audience: countersign
      exchange: %s
  awsSts: {region: us-east-1, sessionNameClaim: %s, fallbackRoleArn: "arn:aws:iam::123456789012:role/Default"}
`

// provider is an identity provider with what its users and the sidecar have there.
type provider struct {
	// issuer of callers' tokens; audience and party are those of exchanged ones.
	issuer          string
	exchange        string
	exchangedIssuer string
	audience, party string
	// nameClaim names the role session.
	nameClaim string
	// credential is the content of the file that authenticates the sidecar.
	credential []byte
	// token is a caller's.
	token func(t *testing.T, user string) string
	// rotate has the provider sign with a new key.
	rotate func(t *testing.T)
}

// bed is the real sidecar between stand-ins of AWS and a provider.
type bed struct {
	provider   *provider
	sts        *standin.STS
	sidecar    *standin.Process
	credential string
}

// sidecarBinary is the program that was built.
func sidecarBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("SIDECAR")
	if binary == "" {
		t.Fatal("SIDECAR does not name the sidecar's program; `make idps` sets it")
	}
	return binary
}

func newBed(t *testing.T, p *provider) *bed {
	t.Helper()
	b := &bed{provider: p, sts: standin.NewSTS(p.exchangedIssuer, p.audience)}
	t.Cleanup(b.sts.Close)
	b.sts.SetProvider(p.exchangedIssuer, p.audience, p.party)
	aws := standin.NewMCPServer(standin.MCPOptions{STS: b.sts, AWSOnly: true, JSON: true, Stateless: true})
	t.Cleanup(aws.Close)
	dir := t.TempDir()
	b.credential = filepath.Join(t.TempDir(), "credential")
	b.write(t, p.credential)
	config := fmt.Sprintf(authConfig, aws.URL, p.issuer, p.exchange, p.nameClaim)
	process, err := standin.StartSidecarWithFlags(t.Context(), sidecarBinary(t), dir, map[string]string{
		"auth-config.yaml": config,
	}, []string{"--exchange-credential", b.credential}, "AWS_ENDPOINT_URL_STS="+b.sts.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.sidecar = process
	t.Cleanup(func() {
		_ = process.Stop()
		if t.Failed() {
			t.Log(process.Log())
		}
	})
	return b
}

func (b *bed) write(t *testing.T, credential []byte) {
	t.Helper()
	if err := os.WriteFile(b.credential, credential, 0o600); err != nil {
		t.Fatal(err)
	}
}

// whoAmI calls AWS's server through the sidecar, and gives the ARN that AWS sees, or the
// status and answer of a refusal.
func (b *bed) whoAmI(t *testing.T, token string) (status int, answer string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{
			"name": "aws___run_script", "arguments": map[string]any{"code": standin.ScriptWhoAmI},
			"_meta": map[string]any{
				"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
				"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "idps", "version": "1"},
				"io.modelcontextprotocol/clientCapabilities": map[string]any{},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.sidecar.URL+"/mcp", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + token,
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "aws___run_script",
	} {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (b *bed) wantUser(t *testing.T, user string) {
	t.Helper()
	status, answer := b.whoAmI(t, b.provider.token(t, user))
	if status != http.StatusOK || !strings.Contains(answer, "assumed-role/Default/"+user) {
		t.Fatalf("%s: %d %s", user, status, answer)
	}
}

// wantRefusedBySTS takes a caller's token to STS, as an agent could.
func (b *bed) wantRefusedBySTS(t *testing.T, token string) {
	t.Helper()
	response, err := http.PostForm(b.sts.URL, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {"arn:aws:iam::123456789012:role/Default"},
		"RoleSessionName": {"agent"}, "DurationSeconds": {"900"}, "WebIdentityToken": {token},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("STS answers the agent's own token with %d", response.StatusCode)
	}
}
