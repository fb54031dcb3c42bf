package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

func TestACharsetCannotChangeTheMessage(t *testing.T) {
	var seen string
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen = r.Header.Get("Content-Type")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	token, call := b.token("alice", nil), callTool(1, "echo", "{}")
	for contentType, want := range map[string]int{
		"application/json; charset=utf-7": 415, "application/json; charset=UTF-8": 200, "application/json;odata=x": 200, "application/json; charset": 415, "text/json": 415,
	} {
		seen = ""
		got := b.post(token, call, func(r *http.Request) { r.Header.Set("Content-Type", contentType) })
		if got.status != want || want == 200 && seen != "application/json" {
			t.Errorf("%s: %d, the upstream saw %q", contentType, got.status, seen)
		}
	}
}

func TestTheRecordAndTheHeaderAreAboutWhatIsDecidedOn(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, files: map[string]string{"p.cedar": `permit(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "docs://public/*" };`}})
	token := b.token("alice", nil)
	body := `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"docs://public/start","name":"docs://internal/plan"}}`
	if got := b.post(token, body, withHeader("Mcp-Name", "docs://internal/plan")); got.status != http.StatusBadRequest || !strings.Contains(got.body, "-32020") {
		t.Errorf("a header that agrees with another member: %d %s", got.status, got.body)
	}
	b.post(token, body)
	if record := b.audit.last(t, 1)[0]; record["tool"] != "docs://public/start" || record["decision"] != "allow" {
		t.Errorf("record %v", record)
	}
}

func TestAListenForTheTasksOfOthersIsRefused(t *testing.T) {
	b := newBed(t, bedOptions{upstreamURL: sessionUpstream(t)})
	b.post(b.token("bob", nil), initialize)
	listen := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["t1"]}}}`
	if got := b.post(b.token("alice", nil), listen); !strings.Contains(got.body, "the task is not known") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := b.post(b.token("bob", nil), listen); strings.Contains(got.body, "error") {
		t.Errorf("its own: %d %s", got.status, got.body)
	}
}

func TestAClientThatDoesNotReadCannotHoldAStream(t *testing.T) {
	event := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"" + strings.Repeat("x", 60_000) + "\"}}\n\n"
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, event); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	connection, err := net.Dial("tcp", b.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", b.token("alice", nil))
	wait := func(want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for !strings.Contains(b.metrics(), want) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s", want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	wait("countersign_streams_open 1")
	time.Sleep(300 * time.Millisecond)
	b.server.EndStreams()
	wait("countersign_streams_open 0")
}

func TestABodyThatDoesNotComeIsNotWaitedForWithoutEnd(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	if got := b.do(http.MethodGet, b.token("alice", nil), "x"); got.status != http.StatusBadRequest {
		t.Errorf("a GET with a body: %d", got.status)
	}
	// The deadline is 30 s; that one is set at all shows in how net/http answers
	// a request whose declared body never comes.
	if testing.Short() {
		return
	}
	connection, err := net.Dial("tcp", b.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nx")
	_ = connection.SetReadDeadline(time.Now().Add(40 * time.Second))
	var answer bytes.Buffer
	_, err = io.Copy(&answer, connection)
	if err != nil || !strings.Contains(answer.String(), "401 Unauthorized") {
		t.Errorf("%v, %q", err, answer.String())
	}
}

func TestWhatUpstreamsAnswerWithIsPassedOrReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		contentType string
		header      string
		body        string
		wantStatus  int
		want        string
		not         string
	}{
		"text cut within a character": {200, "application/json", "", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"cut \ud83d"}]}}`, 200, `cut \ud83d`, ""},
		"a tool's name cut so":        {200, "application/json", "", `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo\ud83d"}]}}`, 502, "cannot be read", "echo"},
		"a throttle page":             {429, "text/html", "", "<html>slow</html>", 429, "status 429", "<html>"},
		"a list in a plain error":     {400, "text/plain", "", ` {"result":{"tools":[{"name":"secret"}]}}`, 400, "status 400", "secret"},
		"broken JSON in an error":     {400, "text/plain", "", `{"result":{"tools":[{"name":"secret"}]}`, 400, "status 400", "secret"},
		"a plain error":               {404, "text/plain", "", "session not found", 404, "status 404", "not found"},
		"an HTML error":               {500, "text/html", "", "<script>", 500, "status 500", "<script>"},
		"a 400 about the signature":   {400, "application/json", "IncompleteSignatureException", `{"message":"Authorization=AWS4-HMAC-SHA256 Credential=ASIA"}`, 502, "signature", "ASIA"},
		"a JSON-RPC error":            {400, "application/json", "", `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"x"}}`, 400, "-32022", ""},
		"something that is no JSON":   {200, "text/html", "", "<html>", 502, "cannot be read", "<html>"},
		"a stream with a parameter":   {200, "text/event-stream; charset", "", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n", 200, "data: {", ""},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Retry-After", "9")
				if c.header != "" {
					w.Header().Set("X-Amzn-Errortype", c.header)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			b := newBed(t, bedOptions{upstreamURL: upstream, files: map[string]string{"p.cedar": oneToolPolicy}})
			got := b.post(b.token("alice", nil), callTool(1, "echo", "{}"))
			if got.status != c.wantStatus || !strings.Contains(got.body, c.want) || c.not != "" && strings.Contains(got.body, c.not) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.status == 429 && got.header.Get("Retry-After") != "9" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
		})
	}
}

func TestAReloadCannotMakeCallersOthers(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	changed := strings.Replace(b.files["auth-config.yaml"], "source: bearer", "source: serviceAccount", 1)
	if err := b.configs.Load(authconfig.Files{"auth-config.yaml": changed}); err == nil || !strings.Contains(err.Error(), "identity.source cannot change") {
		t.Errorf("%v", err)
	}
}
