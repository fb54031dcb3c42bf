package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

const patience = 10 * time.Second

// rawServer answers each connection as a test says.
type rawServer struct {
	url         string
	connections atomic.Int32
}

func newRawServer(t *testing.T, serve func(n int, c net.Conn)) *rawServer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{url: "http://" + listener.Addr().String() + "/mcp"}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			n := int(s.connections.Add(1))
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				// No test waits for a connection that its transport keeps.
				stop := context.AfterFunc(t.Context(), func() { _ = c.Close() })
				defer stop()
				serve(n, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return s
}

// readRequest reads one request with its body, and reports whether there was one.
func readRequest(r *bufio.Reader) (*http.Request, string, bool) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil, "", false
	}
	body, err := io.ReadAll(request.Body)
	return request, string(body), err == nil
}

// answering gives one answer to each request of a connection.
func answering(answer string) func(int, net.Conn) {
	return func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		for {
			if _, _, ok := readRequest(reader); !ok {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

const helloAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func newTransport(t *testing.T) *http1.Transport {
	t.Helper()
	transport := &http1.Transport{
		DialContext: (&net.Dialer{Timeout: patience}).DialContext, TLSHandshakeTimeout: patience,
		IdleTimeout: time.Minute, MaxIdle: 64, MaxIdlePerServer: 32, MaxHeaderBytes: 64 << 10,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func newRequest(ctx context.Context, t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends a POST, and reads its answer to the end.
func send(t *testing.T, transport *http1.Transport, url, body string) (int, string, error) {
	t.Helper()
	answer, err := transport.Send(newRequest(t.Context(), t, http.MethodPost, url), []byte(body), patience)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func mustSay(t *testing.T, transport *http1.Transport, url, want string) {
	t.Helper()
	status, text, err := send(t, transport, url, "{}")
	if err != nil || status != http.StatusOK || text != want {
		t.Fatalf("%d %q %v, want 200 %q", status, text, err, want)
	}
}

func mustFail(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want one that says %q", err, want)
	}
}

// failure sends a request that must fail.
func failure(t *testing.T, transport *http1.Transport, r *http.Request, body string, timeout time.Duration) error {
	t.Helper()
	answer, err := transport.Send(r, []byte(body), timeout)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatalf("an answer with status %d", answer.StatusCode)
	}
	return err
}

var errGone = errors.New("the client is gone")
