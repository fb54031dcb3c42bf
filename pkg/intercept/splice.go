package intercept

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// dialTimeout is roughly that of Linux's own SYN retries: the app sees a
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

// answer is how a server began.
type answer struct {
	// server is nil when it could not be reached.
	server *net.TCPConn
	read   []byte
	broken bool
}

// firstAnswer calls a server and waits until it speaks or ends, or until it is not
// listened to any longer.
func firstAnswer(dialing, listening context.Context, to netip.AddrPort) answer {
	server := dial(dialing, to)
	if server == nil {
		return answer{}
	}
	interrupted := make(chan struct{})
	cancelled := context.AfterFunc(listening, func() {
		_ = server.SetReadDeadline(longAgo)
		close(interrupted)
	})
	b := make([]byte, 4096)
	n, err := server.Read(b)
	if !cancelled() {
		<-interrupted
	}
	_ = server.SetReadDeadline(time.Time{})
	return answer{server, b[:n], err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded)}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// interruptible is a connection whose reading somebody else can end, whatever
// deadlines the reader sets.
type interruptible struct {
	*net.TCPConn
	mu          sync.Mutex
	interrupted bool
}

// SetReadDeadline has no effect after an interruption.
func (i *interruptible) SetReadDeadline(t time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.interrupted {
		return nil
	}
	return i.TCPConn.SetReadDeadline(t)
}

func (i *interruptible) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.interrupted = true
	_ = i.TCPConn.SetReadDeadline(longAgo)
}

// resume lets the connection be read again, for good.
func (i *interruptible) resume() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.interrupted = true
	_ = i.TCPConn.SetReadDeadline(time.Time{})
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

// resetAll resets connections, and skips nil ones.
func resetAll(connections ...*net.TCPConn) {
	for _, c := range connections {
		if c != nil {
			reset(c)
		}
	}
}
