package intercept

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	// silence is how long a client may say nothing before it is taken for one
	// that waits for its server.
	silence = 300 * time.Millisecond
	// helloTimeout is how long a client may take for a ClientHello that it began.
	helloTimeout = 10 * time.Second
	// maxHello bounds what is read of a connection before it is decided on: a
	// handshake message of crypto/tls's own limit in records of the least size.
	maxHello = 128 << 10
)

// recordTypeHandshake begins a TLS connection (RFC 8446, section 5.1).
const recordTypeHandshake = 22

var (
	errHelloRead = errors.New("the ClientHello is read")
	errHelloLong = errors.New("the ClientHello is too long")
)

// hello is how a client began.
type hello struct {
	// read is all that was read of it.
	read []byte
	// serverName is empty when the client does not speak TLS or sends no name.
	serverName string
	// silent is a client that said nothing in time, broken one that broke off.
	silent, broken bool
}

// readHello reads a connection until it is known for whom it is, and answers
// nothing. It waits up to patience for the first byte; 0 waits until one arrives
// or a deadline that is set elsewhere expires.
func readHello(c net.Conn, patience time.Duration) hello {
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	if patience > 0 {
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
	first := make([]byte, 1)
	n, err := c.Read(first)
	if err != nil || n == 0 {
		silent := errors.Is(err, os.ErrDeadlineExceeded)
		return hello{silent: silent, broken: !silent && !errors.Is(err, io.EOF)}
	}
	if first[0] != recordTypeHandshake {
		return hello{read: first}
	}
	_ = c.SetReadDeadline(time.Now().Add(helloTimeout))
	r := &recorder{source: c}
	r.read.Write(first)
	r.pending = first
	var h hello
	// crypto/tls parses the ClientHello; the handshake ends right there.
	_ = tls.Server(&silent{recorder: r}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			h.serverName = info.ServerName
			return nil, errHelloRead
		},
	}).Handshake() //nolint:noctx // deadlines bound it
	h.read = r.read.Bytes()
	return h
}

// silent is a connection from which a recorder reads and to which nothing is
// written. Only Read and Write are called of it before the handshake ends.
type silent struct {
	net.Conn
	recorder *recorder
}

// Read reads through the recorder.
func (s *silent) Read(b []byte) (int, error) { return s.recorder.Read(b) }

// Write drops the alert that ends the handshake.
func (*silent) Write(b []byte) (int, error) { return len(b), nil }

// recorder remembers what was read.
type recorder struct {
	source  io.Reader
	pending []byte
	read    bytes.Buffer
}

// Read reads and remembers.
func (r *recorder) Read(b []byte) (int, error) {
	if len(r.pending) > 0 {
		n := copy(b, r.pending)
		r.pending = r.pending[n:]
		return n, nil
	}
	if r.read.Len() >= maxHello {
		return 0, errHelloLong
	}
	n, err := r.source.Read(b)
	r.read.Write(b[:n])
	return n, err
}
