package intercept

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
)

// dialTimeout is that of Linux's own SYN retries, near enough: the app sees a
// refusal when its kernel would have shown one.
const dialTimeout = 120 * time.Second

// splice connects a client to where it wanted to go and carries bytes both ways,
// those that were read already first. It reads nothing of them, has no time
// limit of its own and keeps half-closed connections half-closed.
func splice(ctx context.Context, client *net.TCPConn, read []byte, to netip.AddrPort) {
	// Keepalives of the client end here; these stand for them.
	dialer := net.Dialer{Timeout: dialTimeout}
	dialed, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		reset(client)
		return
	}
	server, ok := dialed.(*net.TCPConn)
	if !ok {
		_ = dialed.Close()
		reset(client)
		return
	}
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
