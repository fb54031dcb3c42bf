package proxy_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/countersign-io/countersign/e2e/standin"
)

// What other gateways got wrong, one test for each.

func TestNoHopRewritesASignedHeader(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	got := b.post(b.token("alice", nil), callTool(1, "echo", `{"text":"x"}`),
		withHeader("Connection", "X-Amz-Date, X-Amz-Security-Token, Content-Type"), withHeader("User-Agent", "agent/1"), withHeader("Accept-Language", "de"))
	if got.status != http.StatusOK || b.upstream.Refused.Load() != 0 {
		t.Errorf("%d %s; %d signatures refused", got.status, got.body, b.upstream.Refused.Load())
	}
}

func TestSTSIsNotCalledOnEveryRequest(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	token := b.token("alice", nil)
	for i := range 20 {
		if got := b.post(token, callTool(i, "echo", `{"text":"x"}`)); got.status != http.StatusOK {
			t.Fatal(got)
		}
	}
	if asked := b.sts.Asked(); asked != 1 {
		t.Errorf("STS was asked %d times", asked)
	}
}

func TestSTSThrottlingIsNotAnsweredWith401(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	b.sts.Faults.Set(standin.Fault{Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"})
	got := b.post(b.token("alice", nil), callTool(1, "echo", `{}`))
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
}

func TestAToolWhosePermitDependsOnAnArgumentIsShown(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": `
permit(principal, action == MCP::Action::"aws___get_regional_availability", resource) when { context.input has region && context.input.region == "us-east-1" };
forbid(principal, action == MCP::Action::"aws___get_regional_availability", resource) unless { context.input has bucket && context.input.bucket like "team-*" };`}})
	got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if !strings.Contains(got.body, `"aws___get_regional_availability"`) || strings.Contains(got.body, `"echo"`) {
		t.Errorf("the list: %s", got.body)
	}
}

const oneToolPolicy = `permit(principal, action == MCP::Action::"echo", resource);`

func TestAListThatCannotBeParsedIsNotPassedOn(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON":                    `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}`,
		"two members tools":           `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[{"name":"secret"}]}}`,
		"tools in another case":       `{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"secret"}]}}`,
		"result in another case":      `{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"secret"}]}}`,
		"an escaped member":           `{"jsonrpc":"2.0","id":1,"result":{"\u0054ools":[{"name":"secret"}]}}`,
		"tools is no list":            `{"jsonrpc":"2.0","id":1,"result":{"tools":{"name":"secret"}}}`,
		"a tool without a name":       `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"title":"secret"}]}}`,
		"a tool with two names":       `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","name":"secret"}]}}`,
		"a tool named in other case":  `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","Name":"secret"}]}}`,
		"something after the message": `{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}`,
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s stream=%t", name, stream), func(t *testing.T) {
				upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if stream {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = fmt.Fprintf(w, "data: %s\n\n", body)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, body)
				})
				b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
				got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
				if strings.Contains(got.body, "secret") {
					t.Errorf("passed on: %s", got.body)
				}
				if !stream && got.status != http.StatusBadGateway || !strings.Contains(got.body, `"error"`) {
					t.Errorf("%d %s, want an error", got.status, got.body)
				}
			})
		}
	}
}

func TestResourceTemplatesAreFiltered(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": oneToolPolicy}})
	got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"resources/templates/list"}`)
	if got.status != http.StatusOK || strings.Contains(got.body, "docs://public") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAMessageThatTwoParsersReadDifferentlyIsRefused(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"aws___get_presigned_url"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"aws___get_presigned_url"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"aws___get_presigned_url"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"aws___get_presigned_url"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"Params":{"name":"aws___get_presigned_url"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"a":2}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","NAME":"b"}}}`,
	} {
		if got := b.post(token, body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if b.upstream.Verified.Load() != 0 {
		t.Error("something reached the upstream")
	}
}

func TestASessionNameThatSTSRefusesIsChanged(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	if got := b.post(b.token("auth0|x", nil), callTool(1, "echo", `{"text":"x"}`)); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAGroupsClaimThatIsAStringCounts(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	got := b.post(b.token("alice", map[string]any{"groups": "s3-readers"}), callTool(1, "aws___run_script", whoAmI))
	if !strings.Contains(got.body, "role/S3Read/alice") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnAuditTellsDenialsFromBadRequests(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	b.post(token, callTool(1, "aws___get_presigned_url", `{}`))
	b.post(token, `{"jsonrpc":"2.0"`)
	b.post(token, callTool(1, "echo", `{"text":"x"}`))
	var got []any
	for _, record := range b.audit.last(t, 3) {
		got = append(got, record["decision"], record["reason"])
	}
	if want := []any{"deny", "policy", "reject", "invalidMessage", "allow", "policy"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

func TestEventsAreNotHeldUntilTheStreamEnds(t *testing.T) {
	release := make(chan struct{})
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url, strings.NewReader(callTool(1, "echo", "{}")))
	r.Header.Set("Authorization", "Bearer "+b.token("alice", nil))
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	arrived := make(chan string, 1)
	go func() {
		buffer := make([]byte, 1024)
		n, _ := io.ReadAtLeast(response.Body, buffer, 40)
		arrived <- string(buffer[:n])
	}()
	select {
	case text := <-arrived:
		if !strings.Contains(text, "notifications/message") {
			t.Errorf("first bytes: %q", text)
		}
	case <-time.After(5 * time.Second):
		t.Error("the event was held")
	}
	close(release)
}

func TestAToolCallIsNoNotification(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": oneToolPolicy}})
	got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"aws___get_presigned_url"}}`)
	if got.status != http.StatusBadRequest || b.upstream.Verified.Load() != 0 {
		t.Errorf("%d, %d requests reached the upstream", got.status, b.upstream.Verified.Load())
	}
}

func TestAListOnAResumedStreamIsFiltered(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},{"name":"echo"}],"nextCursor":""}}`
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			w.Header().Set("Mcp-Session-Id", "s1")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "id: 7\r\nretry: 10\r\ndata: %s\r\n\r\n", list)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	session := b.post(token, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`).header.Get("Mcp-Session-Id")
	got := b.do(http.MethodGet, token, "", withHeader("Mcp-Session-Id", session), withHeader("Last-Event-ID", "6"))
	want := "id: 7\nretry: 10\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"echo\"}],\"nextCursor\":\"\"}}\n\n"
	if got.body != want {
		t.Errorf("got  %q\nwant %q", got.body, want)
	}
}

func TestAnArgumentDoesNotBecomeAnEntity(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, files: map[string]string{"p.cedar": `
permit(principal, action in MCP::Action::"CallTool", resource) when { principal in MCP::Group::"root" };
permit(principal, action == MCP::Action::"echo", resource) unless { context.input has text && context.input.text == "stop" };
forbid(principal, action == MCP::Action::"count", resource) when { context.input has to && context.input.to == 22 };
permit(principal, action == MCP::Action::"count", resource);`}})
	token := b.token("alice", nil)
	got := b.post(token, callTool(1, "aws___get_presigned_url", `{"bucket":{"__entity":{"type":"MCP::Group","id":"root"}}}`))
	if !strings.Contains(got.body, "not allowed for this caller") {
		t.Errorf("an entity in an argument: %s", got.body)
	}
	for _, number := range []string{"22", "22.0", "2.2e1", "220E-1"} {
		got := b.post(token, callTool(1, "count", `{"to":`+number+`}`))
		if !strings.Contains(got.body, "not allowed for this caller") {
			t.Errorf("%s slipped past a rule on 22: %s", number, got.body)
		}
	}
}

func TestHeadersThatAWSActsOnAreNotRelayed(t *testing.T) {
	var seen http.Header
	var count atomic.Int64
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		count.Add(1)
		seen = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("WWW-Authenticate", "Bearer")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	token := b.token("alice", nil)
	got := b.post(token, callTool(1, "echo", "{}"),
		withHeader("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", "root"), withHeader("Idempotency-Key", "k"), withHeader("Cookie", "c=d"),
		withHeader("X-Amz-Security-Token", "mine"), withHeader("X-Forwarded-For", "10.0.0.1"),
		withHeader("Mcp-Param-Region", "us-east-1"), withHeader("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	for _, name := range []string{"X-Amzn-Bedrock-Agentcore-Runtime-User-Id", "Idempotency-Key", "Cookie", "X-Forwarded-For"} {
		if seen.Get(name) != "" {
			t.Errorf("%s was relayed", name)
		}
	}
	if strings.Contains(fmt.Sprint(seen), token) || seen.Get("X-Amz-Security-Token") == "mine" {
		t.Error("the caller's token or its x-amz header went up")
	}
	if seen.Get("Mcp-Param-Region") != "us-east-1" || seen.Get("Traceparent") == "" || seen.Get("Accept-Encoding") != "identity" {
		t.Errorf("missing upstream: %v", seen)
	}
	if got.header.Get("Set-Cookie")+got.header.Get("Www-Authenticate") != "" {
		t.Errorf("came back: %v", got.header)
	}
	if count.Load() != 1 {
		t.Errorf("sent %d times", count.Load())
	}
}

func TestABadSignatureDoesNotMakeKeysBeFetchedAgain(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}})
	good := b.token("alice", nil)
	if got := b.post(good, callTool(1, "echo", `{"text":"x"}`)); got.status != http.StatusOK {
		t.Fatal(got)
	}
	fetched := b.issuer.KeyFetches.Load()
	other := standin.NewIssuer()
	defer other.Close()
	// Signed with a key of another issuer that bears the known key id.
	forged := other.Token(map[string]any{"iss": b.issuer.URL, "aud": audience, "sub": "alice"})
	for range 10 {
		if got := b.post(forged, callTool(1, "echo", `{}`)); got.status != http.StatusUnauthorized {
			t.Errorf("%d", got.status)
		}
	}
	if now := b.issuer.KeyFetches.Load(); now != fetched {
		t.Errorf("keys were fetched %d times more", now-fetched)
	}
	// An unknown key id does, once in ten seconds however many ask.
	other.AddKey(jose.RS256)
	var asking sync.WaitGroup
	for n := range 10 {
		unknown := other.Token(map[string]any{"iss": b.issuer.URL, "aud": audience, "sub": "alice", "jti": n})
		asking.Go(func() { b.post(unknown, callTool(1, "echo", `{}`)) })
	}
	asking.Wait()
	if now := b.issuer.KeyFetches.Load(); now > fetched+1 {
		t.Errorf("an unknown key made keys be fetched %d times", now-fetched)
	}
}

func TestNoAllowStandsBesideANarrowerSessionPolicy(t *testing.T) {
	b := newBed(t, bedOptions{mcp: standin.MCPOptions{Stateless: true, JSON: true}, spec: `
    guardrail: mcpOnly
`})
	b.post(b.token("alice", nil), callTool(1, "echo", `{"text":"x"}`))
	granted := b.sts.Granted()
	if len(granted) != 1 || strings.Count(granted[0].Policy, `"Effect":"Allow"`) != 1 || !strings.Contains(granted[0].Policy, "aws:ViaAWSMCPService") {
		t.Fatalf("session policies: %+v", granted)
	}
	// With a policy of its own, and with managed policies, nothing allows more;
	// see credentials.TestSessionPolicy.
}

func TestACompressedAnswerIsRefused(t *testing.T) {
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}`)
		_ = z.Close()
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
	if got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got.status != http.StatusBadGateway {
		t.Errorf("%d %s", got.status, got.body)
	}
}
