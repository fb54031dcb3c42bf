package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/go-jose/go-jose/v4"
)

func (b *bed) address() string { return strings.TrimPrefix(b.front.URL, "http://") }

// half sends the header of a POST that announces a body, and none of it.
func half(t *testing.T, address, token string, length int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	_, err = fmt.Fprintf(
		c,
		"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n",
		authorization,
		length,
	)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoBringsNoTokenIsAnsweredAtOnceAndClosed(t *testing.T) {
	b := newBed(t, bedOptions{})
	for name, c := range map[string]struct {
		token  string
		length int
	}{"no token": {"", 1000}, "a bad token": {"x", 1000}, "a large body": {"", 1 << 20}} {
		begun := time.Now()
		connection := half(t, b.address(), c.token, c.length)
		_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_, err = reader.ReadByte()
		if response.StatusCode != http.StatusUnauthorized || !response.Close || err == nil {
			t.Errorf("%s: %d, close %v, %v", name, response.StatusCode, response.Close, err)
		}
		// Far less than the time that a body has.
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s: after %v", name, took)
		}
	}
}

func TestTheThirdRefusedTokenEndsTheConnection(t *testing.T) {
	b := newBed(t, bedOptions{})
	front := httptest.NewUnstartedServer(b.server)
	front.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return proxy.WithConnection(ctx, &proxy.Connection{})
	}
	front.Start()
	defer front.Close()
	b.url = front.URL + "/mcp"
	for n := range 6 {
		// One with a body that is not read closes at once.
		got := b.do(http.MethodGet, "bad", "")
		if got.status != http.StatusUnauthorized || got.closes != (n%3 == 2) {
			t.Errorf("token %d: %d, closes %v", n, got.status, got.closes)
		}
	}
}

func TestForgedTokensKeepNobodyOut(t *testing.T) {
	b := newBed(t, bedOptions{})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	b.post(alice, callEcho)
	// The key is unknown: each waits until the issuer is asked again.
	other := standin.NewIssuer()
	defer other.Close()
	other.AddKey(jose.RS256)
	forged := other.Token(map[string]any{"iss": b.issuer.URL, "aud": audience, "sub": "mallory"})
	b.post(forged, callEcho)
	for range 2 * 512 {
		half(t, b.address(), forged, 1000)
	}
	time.Sleep(300 * time.Millisecond)
	for name, token := range map[string]string{"who was verified before": alice, "who is new": bob} {
		if got := b.post(token, callEcho); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestWhatIsRefusedByItsAddressWaitsForNoBody(t *testing.T) {
	b := newBed(t, bedOptions{})
	for name, request := range map[string]string{
		"a path that no upstream has": "POST /nowhere", "a method": "PUT /mcp", "a query": "POST /mcp?a=b",
		"metadata": "POST /.well-known/oauth-protected-resource/mcp",
	} {
		begun := time.Now()
		c, err := net.Dial("tcp", b.address())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n", request)
		// It is answered, and the connection ends.
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") || time.Since(begun) > 5*time.Second {
			t.Errorf("%s: after %v %v %.20q", name, time.Since(begun), err, answer)
		}
		_ = c.Close()
	}
}

func TestTheLargestBodyThatIsAllowedIsTaken(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}))
	defer upstream.Close()
	b := newBed(t, bedOptions{upstreamURL: upstream.URL, spec: "\n  limits: {maxRequestBytes: 33554432}"})
	b.url = b.front.URL + "/"
	large := callTool(1, "echo", `{"text":"`+strings.Repeat("x", 30<<20)+`"}`)
	if got := b.post(b.token("alice", nil), large); got.status != http.StatusOK {
		t.Errorf("%d %.200s", got.status, got.body)
	}
}

func TestOneCallersRequestsLeavePlacesToOthers(t *testing.T) {
	b := newBed(t, bedOptions{spec: "\n  limits: {maxConcurrentRequests: 64}"})
	mallory, alice := b.token("mallory", nil), b.token("alice", nil)
	// Half-sent bodies and slow calls.
	for range 100 {
		half(t, b.address(), mallory, 2000)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var slow sync.WaitGroup
	for range 100 {
		slow.Go(func() {
			r, _ := http.NewRequestWithContext(
				ctx,
				http.MethodPost,
				b.url,
				strings.NewReader(callTool(1, "count", `{"to":100,"pauseMillis":100}`)),
			)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept", "application/json, text/event-stream")
			r.Header.Set("Authorization", "Bearer "+mallory)
			if response, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	for n := range 50 {
		if got := b.post(alice, callEcho); got.status != http.StatusOK {
			t.Fatalf("alice's call %d: %d %s", n, got.status, got.body)
		}
	}
	cancel()
	slow.Wait()
}

func TestOneCallersBodiesLeaveMemoryToOthers(t *testing.T) {
	b := newBed(t, bedOptions{})
	mallory, alice := b.token("mallory", nil), b.token("alice", nil)
	sent := strings.Repeat("x", 4<<20-100)
	var sending sync.WaitGroup
	for range 40 {
		sending.Go(func() {
			c := half(t, b.address(), mallory, 4<<20)
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			_, _ = io.WriteString(c, sent)
			_, _ = bufio.NewReader(c).ReadByte()
		})
	}
	time.Sleep(time.Second)
	large := callTool(1, "echo", `{"text":"`+strings.Repeat("x", 1<<20)+`"}`)
	if got := b.post(alice, large); got.status != http.StatusOK {
		t.Errorf("alice's large body: %d", got.status)
	}
	sending.Wait()
	if metrics := b.metrics(); strings.Contains(metrics, `countersign_overload_total{what="bodies"} 0`) {
		t.Error("no body was refused: what came before shows nothing")
	}
}

func TestStreamsOfOneCallerAreBounded(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	b := newBed(t, bedOptions{
		upstreamURL: upstream.URL, spec: "\n  limits: {maxStreams: 8, maxStreamsPerCaller: 3}",
	})
	b.url = b.front.URL + "/"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(user string) int {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, b.url, nil)
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Authorization", "Bearer "+b.token(user, nil))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response.StatusCode
	}
	for n := range 5 {
		if got := open("mallory"); (got == http.StatusServiceUnavailable) != (n >= 3) {
			t.Errorf("mallory's stream %d: %d", n, got)
		}
	}
	for n := range 3 {
		if got := open("alice"); got != http.StatusOK {
			t.Errorf("alice's stream %d: %d", n, got)
		}
	}
}

func TestACallerAboveHisRateIsToldWhenToComeBack(t *testing.T) {
	b := newBed(t, bedOptions{spec: "\n  limits: {requestsPerSecond: 2}"})
	mallory := b.token("mallory", nil)
	var last answer
	for range 5 {
		last = b.post(mallory, callEcho)
	}
	if code, _, _ := last.rpcError(t); last.status != http.StatusTooManyRequests ||
		last.header.Get("Retry-After") != "1" ||
		code != 42900 {
		t.Errorf("%d %v %s", last.status, last.header, last.body)
	}
	if got := b.post(b.token("alice", nil), callEcho); got.status != http.StatusOK {
		t.Errorf("another caller: %d", got.status)
	}
}

func TestRequestsInFlightToAnUpstreamAreBounded(t *testing.T) {
	var mu sync.Mutex
	inFlight, most := 0, 0
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		inFlight++
		most = max(most, inFlight)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		inFlight--
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}))
	defer upstream.Close()
	b := newBed(t, bedOptions{upstreamURL: upstream.URL, spec: "\n  limits: {maxUpstreamRequests: 4}"})
	b.url = b.front.URL + "/"
	var all sync.WaitGroup
	for n := range 60 {
		token := b.token(fmt.Sprint("caller-", n%6), nil)
		all.Go(func() {
			if got := b.post(token, callEcho); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if most > 4 {
		t.Errorf("%d requests were in flight", most)
	}
}
