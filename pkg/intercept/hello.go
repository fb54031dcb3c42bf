package intercept

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
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

// readHello reads a connection until it is known for whom it is, and answers
// nothing. What was read is given back; serverName is empty when the client does
// not speak TLS, sends no name, or says nothing.
func readHello(c net.Conn) (read []byte, serverName string) {
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	_ = c.SetReadDeadline(time.Now().Add(silence))
	first := make([]byte, 1)
	n, err := c.Read(first)
	if err != nil || n == 0 {
		return nil, ""
	}
	if first[0] != recordTypeHandshake {
		return first, ""
	}
	_ = c.SetReadDeadline(time.Now().Add(helloTimeout))
	r := &recorder{source: c}
	r.read.Write(first)
	r.pending = first
	// crypto/tls parses the ClientHello; the handshake ends right there.
	_ = tls.Server(&silent{recorder: r}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			serverName = hello.ServerName
			return nil, errHelloRead
		},
	}).Handshake() //nolint:noctx // deadlines bound it
	return r.read.Bytes(), serverName
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
