package servingcert

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"
)

var (
	hosts = []string{"countersign-webhook.countersign-system.svc", "127.0.0.1"}
	lives = Lifetimes{CA: 365 * 24 * time.Hour, Leaf: 90 * 24 * time.Hour}
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func day(n int) time.Time { return start.Add(time.Duration(n) * 24 * time.Hour) }

func step(t *testing.T, s *state, o observed) bool {
	t.Helper()
	changed, err := s.step(hosts, lives, settleTime, o)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func fresh(t *testing.T) *state {
	t.Helper()
	s := &state{}
	if !step(t, s, observed{now: start}) {
		t.Fatal("an empty state is left empty")
	}
	return s
}

// trusts is what an API server with this bundle does.
func trusts(t *testing.T, bundle []byte, l *leaf, host string, now time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := l.certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
	return err == nil
}

func TestAFreshStateServesWhatItsBundleVouchesFor(t *testing.T) {
	s := fresh(t)
	for _, host := range hosts {
		if !trusts(t, s.bundle(), s.leaf, host, start) {
			t.Errorf("not trusted for %s", host)
		}
	}
	if step(t, s, observed{now: day(1)}) {
		t.Error("something changes without need")
	}
}

func TestTheCAVouchesForNothingElse(t *testing.T) {
	s := fresh(t)
	other, err := s.signing.issue([]string{"kubernetes.default.svc"}, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if trusts(t, s.bundle(), other, "kubernetes.default.svc", start) {
		t.Error("its certificate for another name is trusted")
	}
}

func TestALeafIsRenewedUnderItsCA(t *testing.T) {
	s := fresh(t)
	before, bundle := s.leaf, s.bundle()
	if step(t, s, observed{now: day(59)}) {
		t.Error("renewed before two thirds of its life")
	}
	if !step(t, s, observed{now: day(61)}) || s.leaf.fingerprint() == before.fingerprint() {
		t.Error("not renewed after two thirds of its life")
	}
	if !bytes.Equal(bundle, s.bundle()) {
		t.Error("the bundle changed")
	}
}

// TestARotationNeverLeavesALeafWithoutItsCA goes through a rotation of the CA
// step by step; at each one, whoever serves the leaf of before or of now is
// trusted under the bundle of before and of now.
func TestARotationNeverLeavesALeafWithoutItsCA(t *testing.T) {
	s := fresh(t)
	now := day(250)
	if !step(t, s, observed{now: now}) || s.next != nil {
		t.Fatal("a leaf that has expired is not renewed first")
	}
	old, host := s.leaf, hosts[0]
	if !step(t, s, observed{now: now}) || s.next == nil {
		t.Fatal("no new CA after two thirds of the old one's life")
	}
	published := s.bundle()
	if step(t, s, observed{now: now, published: settleTime - time.Second}) || s.leaf.fingerprint() != old.fingerprint() {
		t.Fatal("the leaf was switched before API servers knew the new CA")
	}
	if !step(t, s, observed{now: now, published: settleTime}) || s.leaf.fingerprint() == old.fingerprint() {
		t.Fatal("the leaf was not switched")
	}
	if !trusts(t, published, s.leaf, host, now) {
		t.Error("API servers that know the bundle of before do not trust the new leaf")
	}
	if !trusts(t, s.bundle(), old, host, now) {
		t.Error("a replica that still serves the old leaf is not trusted")
	}
	if step(t, s, observed{now: now, published: time.Hour}) {
		t.Fatal("the old CA went while a replica still used it")
	}
	if !step(t, s, observed{now: now, published: time.Hour, replicasSwitched: true}) {
		t.Fatal("the old CA stays for ever")
	}
	if trusts(t, s.bundle(), old, host, now) || !trusts(t, s.bundle(), s.leaf, host, now) {
		t.Error("the bundle is not the new CA alone")
	}
}

func TestARenamedServiceGetsANewCA(t *testing.T) {
	s := fresh(t)
	renamed := []string{"other.countersign-system.svc"}
	for range 4 {
		if _, err := s.step(renamed, lives, settleTime, observed{now: start, published: time.Hour, replicasSwitched: true}); err != nil {
			t.Fatal(err)
		}
	}
	if !trusts(t, s.bundle(), s.leaf, renamed[0], start) {
		t.Error("not trusted under the new name")
	}
}

func TestWhatHasExpiredIsMadeAnew(t *testing.T) {
	s := fresh(t)
	if !step(t, s, observed{now: day(400)}) || !trusts(t, s.bundle(), s.leaf, hosts[0], day(400)) {
		t.Error("still expired")
	}
}

func TestAStateSurvivesTheSecret(t *testing.T) {
	s := fresh(t)
	step(t, s, observed{now: day(250)})
	for s.next == nil {
		step(t, s, observed{now: day(250)})
	}
	s.old = s.signing.pem
	data, err := s.data()
	if err != nil {
		t.Fatal(err)
	}
	read, err := parseState(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read.bundle(), s.bundle()) || read.leaf.fingerprint() != s.leaf.fingerprint() || !read.next.key.Equal(s.next.key) {
		t.Error("it reads differently")
	}
}

func TestADamagedSecretIsAnErrorThatNamesNoKey(t *testing.T) {
	s := fresh(t)
	data, err := s.data()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{keyCA, keyCAKey, keyLeaf, keyLeafKey} {
		damaged := map[string][]byte{}
		for k, v := range data {
			damaged[k] = v
		}
		damaged[key] = bytes.Replace(data[key], []byte("A"), []byte("B"), 1)
		damaged[key] = damaged[key][:len(damaged[key])/2]
		if _, err := parseState(damaged); err == nil || bytes.Contains([]byte(err.Error()), []byte("PRIVATE")) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestTheLastLeafOfACAIsNotRenewedOverAndOver(t *testing.T) {
	s := fresh(t)
	step(t, s, observed{now: day(364)})
	if step(t, s, observed{now: day(364)}); s.next == nil {
		t.Error("the CA is not replaced")
	}
}
