package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signOnlyHandler is what a proxy costs that signs and does nothing else: net/http and the
// SDK's signer.
func signOnlyHandler(upstream string) http.Handler {
	signer := v4.NewSigner()
	credential := aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: strings.Repeat("t", 88)}
	return proxyHandler(upstream, func(out *http.Request, content []byte) error {
		sum := sha256.Sum256(content)
		return signer.SignHTTP(
			out.Context(), credential, out, hex.EncodeToString(sum[:]), "aws-mcp", "us-east-1", time.Now())
	})
}

// relayHandler is what a proxy costs that does nothing at all.
func relayHandler(upstream string) http.Handler {
	return proxyHandler(upstream, func(*http.Request, []byte) error { return nil })
}

func proxyHandler(upstream string, sign func(out *http.Request, content []byte) error) http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, upstream, bytes.NewReader(content))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for _, name := range []string{
			"Content-Type", "Accept", "User-Agent", "Mcp-Protocol-Version", "Mcp-Session-Id",
		} {
			if values, ok := r.Header[name]; ok {
				out.Header[name] = values
			}
		}
		if err := sign(out, content); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := transport.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		relay(w, answer)
	})
}

// relay streams events as they come; a body of known length needs no flush.
func relay(w http.ResponseWriter, answer *http.Response) {
	if answer.ContentLength >= 0 {
		_, _ = io.Copy(w, answer.Body)
		return
	}
	control := http.NewResponseController(w)
	_ = control.Flush()
	buffer := make([]byte, 16<<10)
	for {
		n, err := answer.Body.Read(buffer)
		if n > 0 {
			_, _ = w.Write(buffer[:n])
			_ = control.Flush()
		}
		if err != nil {
			return
		}
	}
}
