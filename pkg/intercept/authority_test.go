package intercept

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	roots "golang.org/x/crypto/x509roots/fallback/bundle"
	"software.sslmate.com/src/go-pkcs12"
)

var upstreams = []string{"aws-mcp.us-east-1.api.aws", "id.gateway.bedrock-agentcore.us-east-1.amazonaws.com"}

func open(t *testing.T, dir string, hosts []string) *Authority {
	t.Helper()
	a, err := OpenAuthority(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func leafFor(t *testing.T, a *Authority, host string) *tls.Certificate {
	t.Helper()
	leaf, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func verify(a *Authority, leaf *tls.Certificate, host string, roots []byte) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	_, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: a.now()})
	return err
}

func TestTheAuthorityVouchesForUpstreamsOnly(t *testing.T) {
	a := open(t, t.TempDir(), upstreams)
	for _, host := range upstreams {
		if err := verify(a, leafFor(t, a, strings.ToUpper(host)), host, a.PEM()); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"example.com", "", "api.aws", "x.aws-mcp.us-east-1.api.aws"} {
		if _, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: host}); err == nil {
			t.Errorf("it has a certificate for %q", host)
		}
	}
	// Whoever stole the key can do no more.
	stolen, err := a.issue("example.com")
	if err != nil {
		t.Fatal(err)
	}
	if verify(a, stolen, "example.com", a.PEM()) == nil {
		t.Error("the name constraints do not bind")
	}
	if len(a.certificate.ExcludedIPRanges) != 2 || !a.certificate.PermittedDNSDomainsCritical {
		t.Error("addresses are not excluded")
	}
}

func TestTheAuthoritySurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, upstreams)
	again := open(t, dir, []string{upstreams[1], upstreams[0]})
	if string(first.PEM()) != string(again.PEM()) || !first.key.Equal(again.key) {
		t.Error("it is another one")
	}
	if _, err := OpenAuthority(dir, upstreams[:1]); !errors.Is(err, ErrOtherHosts) {
		t.Errorf("other hosts: %v", err)
	}
	for _, name := range []string{fileKey, fileCertificate} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, fileKey), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, upstreams); err == nil {
		t.Error("a damaged key was taken")
	}
}

func TestLeavesAreKeptAndRenewed(t *testing.T) {
	a := open(t, t.TempDir(), upstreams)
	now := time.Now()
	a.now = func() time.Time { return now }
	first := leafFor(t, a, upstreams[0])
	if leafFor(t, a, upstreams[0]) != first {
		t.Error("a new leaf for every connection")
	}
	now = now.Add(leafLifetime * 3 / 4)
	renewed := leafFor(t, a, upstreams[0])
	if renewed == first {
		t.Error("not renewed before it ends")
	}
	if err := verify(a, renewed, upstreams[0], a.PEM()); err != nil {
		t.Error(err)
	}
}

func TestTrustFilesHoldPublicRootsOwnRootsAndTheAuthority(t *testing.T) {
	a, own := open(t, t.TempDir(), upstreams), open(t, t.TempDir(), []string{"idp.internal"})
	dir := t.TempDir()
	if err := a.WriteTrust(dir, own.PEM()[:len(own.PEM())-1]); err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(filepath.Join(dir, "bundle.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if count := strings.Count(string(bundle), "-----BEGIN CERTIFICATE-----\n"); count < 100 {
		t.Errorf("%d roots", count)
	}
	for root := range roots.Roots() {
		if root.Constraint != nil && strings.Contains(string(bundle), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))) {
			t.Error("a root that is trusted in part is in the bundle as if it were trusted wholly")
		}
	}
	if verify(a, leafFor(t, a, upstreams[0]), upstreams[0], bundle) != nil || verify(own, leafFor(t, own, "idp.internal"), "idp.internal", bundle) != nil {
		t.Error("the CA or the config's own root is not in the bundle")
	}
	p12, err := os.ReadFile(filepath.Join(dir, "truststore.p12"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := pkcs12.DecodeTrustStore(p12, truststorePassword)
	if err != nil || len(store) < 100 || !store[len(store)-1].Equal(a.certificate) {
		t.Errorf("the trust store has %d roots: %v", len(store), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.crt")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the app cannot read ca.crt: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
