package liveconfig

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

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

	// proxied is set where a proxy leads to it.
	proxied bool
	// http1 is set while it is known to speak HTTP/1.1 and no more.
	http1 atomic.Bool
}

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
	u.proxied = proxy != nil || err != nil
	u.http1.Store(c.URL.Scheme == "http") // HTTP/2 is agreed on in TLS
	return u
}

// upstreamTransport sends what http1 is for with that, and all else with net/http.
type upstreamTransport struct {
	direct  *http1.Transport
	general *http.Transport
}

// Send sends a request with a body, nil for none, to an upstream of this auth-config, and waits for the header of its answer
// as long as limits.upstreamHeaderTimeout has it; then the error is http1.ErrHeaderTimeout. The answer's body is to
// be closed.
func (s *Snapshot) Send(u *Upstream, r *http.Request, body []byte) (*http.Response, error) {
	timeout := s.Config.Limits.UpstreamHeaderTimeout
	if u.proxied || !u.http1.Load() || len(body) > http1.MaxBody {
		answer, err := s.transport.sendGeneral(r, body, timeout)
		if err == nil && answer.ProtoMajor == 1 {
			u.http1.Store(true)
		}
		return answer, err
	}
	answer, err := s.transport.direct.Send(r, body, timeout)
	if err != nil && u.URL.Scheme == "https" && r.Context().Err() == nil {
		// It may have begun to ask for HTTP/2.
		u.http1.Store(false)
	}
	return answer, err
}

func (t *upstreamTransport) sendGeneral(
	r *http.Request, body []byte, timeout time.Duration,
) (*http.Response, error) {
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
	timer.Stop()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return nil, err
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
