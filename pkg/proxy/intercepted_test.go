package proxy

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheSidecarDoesNotCallItself(t *testing.T) {
	refuse := refuseOwnListeners([]string{"127.0.0.137:443", "[::1]:443"})
	for name, c := range map[string]struct {
		address string
		own     bool
	}{
		"where the alias of an upstream leads":         {"127.0.0.137:443", true},
		"where it leads on IPv6":                       {"[::1]:443", true},
		"another port there is somebody else's":        {"127.0.0.137:8443", false},
		"an upstream's real address":                   {"198.51.100.7:443", false},
		"another loopback address is somebody else's":  {"127.0.0.1:443", false},
		"what is no address is for the dialer to tell": {"nonsense", false},
	} {
		if got := refuse("tcp", c.address, nil); errors.Is(got, errOwnListener) != c.own {
			t.Errorf("%s: %v", name, got)
		}
	}
}

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
