package check_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/check"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/servertools"
	"github.com/countersign-io/countersign/pkg/toolslock"
)

// world is everything that an auth-config refers to.
type world struct {
	issuer *standin.Issuer
	sts    *standin.STS
	aws    *standin.MCPServer
	files  authconfig.Files
	token  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{issuer: standin.NewIssuer()}
	t.Cleanup(w.issuer.Close)
	w.sts = standin.NewSTS(w.issuer.URL, "aud")
	t.Cleanup(w.sts.Close)
	w.aws = standin.NewMCPServer(standin.MCPOptions{STS: w.sts})
	t.Cleanup(w.aws.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", w.sts.URL)
	w.token = w.issuer.Token(map[string]any{"sub": "alice", "aud": "aud", "groups": []string{"readers"}})
	w.files = authconfig.Files{
		"auth-config.yaml": fmt.Sprintf(`apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts: {region: us-east-1, roleMappings: [{claim: readers, roleArn: "arn:aws:iam::123456789012:role/R"}]}
`, w.aws.URL, w.issuer.URL),
		"p.cedar": `permit (principal in MCP::Group::"readers", action == MCP::Action::"echo", resource);`,
	}
	return w
}

func (w *world) look(t *testing.T) *check.Report {
	t.Helper()
	return w.lookAs(t, nil)
}

// lookAs is look with AWS credentials of the user's.
func (w *world) lookAs(t *testing.T, credentials *aws.Config) *check.Report {
	t.Helper()
	config, err := compile.Files(w.files, policy.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	r := &check.Report{}
	check.Config(t.Context(), check.ConfigRequest{Name: "aws-mcp", Files: w.files, Compiled: config, Token: w.token, AWS: credentials}, r)
	return r
}

func (w *world) replace(from, to string) {
	w.files["auth-config.yaml"] = strings.ReplaceAll(w.files["auth-config.yaml"], from, to)
}

// brokenIssuer answers as an issuer does, with one thing wrong.
func brokenIssuer(t *testing.T, serve func(w http.ResponseWriter, r *http.Request, self string)) string {
	t.Helper()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, server.URL) }))
	t.Cleanup(server.Close)
	return server.URL
}

func discovery(w http.ResponseWriter, issuer string) {
	_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%s/keys"}`, issuer, issuer)
}

func TestWhatAnAuthConfigRefersTo(t *testing.T) {
	w := newWorld(t)
	if r := w.look(t); r.Failed() || len(r.Facts) < 7 {
		t.Fatalf("all is well, and it says %+v", r.Facts)
	}
	for name, c := range map[string]struct {
		breakIt        func(t *testing.T, w *world)
		detail, advice string
	}{
		"the issuer is not there": {func(_ *testing.T, w *world) { w.replace(w.issuer.URL, "http://127.0.0.1:1") }, "connection refused", "identity.oidc.issuer"},
		"the issuer calls itself otherwise": {func(t *testing.T, w *world) {
			w.replace(w.issuer.URL, brokenIssuer(t, func(a http.ResponseWriter, _ *http.Request, self string) { discovery(a, self+"/") }))
		}, "calls itself", "slash at the end and all"},
		"the issuer answers with a page": {func(t *testing.T, w *world) {
			w.replace(w.issuer.URL, brokenIssuer(t, func(a http.ResponseWriter, _ *http.Request, _ string) { _, _ = a.Write([]byte("<html>")) }))
		}, "not JSON", "the issuer's own address"},
		"the issuer has no keys that STS knows": {func(t *testing.T, w *world) {
			w.replace(w.issuer.URL, brokenIssuer(t, func(a http.ResponseWriter, r *http.Request, self string) {
				if r.URL.Path == "/keys" {
					_, _ = a.Write([]byte(`{"keys":[{"kty":"OKP","use":"sig"},{"kty":"RSA","use":"enc"}]}`))
					return
				}
				discovery(a, self)
			}))
		}, "none of them is an RSA or EC key", "RS256 to RS512"},
		"the issuer's keys are not there": {func(t *testing.T, w *world) {
			w.replace(w.issuer.URL, brokenIssuer(t, func(a http.ResponseWriter, r *http.Request, self string) {
				if r.URL.Path == "/keys" {
					http.NotFound(a, r)
					return
				}
				discovery(a, self)
			}))
		}, "404", "is reached from Pods"},
		"the clocks differ": {func(t *testing.T, w *world) {
			w.replace(w.issuer.URL, brokenIssuer(t, func(a http.ResponseWriter, _ *http.Request, self string) {
				a.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
				discovery(a, self)
			}))
		}, " apart", "NTP"},
		"STS is not there": {func(t *testing.T, _ *world) { t.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1") }, "connection refused", "let Pods reach"},
		"the token is for somebody else": {func(_ *testing.T, w *world) {
			w.token = w.issuer.Token(map[string]any{"sub": "alice", "aud": "other", "groups": []string{"readers"}})
		}, "refused, 401", "docs/operations.md"},
		"the token has expired": {func(_ *testing.T, w *world) {
			w.token = w.issuer.Token(map[string]any{"sub": "alice", "aud": "aud", "exp": time.Now().Add(-time.Hour).Unix()})
		}, "has expired", "docs/operations.md"},
		"the caller has no role": {func(_ *testing.T, w *world) {
			w.token = w.issuer.Token(map[string]any{"sub": "bob", "aud": "aud", "groups": []string{"nobody"}})
		}, "no role", "add a mapping"},
		"the role does not trust the provider": {func(_ *testing.T, w *world) { w.sts.Untrusted["arn:aws:iam::123456789012:role/R"] = true }, "(stsAccessDenied)", "trust policy must name the provider"},
		"IAM does not know the provider":       {func(_ *testing.T, w *world) { w.sts.SetProvider(w.issuer.URL, "other") }, "(identityProviderConfig)", "register the issuer with IAM"},
		"the upstream is not there":            {func(_ *testing.T, w *world) { w.replace(w.aws.URL, "http://127.0.0.1:1/mcp") }, "(upstream)", "see whether the upstream's URL"},
		"a policy names a tool that the server does not have": {func(_ *testing.T, w *world) {
			w.files["p.cedar"] += "\n" + `permit (principal, action == MCP::Action::"ecko", resource);`
		}, "policy p.cedar/1 names the tool ecko", "did you mean echo?"},
		"the tools are not as they were pinned": {func(t *testing.T, w *world) {
			list, err := servertools.List(t.Context(), servertools.Request{Files: w.files, Token: w.token})
			if err != nil {
				t.Fatal(err)
			}
			hashes, err := toolslock.Of(list)
			if err != nil {
				t.Fatal(err)
			}
			hashes["echo"] = "sha256:" + strings.Repeat("0", 64)
			delete(hashes, "count")
			text, err := (&toolslock.Lock{Version: 1, Upstreams: map[string]map[string]string{"aws": hashes}}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			w.files["tools.lock"] = string(text)
		}, `{"new":["count"],"changed":["echo"]}`, "tools diff"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.breakIt(t, w)
			wantFailure(t, w.look(t), c.detail, c.advice)
		})
	}
}

func wantFailure(t *testing.T, r *check.Report, detail, advice string) {
	t.Helper()
	wantFact(t, r, check.Fail, detail, advice)
	if code := r.ExitCode(); code != 1 {
		t.Errorf("exit %d", code)
	}
}
