package intercept

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign-io/countersign/pkg/atomicfile"
)

const (
	// authorityLifetime is longer than a Pod lives: a CA that ended would end the
	// app's trust with it, since most clients read their roots once.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime      = 7 * 24 * time.Hour
	// backdate allows for clocks that are behind, among them the app's.
	backdate = time.Hour
)

// Authority is the CA of one Pod. It can vouch for the upstreams' host names and
// for nothing else.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	hosts       []string
	now         func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// The files of the directory that only the sidecar mounts.
const (
	fileKey         = "ca.key"
	fileCertificate = "ca.crt"
)

// ErrOtherHosts means that the CA of this Pod was made for other host names: the
// auth-config changed in a way that needs a new Pod.
var ErrOtherHosts = errors.New(
	"the upstreams' host names are not those that this Pod was made for; a new Pod is needed",
)

// OpenAuthority reads the CA that an earlier run of the container left in dir,
// or makes one.
func OpenAuthority(dir string, hosts []string) (*Authority, error) {
	a := &Authority{hosts: hosts, now: time.Now, leaves: map[string]*tls.Certificate{}}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, fileCertificate), filepath.Join(dir, fileKey))
	if errors.Is(err, fs.ErrNotExist) {
		if err := a.create(dir); err != nil {
			return nil, err
		}
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the Pod's CA: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("read the Pod's CA: not an ECDSA CA")
	}
	permitted := slices.Sorted(slices.Values(pair.Leaf.PermittedDNSDomains))
	if !slices.Equal(permitted, slices.Sorted(slices.Values(hosts))) {
		return nil, ErrOtherHosts
	}
	a.certificate, a.key = pair.Leaf, key
	return a, nil
}

func (a *Authority) create(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the Pod's CA: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	everyAddress := []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "countersign pod CA " + serial.Text(16)[:8]},
		NotBefore: a.now().Add(-backdate), NotAfter: a.now().Add(authorityLifetime),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: a.hosts, ExcludedIPRanges: everyAddress,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make the Pod's CA: %w", err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("make the Pod's CA: %w", err)
	}
	a.key = key
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make the Pod's CA: %w", err)
	}
	// The key last: a CA counts as there when both files are.
	if err := atomicfile.Write(filepath.Join(dir, fileCertificate), a.PEM(), 0o600); err != nil {
		return err
	}
	return atomicfile.Write(
		filepath.Join(dir, fileKey),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		0o600,
	)
}

func newSerial() (*big.Int, error) {
	// RFC 5280, section 4.1.2.2: at most 20 octets, positive.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return serial.SetBit(serial, 127, 1), nil
}

// PEM is the CA's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// GetCertificate gives the leaf for the host that the client asks for; it is
// for tls.Config.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if !slices.Contains(a.hosts, host) {
		return nil, errors.New("the connection is for a host that is no upstream")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.leaves[host]; known != nil && a.now().Before(known.Leaf.NotAfter.Add(-leafLifetime/3)) {
		return known, nil
	}
	issued, err := a.issue(host)
	if err != nil {
		return nil, err
	}
	a.leaves[host] = issued
	return issued, nil
}

func (a *Authority) issue(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a leaf certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"countersign"}}, DNSNames: []string{host},
		NotBefore: a.now().Add(-backdate), NotAfter: a.now().Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make a leaf certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a leaf certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
