package sidecar

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFailedHandshakesDoNotFloodTheLog(t *testing.T) {
	var lines strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	defer slog.SetDefault(before)
	server := newHTTPServer(http.NotFoundHandler())
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

func TestConnectionsAreBoundedAndTheIdleMakeRoom(t *testing.T) {
	held := make(chan struct{})
	server := newHTTPServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			<-held
		}
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ask := func(c net.Conn, path string) { _, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n") }
	answered := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && strings.Contains(line, "200")
	}
	busy := dial()
	ask(busy, "/held")
	idle := dial()
	ask(idle, "/")
	if !answered(idle) {
		t.Fatal("no answer: what follows shows nothing")
	}
	silent := make([]net.Conn, maxConnections+100)
	for n := range silent {
		silent[n] = dial()
	}
	// A new one is served, the one that was idle is gone, the busy one is not.
	late := dial()
	ask(late, "/")
	if !answered(late) {
		t.Error("a new connection is not served")
	}
	open := 0
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
			open++
		}
	}
	if open >= maxConnections {
		t.Errorf("%d silent connections are open", open)
	}
	close(held)
	if !answered(busy) {
		t.Error("the busy connection was cut off")
	}
}

func TestWhereAllAreBusyANewConnectionIsRefusedUnheard(t *testing.T) {
	const most = 4
	held, heard := make(chan struct{}), make(chan struct{}, 1000)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		heard <- struct{}{}
		<-held
	})}
	counted := &connections{open: map[net.Conn]http.ConnState{}, most: most}
	server.ConnState = counted.follow
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer func() { close(held); _ = server.Close() }()
	for n := range 200 {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		// The first few are to be busy before there are more.
		for busy, end := len(heard), time.Now().Add(5*time.Second); n < most && busy <= n && time.Now().Before(end); busy = len(heard) {
			time.Sleep(time.Millisecond)
		}
	}
	time.Sleep(200 * time.Millisecond)
	if n := len(heard); n != most {
		t.Errorf("%d requests were heard", n)
	}
	if n := len(counted.snapshot()); n != most {
		t.Errorf("%d connections are counted", n)
	}
}

// snapshot copies what is open.
func (s *connections) snapshot() map[net.Conn]http.ConnState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.open)
}
