package sidecar

import (
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxConnections bounds the connections of one server that are open at once. With
// headers of the greatest size they stay within the sidecar's default memory limit.
const maxConnections = 1024

func newHTTPServer(handler http.Handler) *http.Server {
	connections := &connections{open: map[net.Conn]http.ConnState{}, most: maxConnections}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader,
		ConnState: connections.follow,
		ErrorLog: log.New(
			newSparingWriter(slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn).Writer()),
			"",
			0,
		),
	}
	server.RegisterOnShutdown(connections.closeSilent)
	return server
}

// logInterval is how often at most net/http's own complaints are told: whoever can
// connect can cause one with every connection.
const logInterval = time.Second

// sparingWriter drops all but one write in logInterval, after the first few.
type sparingWriter struct {
	to        io.Writer
	sometimes rate.Sometimes
}

func newSparingWriter(to io.Writer) *sparingWriter {
	return &sparingWriter{to: to, sometimes: rate.Sometimes{First: 10, Interval: logInterval}}
}

// Write tells that all was written, for what is dropped too.
func (w *sparingWriter) Write(line []byte) (int, error) {
	w.sometimes.Do(func() { _, _ = w.to.Write(line) })
	return len(line), nil
}

// connections are those of one server. When there are too many, one that waits for
// a next request makes room, else one on which no request has come yet, else the
// new one is closed.
type connections struct {
	most int
	mu   sync.Mutex
	open map[net.Conn]http.ConnState
}

// follow is http.Server.ConnState, which a new connection goes through before
// anything is read of it.
func (s *connections) follow(c net.Conn, state http.ConnState) {
	if surplus := s.note(c, state); surplus != nil {
		_ = surplus.Close()
	}
}

// note gives a connection that is to be closed.
func (s *connections) note(c net.Conn, state http.ConnState) (surplus net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		delete(s.open, c)
		return nil
	case state == http.StateNew && len(s.open) >= s.most:
		if surplus = s.victim(); surplus == nil {
			return c
		}
		idle := s.open[surplus] == http.StateIdle
		delete(s.open, surplus)
		if idle {
			// TLS says goodbye, and whoever accepts the next must not wait for that.
			closeSoon(surplus)
			surplus = nil
		}
	}
	s.open[c] = state
	return surplus
}

func closeSoon(c net.Conn) { go func() { _ = c.Close() }() }

func (s *connections) victim() (silent net.Conn) {
	for c, state := range s.open {
		switch state {
		case http.StateIdle:
			return c
		case http.StateNew:
			silent = c
		}
	}
	return silent
}

// closeSilent closes those on which no request has come yet: Shutdown takes them
// for busy during 5 s. It leaves a request that is on its way a moment to arrive.
func (s *connections) closeSilent() {
	time.Sleep(250 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, state := range s.open {
		if state == http.StateNew {
			closeSoon(c)
		}
	}
}
