package tokenexchange

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
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

// failures are refusals by the caller's token, for a while.
type failures struct {
	known   *lru.Cache[digest, failure]
	evicted func()
}

type failure struct {
	err   *Error
	until time.Time
}

func newFailures(evicted func()) *failures {
	known, err := lru.New[digest, failure](maxFailures)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &failures{known, evicted}
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
	if err.IsLasting() && f.known.Add(token, failure{err, time.Now().Add(failureMemory)}) {
		f.evicted()
	}
}
