package proxy

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-io/countersign/pkg/intercept"
)

// interceptedPort is the context key of the port that a client called.
type interceptedPort struct{}

// WithInterceptedPort is http.Server.ConnContext of the TLS listeners.
func WithInterceptedPort(ctx context.Context, c net.Conn) context.Context {
	port, ok := intercept.Port(c)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, interceptedPort{}, port)
}

// IsUpstream reports whether a connection for this host and port is for an
// upstream.
func (s *Server) IsUpstream(host string, port int) bool {
	return s.options.Configs.Current().Intercepted(host, port) != nil
}

// Intercepted serves the TLS listeners, where host, port and path choose the
// upstream.
func (s *Server) Intercepted() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setReadDeadline(w, time.Now().Add(bodyTimeout))
		port, _ := r.Context().Value(interceptedPort{}).(int)
		if r.TLS == nil || !isForConnection(r.Host, r.TLS.ServerName, port) {
			// RFC 9110, section 15.5.20: a connection for one host must not carry
			// requests for another.
			refuse(w, r, misdirected())
			return
		}
		snap := s.options.Configs.Current()
		routes := snap.Intercepted(r.TLS.ServerName, port)
		if routes == nil {
			refuse(w, r, notFound("no upstream has this host and port"))
			return
		}
		s.route(w, r, snap, routes) //nolint:contextcheck // the request carries it
	})
}

// isForConnection compares a Host header with what the connection was made for.
func isForConnection(header, serverName string, port int) bool {
	host, headerPort, err := net.SplitHostPort(header)
	if err != nil {
		host, headerPort = header, "443"
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(serverName, ".")) &&
		headerPort == strconv.Itoa(port)
}
