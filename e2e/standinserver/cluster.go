package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// newClusterClient reaches the API server's discovery document and keys with
// the Pod's own service account.
func newClusterClient() (*http.Client, error) {
	pem, err := os.ReadFile(serviceAccountDir + "/ca.crt")
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("read the cluster's CA: no certificate")
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: withToken{
		&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}}, nil
}

type withToken struct{ next http.RoundTripper }

// RoundTrip adds the token, which kubelet renews.
func (t withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := os.ReadFile(serviceAccountDir + "/token")
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return t.next.RoundTrip(r)
}

// recorder keeps what a handler answers.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) response(request *http.Request) *http.Response {
	return &http.Response{
		StatusCode: r.status, Header: r.header, Body: io.NopCloser(&r.body), Request: request, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1,
	}
}
