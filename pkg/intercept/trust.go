package intercept

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"

	"golang.org/x/crypto/x509roots/fallback/bundle"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/countersign-io/countersign/pkg/atomicfile"
)

// truststorePassword is what Java's own trust store has; it protects nothing, a
// trust store holds no secret.
const truststorePassword = "changeit"

// WriteTrust writes the files that clients in the Pod are pointed to: ca.crt,
// the CA alone; bundle.crt, for clients that take one whole set of roots: the
// public ones, without those that are trusted in part, the auth-config's own
// (more, PEM) and the CA; truststore.p12, the same for a JVM, with the password "changeit".
func (a *Authority) WriteTrust(dir string, more []byte) error {
	var public bytes.Buffer
	var store []*x509.Certificate
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // trusted for some certificates only, which no file can say
		}
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue // one that this version of Go does not read
		}
		store = append(store, certificate)
		if err := pem.Encode(&public, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return fmt.Errorf("write public roots: %w", err)
		}
	}
	for block, rest := pem.Decode(more); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("read ca.pem: %w", err)
		}
		store = append(store, certificate)
	}
	p12, err := pkcs12.Modern.WithRand(rand.Reader).EncodeTrustStore(append(store, a.certificate), truststorePassword)
	if err != nil {
		return fmt.Errorf("make truststore.p12: %w", err)
	}
	if len(more) > 0 && more[len(more)-1] != '\n' {
		more = append(bytes.Clone(more), '\n')
	}
	for name, content := range map[string][]byte{
		"ca.crt": a.PEM(), "bundle.crt": bytes.Join([][]byte{public.Bytes(), more, a.PEM()}, nil),
		"truststore.p12": p12,
	} {
		// The app's user is not ours.
		if err := atomicfile.Write(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
