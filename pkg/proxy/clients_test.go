package proxy_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// answering is an upstream with one answer to everything.
func answering(t *testing.T, status int, header http.Header, body string) string {
	return plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

var (
	jsonType   = http.Header{"Content-Type": {"application/json"}}
	eventsType = http.Header{"Content-Type": {"text/event-stream"}}
)

func TestEventsThatCarryNoMessagePass(t *testing.T) {
	const result = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
	for name, events := range map[string]string{
		"a ping with a time before the result": "event: ping\ndata: 2026-01-01T00:00:00Z\n\ndata: " + result + "\n\n",
		"a mark of the end behind it":          "data: " + result + "\n\ndata: [DONE]\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: answering(t, 200, eventsType, events), files: map[string]string{"p.cedar": oneToolPolicy}})
			if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusOK || got.body != events {
				t.Errorf("%d %q", got.status, got.body)
			}
		})
	}
}

func TestTheBodyOfAnAcknowledgementSaysNothing(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		kind   string
		body   string
	}{
		"a word":          {202, "text/plain", "Accepted"},
		"null":            {202, "application/json", "null"},
		"HTML":            {202, "text/html", "<html></html>"},
		"an object":       {200, "application/json", "{}"},
		"no type at all":  {200, "", "ok"},
		"a hidden list":   {202, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}`},
		"an empty stream": {200, "text/event-stream", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: answering(t, c.status, http.Header{"Content-Type": {c.kind}}, c.body)})
			got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			if got.status != http.StatusAccepted || got.body != "" {
				t.Errorf("%d %q", got.status, got.body)
			}
		})
	}
}

func TestWhatNeedsNoFilterPassesAtAnySize(t *testing.T) {
	large := `{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"docs://x","blob":"` + strings.Repeat("QUJD", 9<<18) + `"}]}}`
	for name, c := range map[string]struct {
		header http.Header
		body   string
	}{"JSON": {jsonType, large}, "an event": {eventsType, "data: " + large + "\n\n"}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: answering(t, 200, c.header, c.body), files: map[string]string{"p.cedar": oneToolPolicy}})
			if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.status != 200 || got.body != c.body {
				t.Errorf("%d, %d of %d bytes", got.status, len(got.body), len(c.body))
			}
		})
	}
}

func TestAListThatIsTooLargeIsRefusedInTheSameWords(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","description":"` + strings.Repeat("x", 5000) + `"}]}}`
	const words = "the upstream's list is longer than 4096 bytes (spec.limits.maxFilteredBytes)"
	for name, c := range map[string]struct {
		header http.Header
		body   string
		status int
	}{"JSON": {jsonType, list, 502}, "an event": {eventsType, "data: " + list + "\n\n", 200}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: answering(t, 200, c.header, c.body), spec: "\n  limits: {maxFilteredBytes: 4096}", files: map[string]string{"p.cedar": oneToolPolicy}})
			got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if got.status != c.status || !strings.Contains(got.body, words) || !strings.Contains(got.body, `"requestId":"`) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestAListOfWhichNothingIsHiddenPassesAtAnySize(t *testing.T) {
	list := `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","description":"` + strings.Repeat("x", 50_000) + `"}]}}`
	for name, files := range map[string]map[string]string{
		"without policies":            nil,
		"with policies that only log": {"p.cedar": oneToolPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			spec := "\n  limits: {maxFilteredBytes: 4096}"
			if files != nil {
				spec += "\n  authorization: {mode: logOnly}"
			}
			b := newBed(t, bedOptions{upstreamURL: answering(t, 200, jsonType, list), spec: spec, files: files})
			if got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got.status != 200 || len(got.body) < len(list) {
				t.Errorf("%d, %d of %d bytes", got.status, len(got.body), len(list))
			}
		})
	}
}

func TestAHeaderThatServersTakeForAnotherDoesNotGoUp(t *testing.T) {
	seen := make(chan http.Header, 1)
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	if got := b.post(b.token("bob", nil), callTool(1, "echo", "{}"), withHeader("Mcp-Session_Id", "a"), withHeader("Mcp_Method", "b"), withHeader("Mcp-Other", "c")); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	header := <-seen
	for name := range header {
		if strings.Contains(name, "_") {
			t.Errorf("%s goes up", name)
		}
	}
	if header.Get("Mcp-Other") != "c" {
		t.Error("a header of the protocol's future does not go up")
	}
}

func TestAnAnswerOfSeveralTypesIsRefused(t *testing.T) {
	for name, types := range map[string][]string{
		"two headers": {"application/json", "text/event-stream"}, "a comma": {"application/json, text/event-stream"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: answering(t, 200, http.Header{"Content-Type": types}, `{"jsonrpc":"2.0","id":1,"result":{}}`)})
			if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusBadGateway {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestTheTypeOfAnAnswerIsOurs(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: answering(t, 200, http.Header{"Content-Type": {"application/json; charset=utf-16"}}, `{"jsonrpc":"2.0","id":1,"result":{}}`)})
	if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", got.header)
	}
}

// TestAnErrorThatRepeatsTheRequestIsReplaced: error pages like to show what they
// were sent.
func TestAnErrorThatRepeatsTheCallersTokenIsReplaced(t *testing.T) {
	var token string
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"`+token+`"}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	token = b.token("alice", nil)
	got := b.post(token, callTool(1, "echo", "{}"))
	if _, message, _ := got.rpcError(t); message != "the upstream answers with status 422" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnErrorThatRepeatsTheRequestIsReplaced(t *testing.T) {
	var secrets []string
	escaped := func(text string) string {
		var b strings.Builder
		for _, c := range text {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return b.String()
	}
	for name, write := range map[string]func(signature, token string) string{
		"as text":             func(s, _ string) string { return "bad request: Signature=" + s },
		"in HTML":             func(_, token string) string { return "<p>" + token + "</p>" },
		"in a JSON-RPC error": func(s, _ string) string { return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + s + `"}}` },
		"in escapes": func(_, token string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + escaped(token) + `"}}`
		},
		"percent-encoded": func(_, token string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + url.QueryEscape("%/"+token) + `"}}`
		},
		"percent-encoded twice": func(_, token string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + url.QueryEscape(url.QueryEscape("%/"+token)) + `"}}`
		},
		"in JSON that is text in JSON": func(_, token string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"{\\"a\\":\\"\\\\u002b` + token + `\\"}"}}`
		},
		"with a line break in it": func(_, token string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + token[:len(token)/2] + `\n` + token[len(token)/2:] + `"}}`
		},
		"without its last character": func(s, _ string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + s[:len(s)-1] + `"}}`
		},
		"in capitals": func(s, _ string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + strings.ToUpper(s) + `"}}`
		},
		"in base64": func(s, _ string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"` + base64.StdEncoding.EncodeToString([]byte("a: "+s+".")) + `"}}`
		},
		"in the name of a member": func(s, _ string) string {
			return `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x","data":{"` + s + `":1}}}`
		},
		"in JSON that is no JSON-RPC": func(_, token string) string { return `{"message":"` + token + `"}` },
		"in a JSON-RPC error on stream": func(s, _ string) string {
			return "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"" + s + "\"}}\n\n"
		},
	} {
		for _, status := range []int{400, 404, 409, 413, 422, 429, 500, 503} {
			t.Run(fmt.Sprintf("%s with %d", name, status), func(t *testing.T) {
				upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
					token := r.Header.Get("X-Amz-Security-Token")
					secrets = []string{signature, token}
					w.Header().Set("Content-Type", "application/json")
					w.Header().Set("Mcp-Echo", token)
					w.Header().Set("Retry-After", "3")
					w.WriteHeader(status)
					_, _ = io.WriteString(w, write(signature, token))
				})
				b := newBed(t, bedOptions{upstreamURL: upstream})
				got := b.post(b.token("alice", nil), callTool(1, "echo", "{}"))
				code, message, _ := got.rpcError(t)
				if got.status != status || code != -32603 || message != fmt.Sprintf("the upstream answers with status %d", status) {
					t.Errorf("%d %s", got.status, got.body)
				}
				if got.header.Get("Mcp-Echo") != "" || got.header.Get("Retry-After") != "3" {
					t.Errorf("%v", got.header)
				}
				for _, secret := range secrets {
					if secret == "" || strings.Contains(fmt.Sprint(got), secret) {
						t.Errorf("%q is in the answer", secret)
					}
				}
			})
		}
	}
}

func TestACompletionIsDecidedOnTheLiteralPartOfItsTemplate(t *testing.T) {
	policy := `permit(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "public://*" };`
	b := newBed(t, bedOptions{upstreamURL: answering(t, 200, jsonType, `{"jsonrpc":"2.0","id":1,"result":{}}`), files: map[string]string{"p.cedar": policy}})
	token := b.token("alice", nil)
	for uri, allowed := range map[string]bool{
		"public://{name}": true, "public://a": true, "public://a/{b}": true,
		"secret://x{": false, "secret://{name}": false, "{+all}": false, "{scheme}://public://": false, "secret://x": false,
	} {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":%q},"argument":{"name":"a","value":"v"}}}`, uri)
		if got := b.post(token, body); strings.Contains(got.body, `"result"`) != allowed {
			t.Errorf("%s: %s", uri, got.body)
		}
	}
}

func TestWhatASubscriptionIsAboutIsRecordedAndCompared(t *testing.T) {
	policy := `permit(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "public://*" };`
	b := newBed(t, bedOptions{upstreamURL: answering(t, 200, jsonType, `{"jsonrpc":"2.0","id":1,"result":{}}`), files: map[string]string{"p.cedar": policy}})
	token := b.token("alice", nil)
	listen := func(uris string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[` + uris + `]}}}`
	}
	b.post(token, listen(`"public://a","secret://b"`))
	record := b.audit.last(t, 1)[0]
	if record["decision"] != "deny" || fmt.Sprint(record["subjects"]) != "[public://a secret://b]" {
		t.Errorf("%v", record)
	}
	version := withHeader("MCP-Protocol-Version", "2026-07-28")
	for name, agrees := range map[string]bool{"public://a": true, "public://b": false} {
		got := b.post(token, listen(`"public://a"`), version, withHeader("Mcp-Name", name))
		if (got.status == http.StatusOK) != agrees {
			t.Errorf("Mcp-Name %s: %d %s", name, got.status, got.body)
		} else if code := 0; !agrees {
			if code, _, _ = got.rpcError(t); code != -32020 {
				t.Errorf("code %d", code)
			}
		}
	}
}

const paramTools = `{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{
	"region":{"type":"string","x-mcp-header":"Region"},"count":{"type":"integer","x-mcp-header":"Count"},
	"nested":{"type":"object","properties":{"flag":{"type":"boolean","x-mcp-header":"Flag"}}}}}}]}`

func TestHeadersThatRepeatArgumentsAgreeWithThem(t *testing.T) {
	b := newBed(t, bedOptions{
		upstreamURL: answering(t, 200, jsonType, `{"jsonrpc":"2.0","id":1,"result":{}}`),
		files:       map[string]string{"tools.json": paramTools},
	})
	token := b.token("alice", nil)
	for name, c := range map[string]struct {
		arguments string
		header    map[string]string
		agrees    bool
	}{
		"all of them":                  {`{"region":"eu-west-1","count":22,"nested":{"flag":true}}`, map[string]string{"Region": "eu-west-1", "Count": "22", "Flag": "true"}, true},
		"an integer written otherwise": {`{"count":22.0}`, map[string]string{"Count": "22"}, true},
		"an encoded value":             {`{"region":"é"}`, map[string]string{"Region": "=?base64?w6k=?="}, true},
		"neither":                      {`{}`, nil, true},
		"null":                         {`{"region":null}`, nil, true},
		"an unknown one":               {`{}`, map[string]string{"Other": "x"}, true},
		"an exponent":                  {`{"count":2.2e1}`, map[string]string{"Count": "22"}, true},
		"a number of base 16":          {`{"count":22}`, map[string]string{"Count": "0x16"}, false},
		"a number with a plus":         {`{"count":22}`, map[string]string{"Count": "+22"}, false},
		"a number with a 0 before it":  {`{"count":22}`, map[string]string{"Count": "022"}, false},
		"another string":               {`{"region":"eu-west-1"}`, map[string]string{"Region": "us-east-1"}, false},
		"a missing one":                {`{"region":"eu-west-1"}`, nil, false},
		"one too many":                 {`{}`, map[string]string{"Region": "us-east-1"}, false},
		"another number":               {`{"count":22}`, map[string]string{"Count": "23"}, false},
		"a nested one":                 {`{"nested":{"flag":false}}`, map[string]string{"Flag": "true"}, false},
		"an object":                    {`{"region":{}}`, map[string]string{"Region": "{}"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			edits := []edit{withHeader("MCP-Protocol-Version", "2026-07-28")}
			for header, value := range c.header {
				edits = append(edits, withHeader("Mcp-Param-"+header, value))
			}
			got := b.post(token, callTool(1, "echo", c.arguments), edits...)
			if c.agrees && got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
			if !c.agrees {
				if code, _, _ := got.rpcError(t); got.status != 400 || code != -32020 {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		})
	}
}

// listeningUpstream declares listChanged, and answers GET and listen with a
// stream that stays open.
func listeningUpstream(t *testing.T, events string) string {
	return plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost && !strings.Contains(string(body), "subscriptions/listen") {
			w.Header().Set("Mcp-Session-Id", "s1")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{}}}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, events)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// openStream gives the lines of a stream as they come.
func (b *bed) openStream(method, token, body string, edits ...edit) <-chan string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "text/event-stream")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edits {
		e(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		b.t.Fatalf("status %d", response.StatusCode)
	}
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

// hears collects what a stream says within a moment.
func hears(lines <-chan string) string {
	var said []string
	for {
		select {
		case line, open := <-lines:
			if !open {
				return strings.Join(said, "\n")
			}
			said = append(said, line)
		case <-time.After(300 * time.Millisecond):
			return strings.Join(said, "\n")
		}
	}
}

func (b *bed) reloadPolicies(policies string) {
	b.t.Helper()
	if err := b.configs.Load(authconfig.Files{"auth-config.yaml": b.files["auth-config.yaml"], "p.cedar": policies}); err != nil {
		b.t.Fatal(err)
	}
}

func TestClientsAreToldThatListsChanged(t *testing.T) {
	const told = `data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	b := newBed(t, bedOptions{upstreamURL: listeningUpstream(t, "id: 1\ndata: {}\n\n"), files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	session := withHeader("Mcp-Session-Id", b.post(token, initialize).header.Get("Mcp-Session-Id"))
	older, newer := b.openStream(http.MethodGet, token, "", session), b.openStream(http.MethodGet, token, "", session)
	hears(older)
	hears(newer)
	b.reloadPolicies(oneToolPolicy + ` permit(principal, action == MCP::Action::"count", resource);`)
	if got := hears(newer) + hears(older); strings.Count(got, told) != 1 || strings.Contains(got, "id:") || strings.Contains(got, "prompts") {
		t.Errorf("%q", got)
	}
	// A change that nobody's lists depend on.
	if err := b.configs.Load(authconfig.Files{
		"auth-config.yaml": strings.Replace(b.files["auth-config.yaml"], "awsSts:", "audit: {enabled: false}\n  awsSts:", 1),
		"p.cedar":          oneToolPolicy + ` permit(principal, action == MCP::Action::"count", resource);`,
	}); err != nil {
		t.Fatal(err)
	}
	if got := hears(newer) + hears(older); strings.Contains(got, "list_changed") {
		t.Errorf("%q", got)
	}
}

func TestASessionOlderThanTheProcessIsToldThatListsChanged(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: listeningUpstream(t, "id: 1\ndata: {}\n\n"), files: map[string]string{"p.cedar": oneToolPolicy}})
	stream := b.openStream(http.MethodGet, b.token("alice", nil), "")
	hears(stream)
	b.reloadPolicies(`permit(principal, action == MCP::Action::"count", resource);`)
	if got := hears(stream); !strings.Contains(got, "notifications/tools/list_changed") {
		t.Errorf("%q", got)
	}
}

func TestAToolsResultSaysNothingOfTheServersCapabilities(t *testing.T) {
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		capabilities := `{}`
		if strings.Contains(string(body), "initialize") {
			capabilities = `{"tools":{"listChanged":true}}`
		}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"capabilities":`+capabilities+`}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	b.post(token, initialize)
	b.post(token, callTool(2, "echo", "{}"))
	stream := b.openStream(http.MethodGet, token, "")
	hears(stream)
	b.reloadPolicies(`permit(principal, action == MCP::Action::"count", resource);`)
	if got := hears(stream); !strings.Contains(got, "notifications/tools/list_changed") {
		t.Errorf("%q", got)
	}
}

func TestANoticeWaitsForTheEndOfAnEvent(t *testing.T) {
	var more atomic.Bool
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Mcp-Session-Id", "s1")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{"listChanged":true}}}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"half":`)
		_ = http.NewResponseController(w).Flush()
		for !more.Load() && r.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "1}\n\n")
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	session := withHeader("Mcp-Session-Id", b.post(token, initialize).header.Get("Mcp-Session-Id"))
	stream := b.openStream(http.MethodGet, token, "", session)
	hears(stream)
	b.reloadPolicies(`permit(principal, action == MCP::Action::"count", resource);`)
	time.Sleep(50 * time.Millisecond)
	more.Store(true)
	if got := hears(stream); !strings.HasPrefix(got, "data: {\"half\":1}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}") {
		t.Errorf("%q", got)
	}
}

func TestASubscriptionIsToldOfWhatItAskedForAndWasAcknowledged(t *testing.T) {
	acknowledged := `data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true}}}` + "\n\n"
	for name, c := range map[string]struct {
		events, asked string
		told          []string
	}{
		"one of two that are acknowledged": {acknowledged, `"toolsListChanged":true`, []string{"tools"}},
		"both":                             {acknowledged, `"toolsListChanged":true,"promptsListChanged":true`, []string{"tools", "prompts"}},
		"one that is not acknowledged":     {acknowledged, `"resourcesListChanged":true`, nil},
		"none before the acknowledgement":  {": wait\n\n", `"toolsListChanged":true`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: listeningUpstream(t, c.events), files: map[string]string{"p.cedar": oneToolPolicy}})
			body := `{"jsonrpc":"2.0","id":"sub-1","method":"subscriptions/listen","params":{"notifications":{` + c.asked + `}}}`
			stream := b.openStream(http.MethodPost, b.token("alice", nil), body, withHeader("MCP-Protocol-Version", "2026-07-28"))
			hears(stream)
			b.reloadPolicies(`permit(principal, action == MCP::Action::"count", resource);`)
			got := hears(stream)
			if strings.Count(got, "list_changed") != len(c.told) {
				t.Errorf("%q", got)
			}
			for _, list := range c.told {
				if want := `"method":"notifications/` + list + `/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub-1"}}`; !strings.Contains(got, want) {
					t.Errorf("%q lacks %s", got, want)
				}
			}
		})
	}
}

func TestTheConfigSetsMetaAndHeaders(t *testing.T) {
	var body, custom, user string
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
		custom = r.Header.Get("X-Amzn-Bedrock-AgentCore-Runtime-Custom-A") + "|" + r.Header.Get("X-Amzn-Bedrock-AgentCore-Runtime-Custom-B")
		user = r.Header.Get("X-Amzn-Bedrock-AgentCore-Runtime-User-Id")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, upstream: `, meta: {AWS_REGION: eu-west-1}, headers: {allow: [X-Amzn-Bedrock-AgentCore-Runtime-Custom-A], set: {x-amzn-bedrock-agentcore-runtime-custom-b: fixed}}`})
	got := b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a": 1},"_meta":{"AWS_REGION":"us-east-1","x":"y"}}}`,
		withHeader("X-Amzn-Bedrock-AgentCore-Runtime-Custom-A", "mine"), withHeader("X-Amzn-Bedrock-AgentCore-Runtime-Custom-B", "mine"),
		withHeader("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", "root"))
	if got.status != 200 || custom != "mine|fixed" || user != "" {
		t.Errorf("%d, headers %q, user %q", got.status, custom, user)
	}
	if want := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a": 1},"_meta":{"AWS_REGION":"eu-west-1","x":"y"}}}`; body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	b.post(b.token("alice", nil), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if want := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"AWS_REGION":"eu-west-1"}}}`; body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}
