package liveconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

const (
	dialTimeout = 10 * time.Second
	// idleTimeout is shorter than the 60 s after which AWS's load balancers
	// close idle connections, so that no request is sent into a closing one.
	idleTimeout       = 50 * time.Second
	maxIdlePerHost    = 256
	maxResponseHeader = 64 << 10
)

func newTransport(roots *x509.CertPool, options *Options) *http.Transport {
	dialer := &net.Dialer{
		Timeout:   dialTimeout,
		KeepAlive: 30 * time.Second,
		Control:   refuseOwnListeners(options.TLSListeners),
	}
	dial := dialer.DialContext
	if options.DialContext != nil {
		dial = options.DialContext
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           2 * maxIdlePerHost,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		// Answers are asked for uncompressed and refused compressed.
		DisableCompression: true,
	}
}

// newUpstreamTransport has two transports that reach upstreams alike.
func newUpstreamTransport(roots *x509.CertPool, options *Options) *upstreamTransport {
	general := newTransport(roots, options)
	return &upstreamTransport{general: general, direct: &http1.Transport{
		DialContext: general.DialContext, TLS: general.TLSClientConfig.Clone(),
		TLSHandshakeTimeout: general.TLSHandshakeTimeout, IdleTimeout: general.IdleConnTimeout,
		MaxIdle: general.MaxIdleConns, MaxIdlePerServer: general.MaxIdleConnsPerHost,
		MaxHeaderBytes: maxResponseHeader,
	}}
}

// refuseDowngrade lets the issuer and STS redirect, but not to plain HTTP.
func refuseDowngrade(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 || r.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

func rootsWith(ca []byte, file string) (*x509.CertPool, error) {
	extra, err := readRoots(file)
	if err != nil || len(ca) == 0 && len(extra) == 0 {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(extra)
	roots.AppendCertsFromPEM(ca)
	return roots, nil
}

// WithExtraRoots adds the roots of an installation to those of an auth-config, all as PEM.
func WithExtraRoots(ca []byte, extra string) []byte {
	if extra == "" {
		return ca
	}
	return slices.Concat(ca, []byte("\n"+extra))
}

// NewClient reaches the issuer as the sidecar would: with the roots of ca.pem
// and of a file.
func NewClient(ca []byte, rootsFile string) (*http.Client, error) {
	roots, err := rootsWith(ca, rootsFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: newTransport(roots, &Options{}), CheckRedirect: refuseDowngrade}, nil
}

func readRoots(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	return text, nil
}

var errOwnListener = errors.New("the name resolves to this sidecar itself: it must be looked up past /etc/hosts")

// refuseOwnListeners keeps the sidecar from calling itself where its image does
// not say that names are looked up past /etc/hosts.
func refuseOwnListeners(addresses []string) func(network, address string, c syscall.RawConn) error {
	own := map[netip.AddrPort]bool{}
	for _, address := range addresses {
		if parsed, err := netip.ParseAddrPort(address); err == nil {
			own[parsed] = true
		}
	}
	return func(_, address string, _ syscall.RawConn) error {
		if parsed, err := netip.ParseAddrPort(address); err == nil && own[parsed] {
			return errOwnListener
		}
		return nil
	}
}
