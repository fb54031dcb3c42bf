package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// maxInformational bounds the 1xx answers before the one that counts, as net/http does.
const maxInformational = 5

var (
	// ErrHeaderTimeout says that no whole header came in the time that there was for it.
	ErrHeaderTimeout = errors.New("the server took too long to answer")

	errHeaderTooLarge = errors.New("the header of the answer is too large")
	errSwitched       = errors.New("the server switches to another protocol, which nobody asked for")
	errInformational  = errors.New("the server sends too many informational answers")
)

// Transport keeps connections to servers. Its fields must not change once it is used.
type Transport struct {
	// DialContext makes a connection, within its own time.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for https; ServerName and NextProtos are set for each server.
	TLS *tls.Config
	// TLSHandshakeTimeout is how long a handshake may take.
	TLSHandshakeTimeout time.Duration
	// IdleTimeout is how long a connection is kept that nothing is sent on.
	IdleTimeout time.Duration
	// MaxIdle bounds the connections that are kept so, MaxIdlePerServer those to one server.
	MaxIdle, MaxIdlePerServer int
	// MaxHeaderBytes bounds the header of an answer, with the informational ones before it.
	MaxHeaderBytes int

	pool pool
}

// Send sends a request with a body, which is not r.Body, and gives its answer once the whole header
// is there: within timeout, or the error is ErrHeaderTimeout. It ends with r's context, as reading
// the answer does, with the context's cause. The answer's body is to be closed; its connection is
// used again where it was read to its end. Like http.Transport it repeats a request only where a
// kept connection turns out closed, and that only before anything was written, or a GET.
func (t *Transport) Send(r *http.Request, body []byte, timeout time.Duration) (*http.Response, error) {
	now := time.Now()
	deadline := now.Add(timeout)
	for fresh := false; ; {
		written, err := newWritten(r, body)
		if err != nil {
			return nil, err
		}
		c, reused, err := t.connection(r, now, deadline, fresh)
		if err != nil {
			written.release()
			return nil, err
		}
		answer, err := c.exchange(r, written)
		if err == nil {
			return answer, nil
		}
		c.abandon()
		if err = causeOf(r.Context(), err); !reused || !c.mayRepeat(r) || r.Context().Err() != nil ||
			errors.Is(err, ErrHeaderTimeout) {
			return nil, err
		}
		fresh = c.wrote // what makes a server close is not to cost all that are kept
	}
}

// connection gives one that is idle, unless it is to be fresh, or a new one; its deadline is set.
func (t *Transport) connection(
	r *http.Request, now, deadline time.Time, fresh bool,
) (c *conn, reused bool, err error) {
	server := server{secure: r.URL.Scheme == "https", host: r.URL.Host}
	for !fresh {
		c = t.pool.take(server)
		if c == nil {
			break
		}
		if !c.isIdleFor(now, t.IdleTimeout) && c.isQuiet(deadline) {
			return c, true, nil
		}
		c.abandon()
	}
	ctx, cancel := context.WithDeadlineCause(r.Context(), deadline, ErrHeaderTimeout)
	defer cancel()
	made, err := t.dial(ctx, server)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	case !time.Now().Before(deadline):
		return nil, false, ErrHeaderTimeout
	default:
		return nil, false, err
	}
	c = newConn(t, server, made)
	if err := c.SetDeadline(deadline); err != nil {
		c.abandon()
		return nil, false, fmt.Errorf("set the deadline: %w", err)
	}
	return c, false, nil
}

// HandshakeError says that TLS could not be agreed on: the server has seen nothing of the
// request.
type HandshakeError struct{ cause error }

// Error implements error.
func (e *HandshakeError) Error() string { return "TLS: " + e.cause.Error() }

// Unwrap gives the cause.
func (e *HandshakeError) Unwrap() error { return e.cause }

func (t *Transport) dial(ctx context.Context, server server) (net.Conn, error) {
	plain, err := t.DialContext(ctx, "tcp", server.address())
	if err != nil || !server.secure {
		return plain, err
	}
	config := t.TLS.Clone()
	config.ServerName, config.NextProtos = server.name(), []string{"http/1.1"}
	ctx, cancel := context.WithTimeout(ctx, t.TLSHandshakeTimeout)
	defer cancel()
	secure := tls.Client(&records{Conn: plain}, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, &HandshakeError{err}
	}
	return secure, nil
}

// CloseIdleConnections closes those that are not in use, and has the others close
// when they are no longer.
func (t *Transport) CloseIdleConnections() { t.pool.close() }

// causeOf is why a request that was sent failed: its context's cause, or the time that was up.
func causeOf(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrHeaderTimeout
	}
	return err
}

// exchange writes the request and reads the answer's header.
func (c *conn) exchange(r *http.Request, request *written) (*http.Response, error) {
	c.begin(r.Context())
	n, err := c.Write(*request)
	request.release()
	if c.wrote = n > 0; err != nil {
		return nil, err
	}
	answer, err := c.readHeader(r)
	if err != nil {
		return nil, err
	}
	if answer.Body == http.NoBody {
		c.end(!answer.Close)
		return answer, nil
	}
	if answer.ContentLength < 0 || answer.ContentLength > int64(c.reader.Buffered()) {
		_ = c.SetDeadline(time.Time{}) // a body may take as long as it likes
	}
	answer.Body = &body{from: answer.Body, conn: c, ctx: r.Context(), last: answer.Close}
	return answer, nil
}

func (c *conn) readHeader(r *http.Request) (*http.Response, error) {
	c.header = c.transport.MaxHeaderBytes
	for range maxInformational + 1 {
		answer, err := http.ReadResponse(c.reader, r)
		switch {
		case err != nil && c.failed != nil:
			return nil, c.failed // net/http may complain of the part that came
		case err != nil:
			return nil, err
		case answer.StatusCode == http.StatusSwitchingProtocols:
			return nil, errSwitched
		case answer.StatusCode/100 != 1:
			c.header = unlimited
			return answer, nil
		}
	}
	return nil, errInformational
}
