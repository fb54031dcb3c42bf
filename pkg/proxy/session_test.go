package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// sessionUpstream issues one session id to everybody and streams on GET.
func sessionUpstream(t *testing.T) string {
	return plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Mcp-Session-Id", "the-session")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t1"}}}`)
		}
	})
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`

func TestASessionBelongsToItsCaller(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: sessionUpstream(t)})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	if got := b.post(alice, ping, withHeader("Mcp-Session-Id", "the-session")); got.status != http.StatusNotFound {
		t.Errorf("the upstream's own id: %d", got.status)
	}
	opened := b.post(alice, initialize)
	id := opened.header.Get("Mcp-Session-Id")
	if opened.status != http.StatusOK || !strings.HasPrefix(id, "the-session.") {
		t.Fatalf("initialize: %d %v", opened.status, opened.header)
	}
	session := withHeader("Mcp-Session-Id", id)
	if got := b.post(alice, ping, session); got.status != http.StatusOK || got.header.Get("Mcp-Session-Id") != id {
		t.Errorf("its caller: %d %v", got.status, got.header)
	}
	if got := b.post(b.token("alice", map[string]any{"jti": "2"}), ping, session); got.status != http.StatusOK {
		t.Errorf("its caller with a new token: %d", got.status)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		body := ""
		if method == http.MethodPost {
			body = ping
		}
		if got := b.do(method, bob, body, session); got.status != http.StatusNotFound {
			t.Errorf("another caller, %s: %d", method, got.status)
		} else if code, _, _ := got.rpcError(t); code != 40401 {
			t.Errorf("another caller, %s: code %d", method, code)
		}
	}
	if other := b.post(bob, initialize).header.Get("Mcp-Session-Id"); other == id || !strings.HasPrefix(other, "the-session.") {
		t.Errorf("the upstream gives the id to another caller: %q", other)
	}
	if got := b.do(http.MethodDelete, alice, "", session); got.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	for _, record := range b.audit.records(t) {
		if strings.Contains(fmt.Sprint(record), id) {
			t.Errorf("the code of a session is in a record: %v", record)
		}
	}
}

func TestSessionsSurviveARestartAndOtherReplicas(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	upstream := sessionUpstream(t)
	first := newBed(t, bedOptions{upstreamURL: upstream, sessionKey: key})
	token := first.token("alice", nil)
	session := withHeader("Mcp-Session-Id", first.post(token, initialize).header.Get("Mcp-Session-Id"))
	first.front.Close()
	second := newBed(t, bedOptions{upstreamURL: upstream, sessionKey: key, issuer: first.issuer})
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	if got := second.post(token, ping, session); got.status != http.StatusOK {
		t.Errorf("another process with the key: %d %s", got.status, got.body)
	}
	stranger := newBed(t, bedOptions{upstreamURL: upstream, issuer: first.issuer})
	if got := stranger.post(token, ping, session); got.status != http.StatusNotFound {
		t.Errorf("another process without the key: %d", got.status)
	}
}

func TestASessionIDThatNoHeaderCanCarryIsRefused(t *testing.T) {
	for name, id := range map[string]string{"a space": "a b", "bytes beyond ASCII": "é", "too long": strings.Repeat("x", 513)} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{upstreamURL: plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Mcp-Session-Id", id)
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			})})
			if got := b.post(b.token("alice", nil), initialize); got.status != http.StatusBadGateway {
				t.Errorf("%d %v", got.status, got.header)
			}
		})
	}
}

// TestAClientsOwnSessionIDGoesUpInDisguise is how AgentCore runtimes work: the
// client chooses the id, and AWS binds it to nobody.
func TestAClientsOwnSessionIDGoesUpInDisguise(t *testing.T) {
	const agentCore = "X-Amzn-Bedrock-Agentcore-Runtime-Session-Id"
	var seen []string
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = append(seen, r.Header.Get("Mcp-Session-Id")+"|"+r.Header.Get(agentCore))
		w.Header().Set("Mcp-Session-Id", r.Header.Get("Mcp-Session-Id"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream, upstream: ", clientSessions: true"})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for _, name := range []string{"Mcp-Session-Id", agentCore} {
		for _, token := range []string{alice, bob, alice} {
			if got := b.post(token, ping, withHeader(name, "my-own-session")); got.status != http.StatusOK || got.header.Get("Mcp-Session-Id") != "my-own-session" {
				t.Errorf("%s: %d %v", name, got.status, got.header)
			}
		}
	}
	for i, pair := range seen {
		id, other, _ := strings.Cut(pair, "|")
		if id != other || len(id) != 64 || strings.Contains(id, "my-own") || (pair == seen[0]) != (i%3 != 1) {
			t.Errorf("request %d carried %q", i, pair)
		}
	}
}

func TestATaskBelongsToItsCaller(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: sessionUpstream(t)})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	get := `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t1"}}`
	b.post(alice, initialize)
	if got := b.post(alice, get); got.status != http.StatusOK || strings.Contains(got.body, "error") {
		t.Errorf("its caller: %d %s", got.status, got.body)
	}
	if got := b.post(bob, get); !strings.Contains(got.body, "the task is not known") {
		t.Errorf("another caller: %d %s", got.status, got.body)
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: sessionUpstream(t)})
	files := authconfig.Files{"auth-config.yaml": strings.Replace(b.files["auth-config.yaml"], "audience: countersign}", "audience: countersign, clockSkew: 0s}", 1)}
	if err := b.configs.Load(files); err != nil {
		t.Fatal(err)
	}
	token := b.token("alice", map[string]any{"exp": time.Now().Add(2 * time.Second).Unix()})
	session := b.post(token, initialize).header.Get("Mcp-Session-Id")
	begun := time.Now()
	got := b.do(http.MethodGet, token, "", withHeader("Mcp-Session-Id", session))
	if took := time.Since(begun); got.status != http.StatusOK || took > 4*time.Second || took < 500*time.Millisecond {
		t.Errorf("%d after %v", got.status, took)
	}
}

func TestAReloadTakesGoodConfigsAndRefusesBadOnes(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, files: map[string]string{"p.cedar": oneToolPolicy}})
	token := b.token("alice", nil)
	echo, count := callTool(1, "echo", `{"text":"x"}`), callTool(1, "count", `{"to":1}`)
	if got := b.post(token, echo); !strings.Contains(got.body, `"result"`) {
		t.Fatal(got.body)
	}
	fetched := b.issuer.KeyFetches.Load()
	with := func(policies string) authconfig.Files {
		return authconfig.Files{"auth-config.yaml": b.files["auth-config.yaml"], "p.cedar": policies}
	}
	if err := b.configs.Load(with(`permit(principal, action == MCP::Action::"count", resource);`)); err != nil {
		t.Fatal(err)
	}
	if got := b.post(token, echo); !strings.Contains(got.body, "not allowed") {
		t.Errorf("the old policy decides: %s", got.body)
	}
	if got := b.post(token, count); !strings.Contains(got.body, `"result"`) {
		t.Errorf("the new policy does not decide: %s", got.body)
	}
	if asked := b.sts.Asked(); asked != 1 {
		t.Errorf("credentials did not survive: %d exchanges", asked)
	}
	if now := b.issuer.KeyFetches.Load(); now != fetched {
		t.Errorf("verified tokens did not survive: keys were fetched %d times more", now-fetched)
	}
	for name, files := range map[string]authconfig.Files{
		"a broken policy":     with("permit("),
		"an unknown key":      {"auth-config.yaml": b.files["auth-config.yaml"], "p.ceder": oneToolPolicy},
		"policies that go":    {"auth-config.yaml": b.files["auth-config.yaml"]},
		"no auth-config.yaml": {},
	} {
		if err := b.configs.Load(files); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if b.configs.Refused() == "" || b.configs.Current().Config.Authorizer.PolicyCount() != 1 {
		t.Errorf("refused %q", b.configs.Refused())
	}
	if got := b.post(token, count); !strings.Contains(got.body, `"result"`) {
		t.Errorf("the last good config is not in use: %s", got.body)
	}
}

func TestCredentialsOfOneTokenServeNoOther(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	for range 2 {
		for _, id := range []string{"1", "2"} {
			b.post(b.token("alice", map[string]any{"jti": id, "iat": 1}), callTool(1, "echo", `{"text":"x"}`))
		}
	}
	if asked := b.sts.Asked(); asked != 2 {
		t.Errorf("%d exchanges for two tokens of one caller", asked)
	}
}
