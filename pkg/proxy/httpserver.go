package proxy

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

func newHTTPServer(handler http.Handler) *http.Server {
	silent := &silentConnections{open: map[net.Conn]bool{}}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader, ConnState: silent.follow,
		ErrorLog: log.New(newSparingWriter(slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn).Writer()), "", 0),
	}
	server.RegisterOnShutdown(silent.close)
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

// silentConnections are those on which no request has come yet. Shutdown takes
// them for busy during 5 s.
type silentConnections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (s *silentConnections) follow(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.open[c] = true
	} else {
		delete(s.open, c)
	}
}

// close leaves a request that is on its way a moment to arrive.
func (s *silentConnections) close() {
	time.Sleep(250 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}
