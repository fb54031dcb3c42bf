package intercept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
)

// conn is a connection that is for an upstream. Its port is the one that the
// client called, wherever the connection was sent.
type conn struct {
	net.Conn
	// read was read already, to learn for whom the connection is.
	read []byte
	port int
}

// Read gives what was read already, then the rest.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.read) > 0 {
		n := copy(b, c.read)
		if c.read = c.read[n:]; len(c.read) == 0 {
			c.read = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

// Port is the port that the client of an intercepted connection called.
func Port(c net.Conn) (int, bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	intercepted, ok := c.(*conn)
	if !ok {
		return 0, false
	}
	return intercepted.port, true
}

// tlsListener terminates every connection; those for other hosts end with an
// alert.
type tlsListener struct {
	net.Listener
	config *tls.Config
	port   int
}

// Accept gives a *tls.Conn whose handshake is still to come.
func (l *tlsListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(&conn{Conn: accepted, port: l.port}, l.config), nil
}

func newTLSConfig(authority *Authority) *tls.Config {
	return &tls.Config{
		GetCertificate: authority.GetCertificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
}

// ListenTLS listens on addresses that upstream host names were pointed to. An
// IPv6 address that this host does not have is passed over: there nothing can
// connect to it either.
func ListenTLS(ctx context.Context, addresses []string, authority *Authority) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := listen(ctx, address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--tls-listen: %w", err), closeAll(listeners))
		}
		if listener == nil {
			continue
		}
		port, err := portOf(listener)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--tls-listen: %w", err), closeAll(listeners))
		}
		listeners = append(listeners, &tlsListener{Listener: listener, config: newTLSConfig(authority), port: port})
	}
	return listeners, nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		return listener, nil
	}
	parsed, parseErr := netip.ParseAddrPort(address)
	if parseErr == nil && parsed.Addr().Is6() &&
		(errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
		slog.Info("there is no IPv6 here", "listen", address)
		return nil, nil
	}
	return nil, err
}

func portOf(l net.Listener) (int, error) {
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is not a TCP address", l.Addr())
	}
	return address.Port, nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
