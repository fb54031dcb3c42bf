package tokenexchange

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-io/countersign/pkg/identity"
)

const (
	// maxOfCaller bounds the exchanges under way of one caller's tokens.
	maxOfCaller = 4
	// failureMemory is how long a refusal is remembered: a client in a loop must not
	// reach the identity provider each time, whose patience is with the sidecar's client
	// and not with one caller.
	failureMemory = 5 * time.Second
	maxFailures   = 10_000
)

// callers counts the exchanges under way by caller.
type callers struct {
	mu    sync.Mutex
	count map[string]int
}

func newCallers() *callers { return &callers{count: map[string]int{}} }

// enter reports whether the caller may have one more under way; leave ends it.
func (c *callers) enter(caller *identity.Caller) (leave func(), ok bool) {
	key := caller.Key()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[key] == maxOfCaller {
		return nil, false
	}
	c.count[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.count[key]--; c.count[key] == 0 {
			delete(c.count, key)
		}
	}, true
}

// failures are refusals by the caller's token, for a while.
type failures struct{ known *lru.Cache[digest, failure] }

type failure struct {
	err   *Error
	until time.Time
}

func newFailures() *failures {
	known, err := lru.New[digest, failure](maxFailures)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &failures{known}
}

func (f *failures) of(token digest) *Error {
	known, ok := f.known.Get(token)
	switch {
	case !ok:
		return nil
	case time.Now().After(known.until):
		f.known.Remove(token)
		return nil
	}
	return known.err
}

// note remembers a failure that the same token would meet again.
func (f *failures) note(token digest, err *Error) {
	if err.IsLasting() {
		f.known.Add(token, failure{err, time.Now().Add(failureMemory)})
	}
}
