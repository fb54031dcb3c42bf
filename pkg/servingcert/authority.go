// Package servingcert makes and rotates the certificate with which the webhook
// serves, for several replicas at once. The API server never meets a
// certificate whose CA it does not know: a new CA is published before the first
// certificate of it is served, and an old one stays published until the last
// replica has switched.
//
//	authority.go  a CA and the leaf certificates that it issues
//	state.go      what the Secret holds, and the steps of a rotation
//	rotator.go    the leader: takes the steps, publishes the CAs
//	replica.go    every replica: serves what the Secret holds and says so
package servingcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// backdate allows for clocks that are behind.
const backdate = time.Hour

// authority is a CA with its key.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// pem is the certificate's encoding.
	pem []byte
}

// newAuthority makes a CA that can vouch for these hosts and nothing else.
func newAuthority(hosts []string, now time.Time, lifetime time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial number tells the CAs of a rotation apart for people.
		Subject:   pkix.Name{CommonName: "countersign webhook CA " + serial.Text(16)[:8]},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.PermittedIPRanges = append(template.PermittedIPRanges, singleAddress(ip))
		} else {
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return &authority{certificate: certificate, key: key, pem: encode("CERTIFICATE", der)}, nil
}

func singleAddress(ip net.IP) *net.IPNet {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

func newSerial() (*big.Int, error) {
	// RFC 5280, section 4.1.2.2: at most 20 octets, positive.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial.SetBit(serial, 127, 1), nil
}

// leaf is a serving certificate with its key.
type leaf struct {
	certificate tls.Certificate
	// chain and key are the PEM encodings.
	chain, key []byte
}

func (a *authority) issue(hosts []string, now time.Time, lifetime time.Duration) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make serving key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "countersign webhook"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make serving certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make serving key: %w", err)
	}
	return parseLeaf(encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER))
}

func parseLeaf(chain, key []byte) (*leaf, error) {
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		// The error of X509KeyPair names no part of the key.
		return nil, fmt.Errorf("read serving certificate: %w", err)
	}
	return &leaf{certificate: certificate, chain: chain, key: key}, nil
}

func parseAuthority(certificatePEM, keyPEM []byte) (*authority, error) {
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("read CA: not an ECDSA CA")
	}
	return &authority{certificate: pair.Leaf, key: key, pem: certificatePEM}, nil
}

func (a *authority) encodedKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encode CA key: %w", err)
	}
	return encode("PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// fingerprint tells leaf certificates apart.
func (l *leaf) fingerprint() string {
	sum := sha256.Sum256(l.certificate.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// isStale tells when two thirds of a certificate's lifetime are over.
func isStale(c *x509.Certificate, lifetime time.Duration, now time.Time) bool {
	return now.After(c.NotAfter.Add(-lifetime / 3))
}
