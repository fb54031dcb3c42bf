package liveconfig

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/http1"
	"github.com/countersign-io/countersign/pkg/sigv4"
)

// Upstream is one configured upstream, ready to be called.
type Upstream struct {
	*authconfig.Upstream
	// Index is its place in the auth-config, and in Plan.Sessions.
	Index int
	Host  string
	Port  int
	// Key tells upstreams apart across reloads.
	Key   string
	Scope sigv4.Scope
	// MaxRequests bounds the requests in flight to it; 0 for none.
	MaxRequests int
	// ManagedByAWS is set for AWS's own MCP servers.
	ManagedByAWS bool

	// way is how it is sent to.
	way atomic.Int32
	// handshakes are those that failed in a row with package http1 and not with net/http.
	handshakes atomic.Int32
}

// maxHandshakes bounds the handshakes that may fail in a row with package http1 alone, before it is
// given up for an upstream.
const maxHandshakes = 8

// Ways to send to an upstream.
const (
	// wayUnknown is by net/http, whose first answer tells what the upstream speaks.
	wayUnknown = iota
	// wayHTTP1 is by package http1, for an upstream that speaks HTTP/1.1 and no more.
	wayHTTP1
	// wayGeneral is by net/http for as long as this auth-config is in use.
	wayGeneral
)

func newUpstream(config *authconfig.Config, index int) *Upstream {
	c := &config.Upstreams[index]
	host, portText, _ := net.SplitHostPort(c.HostPort())
	port, _ := strconv.Atoi(portText) // validated with the URL
	u := &Upstream{
		Upstream: c, Index: index, Host: host, Port: port, Key: c.Name + " " + c.URL.String(),
		Scope:       sigv4.Scope{Service: c.Service, Region: c.Region},
		MaxRequests: config.UpstreamRequests(c), ManagedByAWS: c.IsManagedByAWS(),
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: c.URL})
	switch {
	case proxy != nil || err != nil, strings.ContainsFunc(c.URL.Host, isNotInNames):
		u.way.Store(wayGeneral)
	case c.URL.Scheme == "http":
		u.way.Store(wayHTTP1) // HTTP/2 is agreed on in TLS
	}
	return u
}

// isNotInNames finds hosts that net/http writes in another way than they are given: with a zone, or
// in another script.
func isNotInNames(c rune) bool { return c == '%' || c > unicode.MaxASCII }

// upstreamTransport sends what http1 is for with that, and all else with net/http.
type upstreamTransport struct {
	direct  *http1.Transport
	general *http.Transport
}

// Send sends a request with a body, nil for none, to an upstream of this auth-config, and waits
// for the header of its answer as long as limits.upstreamHeaderTimeout has it; then the error is
// http1.ErrHeaderTimeout. The answer's body is to be closed.
func (s *Snapshot) Send(u *Upstream, r *http.Request, body []byte) (*http.Response, error) {
	timeout := s.Config.Limits.UpstreamHeaderTimeout
	if u.way.Load() != wayHTTP1 || len(body) > http1.MaxBody {
		return s.transport.sendGeneral(u, r, body, timeout)
	}
	begun := time.Now()
	answer, err := s.transport.direct.Send(r, body, timeout)
	if err == nil {
		if u.handshakes.Load() > 0 {
			u.handshakes.Store(0)
		}
		return answer, nil
	}
	if r.Context().Err() != nil || !mayWantHTTP2(err) {
		return answer, err
	}
	answer, err = s.transport.sendGeneral(u, r, body, timeout-time.Since(begun))
	if err == nil && (answer.ProtoMajor > 1 || u.handshakes.Add(1) >= maxHandshakes) {
		u.way.Store(wayGeneral)
	}
	return answer, err
}

// mayWantHTTP2 reports whether a server refused TLS for a reason that offering HTTP/2 may mend. It
// has seen nothing of the request.
func mayWantHTTP2(err error) bool {
	var refused *http1.HandshakeError
	var untrusted *tls.CertificateVerificationError
	return errors.As(err, &refused) && !errors.As(err, &untrusted) && !isTimeout(err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (t *upstreamTransport) sendGeneral(
	u *Upstream, r *http.Request, body []byte, timeout time.Duration,
) (*http.Response, error) {
	if timeout <= 0 {
		return nil, http1.ErrHeaderTimeout
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(timeout, func() { cancel(http1.ErrHeaderTimeout) })
	r = r.WithContext(ctx)
	if len(body) > 0 {
		r.ContentLength = int64(len(body))
		// Lets net/http use another connection when one turns out closed before
		// a byte was sent; it does not repeat a POST that was.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	answer, err := t.general.RoundTrip(r)
	if !timer.Stop() && err == nil {
		// Its body would break off.
		_ = answer.Body.Close()
		err = http1.ErrHeaderTimeout
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return nil, err
	}
	if answer.ProtoMajor == 1 {
		u.way.CompareAndSwap(wayUnknown, wayHTTP1)
	}
	answer.Body = &cancelOnClose{answer.Body, cancel}
	return answer, nil
}

// cancelOnClose frees what waits for the end of the request's context.
type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Close implements io.Closer.
func (b *cancelOnClose) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

func (t *upstreamTransport) closeIdleConnections() {
	t.direct.CloseIdleConnections()
	t.general.CloseIdleConnections()
}
