package sidecar

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/countersign-io/countersign/pkg/proxy"
	"golang.org/x/time/rate"
)

const (
	// maxAdminConnections bounds those of the admin port, adminTimeout how long a request
	// to it, or its answer, may take.
	maxAdminConnections = 256
	adminTimeout        = 10 * time.Second
	// maxTold bounds the connections above the limit that are told so; others are closed.
	maxTold = 64
)

// newHTTPServer bounds its connections by most, which may change.
func newHTTPServer(handler http.Handler, most func() int) *http.Server {
	connections := newConnections(most)
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader,
		ConnState: connections.follow, ConnContext: connections.begin,
		ErrorLog: log.New(
			newSparingWriter(slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn).Writer()),
			"",
			0,
		),
	}
	server.RegisterOnShutdown(connections.closeSilent)
	return server
}

func newAdminServer(handler http.Handler) *http.Server {
	server := newHTTPServer(handler, func() int { return maxAdminConnections })
	server.ReadTimeout, server.WriteTimeout = adminTimeout, 3*adminTimeout
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

// connections are those of one server. When there are too many, one on which nobody was
// identified makes room, the oldest of them, else one that waits for a next request.
// Where all are busy the new one is told so, or closed: none with a request in flight is
// ever cut.
type connections struct {
	most func() int
	mu   sync.Mutex
	open map[net.Conn]*connection
	told int
}

type connection struct {
	*proxy.Connection
	state http.ConnState
	// since is when it began, or when its last request ended.
	since time.Time
}

func newConnections(most func() int) *connections {
	return &connections{most: most, open: map[net.Conn]*connection{}}
}

// begin is http.Server.ConnContext, which comes before anything else of a connection.
func (s *connections) begin(ctx context.Context, c net.Conn) context.Context {
	known := &connection{Connection: &proxy.Connection{}, since: time.Now()}
	s.mu.Lock()
	s.open[c] = known
	s.mu.Unlock()
	return proxy.WithConnection(ctx, known.Connection)
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
	known := s.open[c]
	if known == nil {
		// It made room for another and is being closed.
		return nil
	}
	known.state = state
	switch state {
	case http.StateClosed, http.StateHijacked:
		s.forget(c)
	case http.StateIdle:
		known.since = time.Now()
	case http.StateNew:
		if len(s.open)-s.told <= s.most() {
			return nil
		}
		return s.makeRoom(c, known)
	case http.StateActive:
	}
	return nil
}

func (s *connections) makeRoom(c net.Conn, known *connection) (surplus net.Conn) {
	victim := s.victim(c)
	switch {
	case victim != nil:
		silent := s.open[victim].state != http.StateIdle
		s.forget(victim)
		if silent {
			return victim
		}
		// TLS says goodbye, and whoever accepts the next must not wait for that.
		closeSoon(victim)
		return nil
	case s.told < maxTold:
		s.told++
		known.Surplus = true
		return nil
	}
	s.forget(c)
	return c
}

func (s *connections) forget(c net.Conn) {
	if known := s.open[c]; known != nil && known.Surplus {
		s.told--
	}
	delete(s.open, c)
}

func closeSoon(c net.Conn) { go func() { _ = c.Close() }() }

// victim is the connection that makes room for a new one, nil for none.
func (s *connections) victim(newest net.Conn) net.Conn {
	var unknown, idle net.Conn
	older := func(c, than net.Conn) bool { return than == nil || s.open[c].since.Before(s.open[than].since) }
	for c, known := range s.open {
		switch {
		case c == newest || known.Surplus:
		case !known.IsVerified():
			if older(c, unknown) {
				unknown = c
			}
		case known.state == http.StateIdle:
			if older(c, idle) {
				idle = c
			}
		}
	}
	if unknown != nil {
		return unknown
	}
	return idle
}

// closeSilent closes those on which no request has come yet: Shutdown takes them
// for busy during 5 s. It leaves a request that is on its way a moment to arrive.
func (s *connections) closeSilent() {
	time.Sleep(250 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, known := range s.open {
		if known.state == http.StateNew {
			closeSoon(c)
		}
	}
}
