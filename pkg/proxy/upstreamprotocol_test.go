package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheUpstreamIsReachedOverHTTP2WithTheRootsOfTheConfig(t *testing.T) {
	var mu sync.Mutex
	versions, connections := map[string]int{}, map[string]bool{}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		versions[r.Proto]++
		connections[r.RemoteAddr] = true
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	defer upstream.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	b := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp", files: map[string]string{"ca.pem": string(ca)}})
	token := b.token("alice", nil)
	for i := range 5 {
		if got := b.post(token, callTool(i, "echo", "{}")); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if versions["HTTP/2.0"] != 5 || len(connections) != 1 {
		t.Errorf("versions %v, %d connections", versions, len(connections))
	}
	without := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp"})
	if got := without.post(without.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusBadGateway {
		t.Errorf("a certificate that nobody vouches for: %d", got.status)
	}
}

// hellos counts handshakes that offered HTTP/2, and those that did not.
type hellos struct{ http2, http1 atomic.Int32 }

func (h *hellos) count(hello *tls.ClientHelloInfo) {
	if slices.Contains(hello.SupportedProtos, "h2") {
		h.http2.Add(1)
	} else {
		h.http1.Add(1)
	}
}

// tlsUpstream speaks one protocol and refuses whoever does not, and tells which one that was.
func tlsUpstream(t *testing.T, listener net.Listener, protocol string, hellos *hellos) *httptest.Server {
	t.Helper()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"proto":"`+r.Proto+`"}}`)
	}))
	if listener != nil {
		_ = upstream.Listener.Close()
		upstream.Listener = listener
	}
	upstream.TLS = &tls.Config{
		NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12,
		// Package tls itself lets clients of HTTP/1.1 pass.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hellos.count(hello)
			if !slices.Contains(hello.SupportedProtos, protocol) {
				return nil, errors.New("another protocol")
			}
			return nil, nil
		},
	}
	upstream.EnableHTTP2 = protocol == "h2"
	upstream.StartTLS()
	return upstream
}

// An upstream that speaks HTTP/1.1 is sent to in another way than one that speaks HTTP/2; what
// it speaks may change while the sidecar runs.
func TestAnUpstreamMayBeginAndCeaseToSpeakHTTP2(t *testing.T) {
	var hellos hellos
	upstream := tlsUpstream(t, nil, "http/1.1", &hellos)
	address := upstream.Listener.Addr().String()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	b := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp", files: map[string]string{"ca.pem": string(ca)}})
	token := b.token("alice", nil)
	mustSpeak := func(protocol string) {
		t.Helper()
		for range 4 {
			got := b.post(token, callTool(1, "echo", "{}"))
			if got.status != http.StatusOK || !strings.Contains(got.body, protocol) {
				t.Fatalf("%d %s, want %s", got.status, got.body, protocol)
			}
		}
	}
	mustSpeak("HTTP/1.1")
	if hellos.http2.Load() != 1 || hellos.http1.Load() != 1 {
		t.Errorf("%d handshakes offered HTTP/2, %d did not", hellos.http2.Load(), hellos.http1.Load())
	}
	for _, protocol := range []string{"h2", "http/1.1", "h2"} {
		upstream.CloseClientConnections()
		upstream.Close()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		upstream = tlsUpstream(t, listener, protocol, &hellos)
		// The first may find that the way it takes is gone.
		if got := b.post(token, callTool(1, "echo", "{}")); got.status != http.StatusOK &&
			got.status != http.StatusBadGateway {
			t.Fatalf("%d %s", got.status, got.body)
		}
		mustSpeak(map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}[protocol])
	}
	// One showed that it speaks HTTP/2 now.
	if hellos.http1.Load() != 2 {
		t.Errorf("%d handshakes did not offer HTTP/2", hellos.http1.Load())
	}
	upstream.CloseClientConnections()
	upstream.Close()
}

// A front may refuse whoever does not offer HTTP/2, and then speak HTTP/1.1.
func TestAnUpstreamThatWantsHTTP2OfferedIsServedAlways(t *testing.T) {
	var hellos hellos
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, emptyResult)
	}))
	upstream.TLS = &tls.Config{
		NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hellos.count(hello)
			if !slices.Contains(hello.SupportedProtos, "h2") {
				return nil, errors.New("another protocol")
			}
			return nil, nil
		},
	}
	upstream.StartTLS()
	defer upstream.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	b := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp", files: map[string]string{"ca.pem": string(ca)}})
	token := b.token("alice", nil)
	for range 40 {
		if got := b.post(token, callTool(1, "echo", "{}")); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if n := hellos.http1.Load(); n == 0 || n > 10 {
		t.Errorf("%d handshakes were refused", n)
	}
}

func TestTimeoutsOfOneCallerCostOthersNoConnection(t *testing.T) {
	var connections atomic.Int32
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			<-r.Context().Done()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, emptyResult)
	}))
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	upstream.StartTLS()
	defer upstream.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	b := newBed(t, bedOptions{
		upstreamURL: upstream.URL + "/mcp", files: map[string]string{"ca.pem": string(ca)},
		spec: "  limits: {upstreamHeaderTimeout: 300ms}\n",
	})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	const rounds = 3
	for range rounds {
		if got := b.do(http.MethodGet, alice, ""); got.status != http.StatusGatewayTimeout {
			t.Fatalf("GET: %d %s", got.status, got.body)
		}
		for range 3 {
			if got := b.post(bob, callTool(1, "echo", "{}")); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
	}
	// One by which the upstream's protocol was learned, bob's, and alice's.
	if n := connections.Load(); n > 2+rounds {
		t.Errorf("%d connections", n)
	}
}

func TestAStatusThatThereIsNotIsNoAnswer(t *testing.T) {
	b := newBed(
		t,
		bedOptions{upstreamURL: rawUpstream(t, "HTTP/1.1 000 X\r\nContent-Length: 36\r\n\r\n"+emptyResult, 0)},
	)
	if got := b.post(b.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusBadGateway {
		t.Errorf("%d %s", got.status, got.body)
	}
}

const emptyResult = `{"jsonrpc":"2.0","id":1,"result":{}}`

// rawUpstream gives one answer to each connection's request, whose body it does not read, and
// leaves it open for a time.
func rawUpstream(t *testing.T, answer string, open time.Duration) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answer)
					time.Sleep(open)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String() + "/mcp"
}

func TestAnUpstreamThatAnswersWithoutReadingALongBodyIsHeard(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n" + emptyResult
	b := newBed(t, bedOptions{upstreamURL: rawUpstream(t, answer, 5*time.Second)})
	long := callTool(1, "echo", `{"text":"`+strings.Repeat("x", 3<<20)+`"}`)
	if got := b.post(b.token("alice", nil), long); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}
