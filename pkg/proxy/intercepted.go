package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-io/countersign/pkg/intercept"
)

// interceptedPort is the context key of the port that a client called.
type interceptedPort struct{}

// withInterceptedPort is http.Server.ConnContext of the TLS listeners.
func withInterceptedPort(ctx context.Context, c net.Conn) context.Context {
	port, ok := intercept.Port(c)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, interceptedPort{}, port)
}

// IsUpstream tells whether a connection for this host and port is for an
// upstream.
func (s *Server) IsUpstream(host string, port int) bool {
	return s.current.Load().intercepted[interceptionKey(host, port)] != nil
}

// Intercepted serves the TLS listeners, where host, port and path choose the
// upstream.
func (s *Server) Intercepted() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		port, _ := r.Context().Value(interceptedPort{}).(int)
		if r.TLS == nil || !isForConnection(r.Host, r.TLS.ServerName, port) {
			// RFC 9110, section 15.5.20: a connection for one host must not carry
			// requests for another.
			(&failure{status: http.StatusMisdirectedRequest, code: codeNotFound, message: "the Host is not the one that the connection is for"}).write(w, nil)
			return
		}
		snap := s.current.Load()
		routes := snap.intercepted[interceptionKey(r.TLS.ServerName, port)]
		if routes == nil {
			(&failure{status: http.StatusNotFound, code: codeNotFound, message: "no upstream has this host and port"}).write(w, nil)
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
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(serverName, ".")) && headerPort == strconv.Itoa(port)
}

var errOwnListener = errors.New("the name resolves to this sidecar itself: it must be looked up past /etc/hosts")

// refuseOwnListeners keeps the sidecar from calling itself where its image does
// not say that names are looked up past /etc/hosts.
func refuseOwnListeners(addresses []string) func(network, address string, c syscall.RawConn) error {
	own := map[netip.AddrPort]bool{}
	for _, address := range addresses {
		if parsed, err := netip.ParseAddrPort(address); err == nil {
			own[parsed] = true
		}
	}
	return func(_, address string, _ syscall.RawConn) error {
		if parsed, err := netip.ParseAddrPort(address); err == nil && own[parsed] {
			return errOwnListener
		}
		return nil
	}
}
