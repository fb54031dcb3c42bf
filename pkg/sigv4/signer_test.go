package sigv4_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/sigv4"
)

// verified is an STS with one credential and a verifier that knows it; the
// verifier is checked against AWS's vectors and shares no code with the signer.
func verified(t *testing.T) (*standin.Verifier, aws.Credentials) {
	t.Helper()
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	sts := standin.NewSTS(issuer.URL, "aud")
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	role, err := authconfig.ParseRoleARN("arn:aws:iam::123456789012:role/R")
	if err != nil {
		t.Fatal(err)
	}
	credential, err := credentials.NewSTS(http.DefaultClient).Exchange(t.Context(), issuer.Token(map[string]any{"sub": "alice", "aud": "aud"}),
		&credentials.RoleSession{Role: role, Name: "alice", Duration: time.Hour, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return &standin.Verifier{STS: sts, Region: "eu-west-1", Service: "bedrock-agentcore"}, credential
}

func TestARequestThatWasSignedVerifies(t *testing.T) {
	verifier, credential := verified(t)
	for name, target := range map[string]string{
		"a plain path":       "/mcp",
		"no path":            "/",
		"an AgentCore ARN":   "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu-west-1%3A123456789012%3Aruntime%2Fagent/invocations",
		"a query":            "/runtimes/x/invocations?qualifier=DEFAULT",
		"a query to encode":  "/mcp?b=2&a=1%202&c=%2F&d",
		"a path with spaces": "/a%20b/c+d/%C3%A9",
	} {
		t.Run(name, func(t *testing.T) {
			var refused any
			var got *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = r
				if _, problem := verifier.Verify(r); problem != nil {
					refused = problem
				}
			}))
			defer server.Close()
			u, err := url.Parse(server.URL + target)
			if err != nil {
				t.Fatal(err)
			}
			body := `{"jsonrpc":"2.0"}`
			r, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, u.String(), strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("User-Agent", "agent")
			r.Header.Set("Mcp-Session-Id", "s")
			r.Header.Set("Authorization", "Bearer secret")
			if err := sigv4.NewSigner().Sign(t.Context(), r, []byte(body), credential, sigv4.Scope{Service: "bedrock-agentcore", Region: "eu-west-1"}, time.Now()); err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if refused != nil {
				t.Errorf("refused: %+v", refused)
			}
			const want = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
			if authorization := got.Header.Get("Authorization"); !strings.Contains(authorization, want) {
				t.Errorf("authorization %q", authorization)
			}
			if path, _, _ := strings.Cut(target, "?"); got.URL.EscapedPath() != path {
				t.Errorf("sent the path %q, want %q", got.URL.EscapedPath(), path)
			}
		})
	}
}

func TestARequestThatWasChangedDoesNotVerify(t *testing.T) {
	verifier, credential := verified(t)
	for name, change := range map[string]func(*http.Request){
		"another path":         func(r *http.Request) { r.URL.Path = "/other" },
		"another query":        func(r *http.Request) { r.URL.RawQuery = "a=b" },
		"another method":       func(r *http.Request) { r.Method = http.MethodDelete },
		"another host":         func(r *http.Request) { r.Host = "other.example" },
		"another content type": func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"another payload":      func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
		"another token":        func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") },
		"a late date": func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Second).UTC().Format("20060102T150405Z"))
		},
		"one more x-amz": func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") },
	} {
		r := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		if err := sigv4.NewSigner().Sign(t.Context(), r, []byte("{}"), credential, sigv4.Scope{Service: "bedrock-agentcore", Region: "eu-west-1"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		change(r)
		if _, refused := verifier.Verify(r); refused == nil {
			t.Errorf("%s: verifies", name)
		}
	}
}

func TestAnExpiredClockDoesNotVerify(t *testing.T) {
	verifier, credential := verified(t)
	r := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader("{}"))
	if err := sigv4.NewSigner().Sign(t.Context(), r, []byte("{}"), credential, sigv4.Scope{Service: "bedrock-agentcore", Region: "eu-west-1"}, time.Now().Add(-10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, refused := verifier.Verify(r); refused == nil {
		t.Error("a signature of ten minutes ago verifies")
	}
}
