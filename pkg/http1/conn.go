package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// unlimited is for what comes after a header.
const unlimited = math.MaxInt

// conn is a connection to a server: in the pool, or used by one request.
type conn struct {
	net.Conn
	transport *Transport
	server    server
	// socket is what Conn is on; nil where that cannot be told.
	socket syscall.RawConn
	// look, watched and silent are isSilent's.
	look    func(fd uintptr)
	watched watched
	silent  bool
	left    [1]byte
	// interrupt closes the connection, so that what waits for it fails.
	interrupt func()
	idleSince time.Time

	// Of the request that uses the connection:
	reader *bufio.Reader
	// header is how much of it may still come.
	header int
	// wrote and read are set once anything was; failed is why no more can be read.
	wrote, read bool
	failed      error
	// stop ends the watch of its context, and reports whether that was in time.
	stop func() bool
}

func newConn(t *Transport, s server, made net.Conn) *conn {
	c := &conn{Conn: made, transport: t, server: s}
	c.interrupt = func() { _ = c.under().Close() }
	if socket, ok := c.under().(syscall.Conn); ok {
		c.socket, _ = socket.SyscallConn()
	}
	c.look = func(fd uintptr) { c.silent = c.watched.nothingToRead(fd) }
	return c
}

// under is the connection below TLS.
func (c *conn) under() net.Conn {
	if r := c.records(); r != nil {
		return r.Conn
	}
	return c.Conn
}

// records are those of TLS, nil without.
func (c *conn) records() *records {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		r, _ := secure.NetConn().(*records)
		return r
	}
	return nil
}

// isQuiet reports whether the server has neither closed the connection nor sent what nobody
// asked for, which would be taken for the next answer. The deadline is that of the next request.
func (c *conn) isQuiet(deadline time.Time) bool {
	return c.isSilent() && c.SetDeadline(deadline) == nil && c.hasNothingDecrypted(deadline)
}

// isSilent reports whether the socket is open and nothing is to be read from it.
func (c *conn) isSilent() bool {
	c.silent = false
	return c.socket != nil && c.socket.Control(c.look) == nil && c.silent
}

// hasNothingDecrypted reports whether TLS holds nothing of what came with the last answer. It
// says so without a system call: a read whose time is up gives what is there, or fails. What it
// writes, as it may to change keys, has until the deadline.
func (c *conn) hasNothingDecrypted(deadline time.Time) bool {
	records := c.records()
	if records == nil {
		return true
	}
	if !records.areWhole() || c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	n, err := c.Read(c.left[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(deadline) == nil
}

var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

func (c *conn) begin(ctx context.Context) {
	c.reader, _ = readers.Get().(*bufio.Reader)
	c.reader.Reset(source{c})
	c.wrote, c.read, c.failed = false, false, nil
	c.stop = context.AfterFunc(ctx, c.interrupt)
}

// mayRepeat reports whether a request that failed on this connection can be sent on another:
// the server has seen nothing of it, or was gone and may see it once more.
func (c *conn) mayRepeat(r *http.Request) bool {
	return !c.wrote || !c.read && r.Method == http.MethodGet
}

// end gives the connection back where it may be used again.
func (c *conn) end(reusable bool) {
	reusable = c.stop() && reusable && c.reader.Buffered() == 0 && c.failed == nil
	c.reader.Reset(nil)
	readers.Put(c.reader)
	c.reader, c.stop = nil, nil
	if !reusable || !c.transport.pool.put(c) {
		c.abandon()
	}
}

// abandon closes the connection without waiting for its server; somebody may be reading
// from it.
func (c *conn) abandon() {
	if stop := c.stop; stop != nil {
		stop()
	}
	_ = c.under().Close()
}

// source is what a conn's reader reads from: as much as a header may have, then all.
type source struct{ *conn }

// Read implements io.Reader.
func (s source) Read(b []byte) (int, error) {
	if s.header <= 0 {
		s.failed = errHeaderTooLarge
		return 0, s.failed
	}
	n, err := s.Conn.Read(b)
	s.read = s.read || n > 0
	if err != nil {
		s.failed = err
	}
	if s.header != unlimited {
		s.header -= n
	}
	return n, err
}

var errBodyClosed = errors.New("the body is closed")

// body gives the connection back at its end.
type body struct {
	from io.Reader
	conn *conn
	ctx  context.Context //nolint:containedctx // the request's, which the body belongs to
	// last is set where the connection ends with the answer.
	last bool
	// ended is set by whoever ended it first, reader or closer; whole once all was read.
	ended, whole atomic.Bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.whole.Load():
		return 0, io.EOF
	case b.ended.Load():
		return 0, errBodyClosed
	}
	n, err := b.from.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		if !b.ended.Swap(true) {
			b.whole.Store(true)
			b.conn.end(!b.last)
		}
	default:
		if !b.ended.Swap(true) {
			b.conn.abandon()
		}
		if b.ctx.Err() != nil {
			err = context.Cause(b.ctx)
		}
	}
	return n, err
}

// Close implements io.Closer. What is not read yet is lost, and the connection with it.
func (b *body) Close() error {
	if !b.ended.Swap(true) {
		b.conn.abandon()
	}
	return nil
}
