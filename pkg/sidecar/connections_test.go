package sidecar

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/proxy"
)

func TestFailedHandshakesDoNotFloodTheLog(t *testing.T) {
	var lines strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	defer slog.SetDefault(before)
	server := newHTTPServer(http.NotFoundHandler(), func() int { return 16 })
	for range 10_000 {
		server.ErrorLog.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	}
	if n := strings.Count(lines.String(), "TLS handshake error"); n == 0 || n > 100 {
		t.Errorf("%d lines", n)
	}
	time.Sleep(logInterval)
	lines.Reset()
	server.ErrorLog.Print("http: TLS handshake error from 127.0.0.1:2: EOF")
	if !strings.Contains(lines.String(), "127.0.0.1:2") {
		t.Error("a later one is not told")
	}
}

// bench serves with a limit of connections. A request for /known is of a caller who is
// known, and one for /held waits until the bench is let go.
type bench struct {
	address string
	held    chan struct{}
	heard   chan struct{}
}

func newBench(t *testing.T, most int) *bench {
	t.Helper()
	b := &bench{held: make(chan struct{}), heard: make(chan struct{}, 10_000)}
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := proxy.ConnectionOf(r)
		if connection.Surplus {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if strings.Contains(r.URL.Path, "known") {
			connection.Verified()
		}
		b.heard <- struct{}{}
		if strings.Contains(r.URL.Path, "held") {
			<-b.held
		}
	}), func() int { return most })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = listener.Addr().String()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return b
}

func (b *bench) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) ask(c net.Conn, path string) {
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
}

// answer is the status that comes, 0 where the connection ends before.
func answer(c net.Conn) int {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	return response.StatusCode
}

func TestConnectionsOfNobodyMakeRoomFirst(t *testing.T) {
	const most = 64
	b := newBench(t, most)
	busy := b.dial(t)
	b.ask(busy, "/known/held")
	<-b.heard
	idle := b.dial(t)
	b.ask(idle, "/known")
	if answer(idle) != http.StatusOK {
		t.Fatal("no answer: what follows shows nothing")
	}
	// Some say nothing, some half of a header, some wait for the answer to a request that
	// nobody answers for.
	for n := range 3 * most {
		c := b.dial(t)
		switch n % 3 {
		case 1:
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
		case 2:
			b.ask(c, "/held")
		}
	}
	for n := range most {
		late := b.dial(t)
		b.ask(late, "/known")
		if got := answer(late); got != http.StatusOK {
			t.Fatalf("new connection %d: %d", n, got)
		}
	}
	close(b.held)
	if answer(busy) != http.StatusOK {
		t.Error("the busy connection was cut off")
	}
}

func TestWhereAllAreBusyANewConnectionIsToldSo(t *testing.T) {
	const most = 8
	b := newBench(t, most)
	var busy []net.Conn
	for range most {
		c := b.dial(t)
		b.ask(c, "/known/held")
		<-b.heard
		busy = append(busy, c)
	}
	counts := map[int]int{}
	var surplus []net.Conn
	for range 3 * maxTold {
		surplus = append(surplus, b.dial(t))
	}
	for _, c := range surplus {
		b.ask(c, "/known")
		counts[answer(c)]++
	}
	if counts[http.StatusServiceUnavailable] < maxTold || counts[http.StatusOK] > 0 || counts[0] == 0 {
		t.Errorf("answers by status: %v", counts)
	}
	close(b.held)
	for _, c := range busy {
		if answer(c) != http.StatusOK {
			t.Error("a busy connection was cut off")
		}
	}
	late := b.dial(t)
	b.ask(late, "/known")
	if got := answer(late); got != http.StatusOK {
		t.Errorf("afterwards: %d", got)
	}
}

func TestTheAdminPortWaitsForNobody(t *testing.T) {
	server := newAdminServer(http.NotFoundHandler())
	if server.ReadTimeout == 0 || server.WriteTimeout == 0 {
		t.Error("a client that sends half a request, or reads no answer, keeps its connection")
	}
}
