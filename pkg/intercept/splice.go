package intercept

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// dialTimeout is that of Linux's own SYN retries, near enough: the app sees a
// refusal when its kernel would have shown one.
const dialTimeout = 120 * time.Second

// dial gives nil when the server cannot be reached.
func dial(ctx context.Context, to netip.AddrPort) *net.TCPConn {
	// Keepalives of the client end here; these stand for them.
	dialer := net.Dialer{Timeout: dialTimeout}
	dialed, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil
	}
	server, ok := dialed.(*net.TCPConn)
	if !ok {
		_ = dialed.Close()
	}
	return server
}

// listenToBoth waits until one of a client and its server speaks, or ends, and gives
// what was read of each; the error is that of a server that broke off.
func listenToBoth(client, server *net.TCPConn) (said hello, answer []byte, err error) {
	type result struct {
		answer []byte
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		b := make([]byte, 4096)
		n, err := server.Read(b)
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		// The client need not be waited for any longer.
		_ = client.SetReadDeadline(time.Unix(1, 0))
		answered <- result{b[:n], err}
	}()
	said = readHello(client, 0)
	_ = server.SetReadDeadline(time.Unix(1, 0))
	last := <-answered
	_ = server.SetReadDeadline(time.Time{})
	_ = client.SetReadDeadline(time.Time{})
	return said, last.answer, last.err
}

// splice carries bytes both ways between a client and its server, those that were
// read of the client already first. It reads nothing of them, has no time limit of
// its own and keeps half-closed connections half-closed.
func splice(client, server *net.TCPConn, read []byte) {
	if _, err := server.Write(read); err != nil {
		reset(client)
		reset(server)
		return
	}
	done := make(chan error, 2)
	go func() { done <- carry(server, client) }()
	go func() { done <- carry(client, server) }()
	first := <-done
	if first != nil {
		// One side broke: the other must not wait for it.
		reset(client)
		reset(server)
	}
	if second := <-done; first == nil && second != nil {
		reset(client)
		reset(server)
	}
	_ = client.Close()
	_ = server.Close()
}

// carry copies until the source ends, in the kernel where it can (splice(2)),
// and passes the end on.
func carry(to, from *net.TCPConn) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.CloseWrite()
}

// reset ends a connection with an RST, as a peer that broke off would.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
