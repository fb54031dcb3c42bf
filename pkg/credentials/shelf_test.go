package credentials

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func numbered(n int) (key Key) {
	binary.BigEndian.PutUint64(key[:], uint64(n))
	return key
}

// put has a caller get a credential whose session token is so long.
func put(s *shelf, n int, caller string, length int) {
	e := s.entry(numbered(n), caller)
	s.resize(
		e,
		&aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: strings.Repeat("t", length)},
	)
}

func (s *shelf) has(n int) bool {
	_, ok := s.entries.Peek(numbered(n))
	return ok
}

// consistent compares the sums with what they are sums of.
func (s *shelf) consistent(t *testing.T) {
	t.Helper()
	bytes, keys := 0, 0
	for _, of := range s.callers {
		bytes += of.bytes
		keys += len(of.keys)
	}
	if bytes != s.bytes || keys != s.entries.Len() || s.bytes > maxKeptBytes {
		t.Errorf(
			"%d bytes of %d callers are counted as %d, %d keys for %d entries",
			bytes,
			len(s.callers),
			s.bytes,
			keys,
			s.entries.Len(),
		)
	}
}

func TestCredentialsStayWithinTheirMemory(t *testing.T) {
	for name, length := range map[string]int{
		"short ones": 0, "usual ones": 1000, "the longest that STS may give": maxSTSAnswer,
	} {
		evicted := 0
		s := newShelf(func() { evicted++ })
		for n := range 40_000 {
			put(s, n, fmt.Sprint("caller-", n), length)
		}
		s.consistent(t)
		if evicted != 40_000-s.len() {
			t.Errorf("%s: %d are kept, and %d are said to have gone", name, s.len(), evicted)
		}
		if want := maxKeptBytes / (keptOverhead + length + 20); s.len() < want-1 || s.len() > want+1000 {
			t.Errorf("%s: %d are kept, for %d there is room", name, s.len(), want)
		}
		if s.has(0) || !s.has(39_999) {
			t.Errorf("%s: not the ones longest unused went", name)
		}
	}
}

func TestACallerWithManyTokensLosesHisOwnCredentials(t *testing.T) {
	s := newShelf(func() {})
	for n := range 100 {
		put(s, n, fmt.Sprint("quiet-", n), 1000)
	}
	for n := range 50_000 {
		put(s, 1000+n, "busy", 1000)
	}
	s.consistent(t)
	for n := range 100 {
		if !s.has(n) {
			t.Fatalf("quiet-%d lost his credential", n)
		}
	}
	// Those who come find room still, and he gives way to them.
	for n := range 5000 {
		put(s, 100_000+n, fmt.Sprint("coming-", n), 1000)
	}
	s.consistent(t)
	for n := range 100 {
		if !s.has(100_000+4900+n) || !s.has(n) {
			t.Fatalf("coming-%d has no room, or quiet-%d lost his", 4900+n, n)
		}
	}
}

func TestACredentialThatIsForgottenIsNotCounted(t *testing.T) {
	s := newShelf(func() {})
	e := s.entry(numbered(1), "alice")
	s.remove(numbered(1))
	s.resize(e, &aws.Credentials{SessionToken: strings.Repeat("t", 1000)})
	if s.consistent(t); s.bytes != 0 || len(s.callers) != 0 {
		t.Errorf("%d bytes of %d callers are counted", s.bytes, len(s.callers))
	}
}

func TestNobodyWithManyCredentialsIsForgottenAboutWhileOthersLoseTheirs(t *testing.T) {
	for name, c := range map[string]struct {
		// heavy fills most of the shelf; it gives a number of the heavy caller's.
		heavy func(s *shelf)
	}{
		"another was the largest, and shrank": {func(s *shelf) {
			for n := range 4500 {
				put(s, n, "heavy", 1000)
			}
			for n := range 4900 {
				put(s, 10_000+n, "larger", 1000)
			}
		}},
		"the oldest that he has is the one that grows": {func(s *shelf) {
			for n := range 9500 {
				put(s, n, "heavy", 1000)
			}
			s.resize(s.entry(numbered(0), "heavy"), &aws.Credentials{SessionToken: strings.Repeat("t", maxSTSAnswer)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(func() {})
			put(s, 1_000_000, "quiet", 100)
			c.heavy(s)
			for n := range 7000 {
				put(s, 100_000+n, fmt.Sprint("coming-", n), 1000)
				if n%500 == 0 {
					// What he uses is not the oldest.
					for k := range 4500 {
						if s.has(k) {
							s.entry(numbered(k), "heavy")
						}
					}
				}
			}
			s.consistent(t)
			lost := 0
			for n := range 7000 {
				if !s.has(100_000 + n) {
					lost++
				}
			}
			if lost > 0 || !s.has(1_000_000) {
				t.Errorf("%d of those with one credential lost it, the quiet one kept his: %t", lost, s.has(1_000_000))
			}
		})
	}
}
