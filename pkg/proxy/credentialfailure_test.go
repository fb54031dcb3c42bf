package proxy

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func TestTokensWhoseChallengeIsForgottenAreCounted(t *testing.T) {
	evicted := 0
	c := newChallenged(func() { evicted++ })
	digest := func(n int) (d [sha256.Size]byte) {
		binary.LittleEndian.PutUint64(d[:], uint64(n))
		return d
	}
	for n := range maxChallenged + 5 {
		if !c.first(digest(n)) || c.first(digest(n)) {
			t.Fatalf("token %d is not told once", n)
		}
	}
	if evicted != 5 {
		t.Errorf("%d were forgotten", evicted)
	}
	if !c.first(digest(0)) {
		t.Error("the oldest is remembered")
	}
}
