package servingcert

import (
	"bytes"
	"crypto/x509"
	"net"
	"slices"
	"time"
)

// Lifetimes of certificates. A certificate is replaced after two thirds.
type Lifetimes struct {
	// CA defaults to a year.
	CA time.Duration
	// Leaf defaults to 90 days. It ends with its CA at the latest.
	Leaf time.Duration
}

func (l *Lifetimes) setDefaults() {
	if l.CA == 0 {
		l.CA = 365 * 24 * time.Hour
	}
	if l.Leaf == 0 {
		l.Leaf = 90 * 24 * time.Hour
	}
}

// The keys of the Secret.
const (
	keyCA        = "ca.crt"
	keyCAKey     = "ca.key"
	keyLeaf      = "tls.crt"
	keyLeafKey   = "tls.key"
	keyNextCA    = "next-ca.crt"
	keyNextCAKey = "next-ca.key"
	// keyOldCA holds CAs that sign no longer and may still be needed to verify.
	keyOldCA = "old-ca.crt"
)

// state is what the Secret holds.
type state struct {
	signing *authority
	leaf    *leaf
	// next is published and does not sign yet.
	next *authority
	// old is published, in PEM, and signs no longer.
	old []byte
}

// parseState reads the Secret. A Secret without anything gives a state without
// anything.
func parseState(data map[string][]byte) (*state, error) {
	s := &state{old: data[keyOldCA]}
	if len(data[keyCA]) == 0 && len(data[keyLeaf]) == 0 {
		return &state{}, nil
	}
	var err error
	if s.signing, err = parseAuthority(data[keyCA], data[keyCAKey]); err != nil {
		return nil, err
	}
	if s.leaf, err = parseLeaf(data[keyLeaf], data[keyLeafKey]); err != nil {
		return nil, err
	}
	if len(data[keyNextCA]) > 0 {
		if s.next, err = parseAuthority(data[keyNextCA], data[keyNextCAKey]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *state) data() (map[string][]byte, error) {
	key, err := s.signing.encodedKey()
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{keyCA: s.signing.pem, keyCAKey: key, keyLeaf: s.leaf.chain, keyLeafKey: s.leaf.key}
	if s.next != nil {
		if key, err = s.next.encodedKey(); err != nil {
			return nil, err
		}
		data[keyNextCA], data[keyNextCAKey] = s.next.pem, key
	}
	if len(s.old) > 0 {
		data[keyOldCA] = s.old
	}
	return data, nil
}

// bundle is what API servers must trust now.
func (s *state) bundle() []byte {
	parts := [][]byte{s.signing.pem}
	if s.next != nil {
		parts = append(parts, s.next.pem)
	}
	return bytes.Join(append(parts, s.old), nil)
}

// observed is what the steps depend on beside the state itself.
type observed struct {
	now time.Time
	// published is how long the state's bundle has been published as it is.
	published time.Duration
	// replicasSwitched is whether every live replica serves the state's leaf.
	replicasSwitched bool
}

// settleTime is how long API servers are given to see a bundle that is
// published. They watch the webhook configurations; seconds are ample.
const settleTime = 15 * time.Second

// step takes at most one step of a rotation. changed reports whether there was
// one to take.
func (s *state) step(hosts []string, lifetimes Lifetimes, settle time.Duration, o observed) (changed bool, err error) {
	switch {
	case s.signing == nil || o.now.After(s.signing.certificate.NotAfter):
		// Nothing that replicas serve is valid: there is nobody to wait for.
		if s.signing, err = newAuthority(hosts, o.now, lifetimes.CA); err != nil {
			return false, err
		}
		s.next, s.old = nil, nil
		return true, s.issue(hosts, lifetimes, o.now)
	case s.next != nil:
		if o.published < settle {
			if !s.shouldRenewLeaf(lifetimes, o.now) {
				return false, nil
			}
			return true, s.issue(hosts, lifetimes, o.now)
		}
		// Old ones still there come from a rotation that was not awaited.
		s.old = append(bytes.Clone(s.signing.pem), s.old...)
		s.signing, s.next = s.next, nil
		return true, s.issue(hosts, lifetimes, o.now)
	case len(s.old) > 0 && o.replicasSwitched:
		s.old = nil
		return true, nil
	case s.shouldRenewLeaf(lifetimes, o.now):
		return true, s.issue(hosts, lifetimes, o.now)
	case isStale(s.signing.certificate, lifetimes.CA, o.now) || !canVouchFor(s.signing.certificate, hosts):
		s.next, err = newAuthority(hosts, o.now, lifetimes.CA)
		return err == nil, err
	}
	return false, nil
}

// shouldRenewLeaf is false for a leaf that a new one would not outlive, because
// their CA ends.
func (s *state) shouldRenewLeaf(lifetimes Lifetimes, now time.Time) bool {
	end, ends := s.leaf.certificate.Leaf.NotAfter, now.Add(lifetimes.Leaf)
	if s.signing.certificate.NotAfter.Before(ends) {
		ends = s.signing.certificate.NotAfter
	}
	return isStale(s.leaf.certificate.Leaf, lifetimes.Leaf, now) && ends.After(end.Add(time.Minute))
}

func (s *state) issue(hosts []string, lifetimes Lifetimes, now time.Time) error {
	lifetime := min(lifetimes.Leaf, s.signing.certificate.NotAfter.Sub(now))
	issued, err := s.signing.issue(hosts, now, lifetime)
	if err != nil {
		return err
	}
	s.leaf = issued
	return nil
}

// canVouchFor is false after the service was renamed: a CA is constrained to
// the names that it was made for.
func canVouchFor(ca *x509.Certificate, hosts []string) bool {
	for _, host := range hosts {
		isAddress := func(network *net.IPNet) bool { return network.IP.String() == host }
		if !slices.Contains(ca.PermittedDNSDomains, host) && !slices.ContainsFunc(ca.PermittedIPRanges, isAddress) {
			return false
		}
	}
	return true
}
