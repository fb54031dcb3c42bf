package liveconfig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

// handshakeError is what package http1 says of a server that does something with a handshake.
func handshakeError(t *testing.T, roots *x509.CertPool, serve func(c net.Conn)) error {
	t.Helper()
	transport := &http1.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go serve(server)
			return client, nil
		},
		TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 100 * time.Millisecond,
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.Send(r, nil, time.Minute)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatal("an answer")
	}
	return err
}

func TestWhatMayMeanThatAnUpstreamWantsHTTP2(t *testing.T) {
	identity := httptest.NewUnstartedServer(nil)
	identity.StartTLS()
	defer identity.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(identity.Certificate())
	handshake := func(config *tls.Config) func(net.Conn) {
		return func(c net.Conn) { _ = tls.Server(c, config).Handshake() }
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"an alert": {handshakeError(t, trusted, handshake(&tls.Config{
			MinVersion: tls.VersionTLS12,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, errors.New("another protocol")
			},
		})), true},
		"the end of the connection": {handshakeError(t, trusted, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 5))
			_ = c.Close()
		}), true},
		"silence": {handshakeError(t, trusted, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), false},
		"a certificate of somebody else": {handshakeError(t, x509.NewCertPool(), handshake(&tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: identity.TLS.Certificates,
		})), false},
		"no handshake at all":   {http1.ErrHeaderTimeout, false},
		"an answer":             {nil, false},
		"a connection that was": {io.ErrUnexpectedEOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mayWantHTTP2(c.err); got != c.want {
				t.Errorf("%t for %v", got, c.err)
			}
		})
	}
}
