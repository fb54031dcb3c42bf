package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

var statelessJSON = standin.MCPOptions{Stateless: true, JSON: true}

func TestEveryFailureHasItsAnswer(t *testing.T) {
	type want struct {
		status    int
		code      int
		message   string
		reason    string
		header    string
		challenge string
	}
	call := callTool(1, "echo", `{"text":"x"}`)
	past := time.Now().Add(-time.Hour).Unix()
	cases := map[string]struct {
		options bedOptions
		token   func(*bed) string
		prepare func(*bed)
		body    string
		edits   []edit
		want    want
	}{
		"no token": {
			token: func(*bed) string { return "" },
			want:  want{status: 401, challenge: `resource_metadata="http://127.0.0.1`},
		},
		"an expired token": {
			token: func(b *bed) string { return b.token("alice", map[string]any{"exp": past}) },
			want:  want{status: 401, challenge: `error="invalid_token", error_description="the token has expired"`},
		},
		"a token for another audience": {
			token: func(b *bed) string { return b.token("alice", map[string]any{"aud": "other"}) },
			want:  want{status: 401, challenge: "aud does not hold"},
		},
		"a token of another issuer": {
			token: func(b *bed) string { return b.token("alice", map[string]any{"iss": "https://evil.example"}) },
			want:  want{status: 401, challenge: "iss is not the issuer"},
		},
		"a token that is not valid yet": {
			token: func(b *bed) string { return b.token("alice", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}) },
			want:  want{status: 401, challenge: "nbf"},
		},
		"a token that is no JWT": {
			token: func(*bed) string { return "abc" },
			want:  want{status: 401, challenge: "not a JWT"},
		},
		"a missing scope": {
			options: bedOptions{requiredScope: "mcp:use"},
			want:    want{status: 403, challenge: `scope="mcp:use", error="insufficient_scope"`},
		},
		"an issuer that cannot be reached": {
			prepare: func(b *bed) { b.issuer.Faults.Set(standin.Fault{Status: 500}) },
			token: func(b *bed) string {
				b.issuer.AddKey("RS256")
				return b.token("alice", nil)
			},
			want: want{status: 503, code: -32603, header: "Retry-After"},
		},
		"no role for this caller": {
			options: bedOptions{spec: ""},
			prepare: func(b *bed) {
				files := b.files
				files["auth-config.yaml"] = strings.Replace(files["auth-config.yaml"], "fallbackRoleArn: arn:aws:iam::123456789012:role/Fallback", "", 1)
				if err := b.configs.Load(files); err != nil {
					b.t.Fatal(err)
				}
			},
			want: want{status: 403, code: 40301, message: "no IAM role is mapped", reason: "noRole"},
		},
		"STS denies the role": {
			prepare: func(b *bed) { b.sts.Untrusted["arn:aws:iam::123456789012:role/Fallback"] = true },
			want:    want{status: 403, code: 40302, message: "AWS STS denies the role", reason: "stsAccessDenied"},
		},
		"STS does not know the identity provider": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "InvalidIdentityToken", Message: "Incorrect token audience"})
			},
			want: want{status: 500, code: -32603, message: "not set up for the identity provider", reason: "identityProviderConfig"},
		},
		"STS finds the token expired": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "ExpiredTokenException", Message: "Token expired"})
			},
			want: want{status: 401, challenge: "AWS STS does not accept the token"},
		},
		"STS cannot get the issuer's key": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "InvalidIdentityToken", Message: "Couldn't retrieve verification key from your identity provider"})
			},
			want: want{status: 503, code: -32603, header: "Retry-After"},
		},
		"STS cannot talk to the issuer": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "IDPCommunicationError", Message: "x"})
			},
			want: want{status: 503, code: -32603, header: "Retry-After"},
		},
		"STS is broken": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 500, Code: "InternalFailure", Message: "x"})
			},
			want: want{status: 503, code: -32603, header: "Retry-After"},
		},
		"any other STS error": {
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "PackedPolicyTooLarge", Message: "x"})
			},
			want: want{status: 500, code: -32603},
		},
		"a token failure with the service account source": {
			options: bedOptions{serviceAccount: true},
			prepare: func(b *bed) {
				b.sts.Faults.Set(standin.Fault{Status: 400, Code: "InvalidIdentityToken", Message: "x"})
			},
			want: want{status: 503, code: -32603, header: "Retry-After"},
		},
		"STS denies the service account": {
			options: bedOptions{serviceAccount: true},
			prepare: func(b *bed) { b.sts.Untrusted["arn:aws:iam::123456789012:role/Fallback"] = true },
			want:    want{status: 403, code: 40302, reason: "stsAccessDenied"},
		},
		"a denied tool": {
			options: bedOptions{files: map[string]string{"p.cedar": oneToolPolicy}},
			body:    callTool(1, "count", `{}`),
			want:    want{status: 200, code: 40300, message: "tool is not allowed", reason: "policy"},
		},
		"a denied tool with httpForbidden": {
			options: bedOptions{files: map[string]string{"p.cedar": oneToolPolicy}, spec: "  authorization: {denial: httpForbidden}\n"},
			body:    callTool(1, "count", `{}`),
			want:    want{status: 403, code: 40300, reason: "policy"},
		},
		"a tool that bears a built-in action's name": {
			body: callTool(1, "CallTool", `{}`),
			want: want{status: 200, code: 40300, reason: "policy"},
		},
		"a body that is too large": {
			options: bedOptions{spec: "  limits: {maxRequestBytes: 1024}\n"},
			body:    callTool(1, "echo", `{"text":"`+strings.Repeat("x", 2000)+`"}`),
			want:    want{status: 413, code: -32600},
		},
		"a body that is not JSON": {
			body: `{"jsonrpc":`,
			want: want{status: 400, code: -32700},
		},
		"an invalid message": {
			body: `{"jsonrpc":"1.0","id":1,"method":"ping"}`,
			want: want{status: 400, code: -32600},
		},
		"deep nesting": {
			body: callTool(1, "echo", `{"a":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`}`),
			want: want{status: 400, code: -32600},
		},
		"a repeated single-valued header": {
			edits: []edit{withHeader("Mcp-Session-Id", "a"), withHeader("Mcp-Session-Id", "b")},
			want:  want{status: 400, code: -32600},
		},
		"a header that disagrees with the body": {
			edits: []edit{withHeader("Mcp-Protocol-Version", "2026-07-28"), withHeader("Mcp-Method", "tools/call"), withHeader("Mcp-Name", "count")},
			want:  want{status: 400, code: -32020},
		},
		"a version in _meta that disagrees with the header": {
			body:  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
			edits: []edit{withHeader("Mcp-Protocol-Version", "2025-11-25")},
			want:  want{status: 400, code: -32020},
		},
		"a method that policies do not know": {
			options: bedOptions{files: map[string]string{"p.cedar": oneToolPolicy}},
			body:    `{"jsonrpc":"2.0","id":1,"method":"tools/invoke","params":{}}`,
			want:    want{status: 200, code: -32601},
		},
		"a method that policies do not know, stateless": {
			options: bedOptions{files: map[string]string{"p.cedar": oneToolPolicy}},
			body:    `{"jsonrpc":"2.0","id":1,"method":"tools/invoke","params":{}}`,
			edits:   []edit{withHeader("Mcp-Protocol-Version", "2026-07-28")},
			want:    want{status: 404, code: -32601},
		},
		"AWS does not accept the signature": {
			prepare: func(b *bed) {
				b.upstream.Faults.Set(standin.Fault{Status: 403, Code: "InvalidSignatureException", Message: "the secret text of AWS"})
			},
			want: want{status: 502, code: -32603, message: "signature"},
		},
		"AWS denies access": {
			prepare: func(b *bed) {
				b.upstream.Faults.Set(standin.Fault{Status: 403, Code: "AccessDeniedException", Message: "the secret text of AWS"})
			},
			want: want{status: 403, code: 40302, reason: "awsAccessDenied"},
		},
		"AWS throttles": {
			prepare: func(b *bed) {
				b.upstream.Faults.Set(standin.Fault{Status: 429, Code: "ThrottlingException", Message: "slow down"})
			},
			want: want{status: 429, header: "Retry-After"},
		},
		"AWS takes too long": {
			options: bedOptions{spec: "  limits: {upstreamHeaderTimeout: 50ms}\n"},
			prepare: func(b *bed) { b.upstream.Faults.Set(standin.Fault{Latency: 2 * time.Second}) },
			want:    want{status: 504, code: -32603},
		},
		"AWS cannot be reached": {
			prepare: func(b *bed) { b.upstream.Close() },
			want:    want{status: 502, code: -32603},
		},
		"another content type": {
			edits: []edit{func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
			want:  want{status: 415, code: -32600},
		},
		"a foreign Origin": {
			edits: []edit{withHeader("Origin", "https://evil.example")},
			want:  want{status: 403, code: 40303},
		},
		"a Host that is not loopback": {
			edits: []edit{func(r *http.Request) { r.Host = "evil.example" }},
			want:  want{status: 403, code: 40303},
		},
		"another path": {
			edits: []edit{func(r *http.Request) { r.URL.Path = "/mcp/x" }},
			want:  want{status: 404, code: 40400},
		},
		"another query": {
			edits: []edit{func(r *http.Request) { r.URL.RawQuery = "a=b" }},
			want:  want{status: 400, code: -32600},
		},
		"another method": {
			edits: []edit{func(r *http.Request) { r.Method = http.MethodPut }},
			want:  want{status: 405, code: 40500},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.options.mcp = statelessJSON
			b := newBed(t, c.options)
			if c.prepare != nil {
				if !c.options.serviceAccount {
					// Keys are there before the issuer or anything else fails.
					b.post(b.token("warm", map[string]any{"groups": "s3-readers"}), call)
				}
				c.prepare(b)
			}
			token := ""
			switch {
			case c.token != nil:
				token = c.token(b)
			case !c.options.serviceAccount:
				token = b.token("alice", nil)
			}
			if c.body == "" {
				c.body = call
			}
			got := b.post(token, c.body, c.edits...)
			if got.status != c.want.status {
				t.Fatalf("status %d, want %d: %s", got.status, c.want.status, got.body)
			}
			if c.want.challenge != "" {
				if challenge := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, c.want.challenge) {
					t.Errorf("challenge %q, want %q", challenge, c.want.challenge)
				}
			} else if c.want.code != 0 {
				code, message, reason := got.rpcError(t)
				if code != c.want.code || !strings.Contains(message, c.want.message) || c.want.reason != "" && reason != c.want.reason {
					t.Errorf("error %d %q %q, want %+v", code, message, reason, c.want)
				}
			}
			if c.want.header != "" && got.header.Get(c.want.header) == "" {
				t.Errorf("no %s", c.want.header)
			}
			for _, secret := range []string{"secret text", "arn:aws", "standin", b.sts.URL} {
				if strings.Contains(got.body, secret) && got.status != http.StatusTooManyRequests {
					t.Errorf("the answer tells %q: %s", secret, got.body)
				}
			}
		})
	}
}

func TestTooManyRequestsAtOnce(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		entered <- struct{}{}
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, spec: "  limits: {maxConcurrentRequests: 1}\n"})
	token := b.token("alice", nil)
	done := make(chan answer, 1)
	go func() { done <- b.post(token, callTool(1, "echo", "{}")) }()
	<-entered
	if got := b.post(token, callTool(2, "echo", "{}")); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	close(release)
	if got := <-done; got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := b.post(token, callTool(3, "echo", "{}")); got.status != http.StatusOK {
		t.Errorf("the place was not given back: %d", got.status)
	}
}

func TestACredentialThatAWSFindsExpiredIsReplacedOnce(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	token := b.token("alice", nil)
	call := callTool(1, "echo", `{"text":"x"}`)
	if got := b.post(token, call); got.status != http.StatusOK {
		t.Fatal(got)
	}
	b.sts.ExpireAll()
	if got := b.post(token, call); got.status != http.StatusOK {
		t.Errorf("after expiry: %d %s", got.status, got.body)
	}
	if asked := b.sts.Asked(); asked != 2 {
		t.Errorf("%d exchanges", asked)
	}
	b.sts.ExpireAll()
	for range 3 {
		if got := b.post(token, call); got.status != http.StatusBadGateway {
			t.Errorf("again within 30 s: %d", got.status)
		}
	}
	if asked := b.sts.Asked(); asked != 2 {
		t.Errorf("%d exchanges; a refused credential was exchanged again and again", asked)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var hits atomic.Int64
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusBadGateway || hits.Load() != 1 {
		t.Errorf("%d, %d hits", got.status, hits.Load())
	}
}

func TestBatchesAreDecidedAsOne(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: jsonUpstream(t, `[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"x"},{"name":"echo"}]}}]`),
		files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	list := `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	got := b.post(token, "["+callTool(1, "echo", "{}")+","+list+"]")
	if got.status != http.StatusOK || !strings.Contains(got.body, `{"tools":[{"name":"echo"}]}`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	got = b.post(token, "["+callTool(1, "echo", "{}")+","+callTool(2, "count", "{}")+"]")
	if got.status != http.StatusOK || strings.Count(got.body, `"code":403`) != 2 || strings.Contains(got.body, "result") {
		t.Errorf("one denial: %d %s", got.status, got.body)
	}
	records := b.audit.last(t, 2)
	if records[0]["reason"] != "batch" || records[1]["reason"] != "policy" {
		t.Errorf("records %v", records)
	}
	if got := b.post(token, "["+list+"]", withHeader("Mcp-Protocol-Version", "2025-06-18")); got.status != http.StatusBadRequest {
		t.Errorf("a batch in 2025-06-18: %d", got.status)
	}
}

func TestLogOnlyLetsPassWhatPoliciesDeny(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, files: map[string]string{"p.cedar": oneToolPolicy}, spec: "  authorization: {mode: logOnly}\n"})
	token := b.token("alice", nil)
	if got := b.post(token, callTool(1, "count", `{"to":1}`)); !strings.Contains(got.body, "counted to 1") {
		t.Errorf("%s", got.body)
	}
	record := b.audit.last(t, 1)[0]
	if record["decision"] != "deny" || record["enforced"] != false {
		t.Errorf("record %v", record)
	}
	if got := b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); strings.Count(got.body, `"name":`) < 5 {
		t.Errorf("the list is not whole: %s", got.body)
	}
	if got := b.post(token, callTool(1, "GetPrompt", `{}`)); !strings.Contains(got.body, "not allowed") {
		t.Errorf("a reserved name passed: %s", got.body)
	}
}

func TestTheMetricsTellDecisionsAndExchanges(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	b.post(token, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	b.post(token, callTool(1, "echo", `{"text":"x"}`))
	b.post(token, callTool(1, "count", `{}`))
	b.post(token, callTool(1, "made-up-by-a-caller", `{}`))
	b.audit.last(t, 4)
	text := b.metrics()
	for _, want := range []string{
		`countersign_decisions_total{decision="allow",enforced="true",method="tools/call",reason="policy",tool="echo",upstream="aws"} 1`,
		`countersign_decisions_total{decision="deny",enforced="true",method="tools/call",reason="policy",tool="count",upstream="aws"} 1`,
		`countersign_decisions_total{decision="deny",enforced="true",method="tools/call",reason="policy",tool="other",upstream="aws"} 1`,
		`countersign_sts_exchanges_total{result="success"} 1`,
		`countersign_requests_total{code="200",method="tools/call",upstream="aws"} 3`,
		`countersign_credential_cache_entries 1`,
		`countersign_config_last_reload_successful 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s", want)
		}
	}
	if strings.Contains(text, "made-up") {
		t.Error("a caller made up a label")
	}
}

func TestMetadataNamesTheIssuer(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/aws/mcp"} {
		response, err := http.Get(b.front.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		resource := "/mcp"
		if strings.HasSuffix(path, "/aws/mcp") {
			resource = "/aws/mcp"
		}
		want := fmt.Sprintf(`{"resource":%q,"authorization_servers":[%q],"bearer_methods_supported":["header"],"scopes_supported":["openid"]}`, b.front.URL+resource, b.issuer.URL)
		if response.StatusCode != http.StatusOK || string(text) != want {
			t.Errorf("%s: %d %s, want %s", path, response.StatusCode, text, want)
		}
	}
}
