package tokenexchange

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/countersign-io/countersign/pkg/identity"
)

const (
	// maxKeptBytes bounds the exchanged tokens that are kept, with what it takes to
	// keep them; least recently used go first.
	maxKeptBytes = 8 << 20
	// keptOverhead is about what an entry costs beside its token and actor.
	keptOverhead = 512
	maxKept      = maxKeptBytes / keptOverhead
)

type digest = [sha256.Size]byte

// kept are exchanged tokens by their caller's token. A token is forgotten when it has
// less than leastLeft left, whom it named as the actor when the caller's token expires.
type kept struct {
	mu      sync.Mutex
	entries *simplelru.LRU[digest, *keptToken]
	bytes   int
	now     func() time.Time
	evicted func()
}

type keptToken struct {
	token *Token // nil once it has no life left
	actor string
	size  int
	// forget drops the token, and then the entry.
	forget *time.Timer
	// until is when the caller's token expires.
	until time.Time
}

func newKept(evicted func()) *kept {
	k := &kept{now: time.Now, evicted: evicted}
	entries, err := simplelru.NewLRU(maxKept, func(_ digest, e *keptToken) {
		e.forget.Stop()
		k.bytes -= e.size
	})
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	k.entries = entries
	return k
}

func (k *kept) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.entries.Len()
}

// get gives a token with some life left, or nil.
func (k *kept) get(of digest) *Token {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.entries.Get(of); ok && e.token != nil && k.now().Before(e.token.Expiry.Add(-leastLeft)) {
		return e.token
	}
	return nil
}

func (k *kept) actor(of digest) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.entries.Get(of); ok {
		return e.actor
	}
	return ""
}

func (k *kept) put(caller *identity.Caller, token *Token) {
	of := caller.Token.Digest()
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries.Remove(of)
	usable := token.Expiry.Add(-leastLeft)
	if caller.Expiry.Before(usable) {
		usable = caller.Expiry
	}
	e := &keptToken{actor: token.Actor, until: caller.Expiry, size: keptOverhead + len(token.Actor)}
	wait := e.until.Sub(now)
	if now.Before(usable) {
		e.token = &Token{raw: token.raw, Actor: token.Actor, Act: token.Act, Expiry: usable.Add(leastLeft)}
		// Of act no more is kept than the token is long.
		e.size += 2 * len(token.raw)
		wait = usable.Sub(now)
	} else if e.actor == "" || wait <= 0 {
		return
	}
	e.forget = time.AfterFunc(wait, func() { k.expire(of, e) })
	k.bytes += e.size
	if k.entries.Add(of, e) {
		k.evicted()
	}
	for k.bytes > maxKeptBytes {
		k.entries.RemoveOldest()
		k.evicted()
	}
}

// expire drops the token, and the entry where there is nothing more to know of it.
func (k *kept) expire(of digest, e *keptToken) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if current, ok := k.entries.Peek(of); !ok || current != e {
		return
	}
	left := e.until.Sub(k.now())
	if e.token == nil || e.actor == "" || left <= 0 {
		k.entries.Remove(of)
		return
	}
	k.bytes -= 2 * len(e.token.raw)
	e.size -= 2 * len(e.token.raw)
	e.token = nil
	e.forget.Reset(left)
}

// purge forgets everything.
func (k *kept) purge() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries.Purge()
}

// drop forgets this very token.
func (k *kept) drop(of digest, token *Token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.entries.Peek(of); ok && e.token != nil && e.token.raw == token.raw {
		k.entries.Remove(of)
	}
}
