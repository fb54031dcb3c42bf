package sigv4_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/sigv4"
)

// gateway is the scope of an AgentCore gateway.
var gateway = sigv4.Scope{Service: "bedrock-agentcore", Region: "eu-west-1"}

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
	credential, err := credentials.NewSTS(http.DefaultClient).
		Exchange(t.Context(), issuer.Token(map[string]any{"sub": "alice", "aud": "aud"}),
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
			r, _ := http.NewRequestWithContext(
				context.Background(),
				http.MethodPost,
				u.String(),
				strings.NewReader(body),
			)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("User-Agent", "agent")
			r.Header.Set("Mcp-Session-Id", "s")
			r.Header.Set("Authorization", "Bearer secret")
			sigv4.NewSigner().Sign(r, []byte(body), credential, gateway, time.Now())
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
		sigv4.NewSigner().Sign(r, []byte("{}"), credential, gateway, time.Now())
		change(r)
		if _, refused := verifier.Verify(r); refused == nil {
			t.Errorf("%s: verifies", name)
		}
	}
}

func TestAnExpiredClockDoesNotVerify(t *testing.T) {
	verifier, credential := verified(t)
	r := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp", strings.NewReader("{}"))
	sigv4.NewSigner().Sign(r, []byte("{}"), credential, gateway, time.Now().Add(-10*time.Minute))
	if _, refused := verifier.Verify(r); refused == nil {
		t.Error("a signature of ten minutes ago verifies")
	}
}

// signedBySDK is what the SDK's signer makes of the headers that are signed.
func signedBySDK(
	t *testing.T, r *http.Request, body []byte, credential aws.Credentials, scope sigv4.Scope, at time.Time,
) *http.Request {
	t.Helper()
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	signed := &http.Request{
		Method: r.Method,
		URL:    r.URL,
		Host:   r.Host,
		Header: http.Header{"X-Amz-Content-Sha256": {payload}},
	}
	if contentType, ok := r.Header["Content-Type"]; ok {
		signed.Header["Content-Type"] = contentType
	}
	u := *r.URL
	signed.URL = &u
	if err := v4.NewSigner().
		SignHTTP(t.Context(), credential, signed, payload, scope.Service, scope.Region, at); err != nil {
		t.Fatal(err)
	}
	return signed
}

func FuzzSignsAsTheSDKDoes(f *testing.F) {
	for _, seed := range []struct{ target, contentType, secondType, token, host string }{
		{"/mcp", "application/json", "", "token", ""},
		{"", "", "", "", ""},
		{"/", " text/plain;  charset=utf-8 ", "\tx", strings.Repeat("t", 3000), "other.example:443"},
		{"/runtimes/arn%3Aaws%3Aa%2Fb/invocations?qualifier=DEFAULT", "a", "b", "t", "other.example:80"},
		{"/a%20b/c+d/%C3%A9//./..?b=2&a=1%202&c=%2F&d&a=0&a-=1&a%2F=2&%zz=1&;=3", "a", "", "t", "h:8443"},
		{"/~!$&'()*,;=:@", "a", "", "t", "h"},
	} {
		f.Add(seed.target, seed.contentType, seed.secondType, seed.token, seed.host, []byte("{}"), int64(1e9))
	}
	f.Fuzz(func(t *testing.T, target, contentType, secondType, token, host string, body []byte, seconds int64) {
		u, err := url.Parse("https://gateway.example:443" + target)
		if err != nil || !regexp.MustCompile(`^[a-z0-9.-]*(:[0-9]+)?$`).MatchString(host) {
			t.Skip("no URL, or no host")
		}
		r := &http.Request{Method: http.MethodPost, URL: u, Host: host, Header: http.Header{}}
		if contentType != "" {
			r.Header["Content-Type"] = []string{contentType}
		}
		if secondType != "" {
			r.Header["Content-Type"] = append(r.Header["Content-Type"], secondType)
		}
		credential := aws.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: token}
		scope := sigv4.Scope{Service: "aws-mcp", Region: "us-east-1"}
		at := time.Unix(seconds%253402300799, 0)
		if at.UTC().Year() < 1 {
			t.Skip("no date of four digits")
		}
		want := signedBySDK(t, r, body, credential, scope, at)
		sigv4.NewSigner().Sign(r, body, credential, scope, at)
		for _, name := range []string{"Authorization", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token"} {
			if got, want := r.Header.Get(name), want.Header.Get(name); got != want {
				t.Errorf("%s: %q, the SDK's %q", name, got, want)
			}
		}
		if r.URL.RequestURI() != want.URL.RequestURI() {
			t.Errorf("sends %q, the SDK %q", r.URL.RequestURI(), want.URL.RequestURI())
		}
	})
}

// What a Signer keeps is that of the credential, the day, the scope and the query, whoever signs
// meanwhile.
func TestSignaturesMadeAtOnceAreThoseOfTheirOwnCredentials(t *testing.T) {
	signer := sigv4.NewSigner()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	queries := []string{"", "?b=2&a=1", "?qualifier=DEFAULT"}
	var signing sync.WaitGroup
	for worker := range 4 {
		signing.Go(func() {
			for i := range 2000 {
				i += worker
				keys := 7
				if i%4 == 0 {
					keys = 701 // more than are kept
				}
				credential := aws.Credentials{
					AccessKeyID: fmt.Sprint("ASIA", i%keys), SecretAccessKey: fmt.Sprint("secret", i%3), SessionToken: "t",
				}
				scope := sigv4.Scope{Service: "aws-mcp", Region: fmt.Sprint("r", i%2)}
				at := noon.AddDate(0, 0, i%5)
				r := httptest.NewRequest(http.MethodPost, "https://gw.example/mcp"+queries[i%3], http.NoBody)
				want := signedBySDK(t, r, nil, credential, scope, at)
				signer.Sign(r, nil, credential, scope, at)
				if got := r.Header.Get("Authorization"); got != want.Header.Get("Authorization") {
					t.Errorf("%d: %q, the SDK's %q", i, got, want.Header.Get("Authorization"))
					return
				}
			}
		})
	}
	signing.Wait()
}

func BenchmarkSign(b *testing.B) {
	body := []byte(strings.Repeat("x", 200))
	credential := aws.Credentials{
		AccessKeyID:     "ASIA",
		SecretAccessKey: "secret",
		SessionToken:    strings.Repeat("t", 800),
	}
	u := &url.URL{Scheme: "https", Host: "aws-mcp.us-east-1.api.aws", Path: "/mcp"}
	b.Run("this package", func(b *testing.B) {
		signer := sigv4.NewSigner()
		b.ReportAllocs()
		for b.Loop() {
			r := &http.Request{
				Method: http.MethodPost,
				URL:    u,
				Header: http.Header{"Content-Type": {"application/json"}},
			}
			signer.Sign(r, body, credential, sigv4.Scope{Service: "aws-mcp", Region: "us-east-1"}, time.Now())
		}
	})
	b.Run("the SDK", func(b *testing.B) {
		signer := v4.NewSigner()
		b.ReportAllocs()
		for b.Loop() {
			r := &http.Request{
				Method: http.MethodPost,
				URL:    u,
				Header: http.Header{"Content-Type": {"application/json"}},
			}
			sum := sha256.Sum256(body)
			_ = signer.SignHTTP(
				b.Context(),
				credential,
				r,
				hex.EncodeToString(sum[:]),
				"aws-mcp",
				"us-east-1",
				time.Now(),
			)
		}
	})
}
