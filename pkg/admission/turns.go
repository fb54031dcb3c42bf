package admission

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

const (
	// maxValidating bounds how many auth-configs are validated at once. One can take
	// seconds and many MiB if somebody means it to.
	maxValidating = 2
	// maxWaiting bounds who waits for a turn, in all and of one namespace.
	maxWaiting            = 1024
	maxWaitingOfNamespace = 64
)

// turns gives places to namespaces in turn: one namespace has one place at a time, and
// the one that had its last turn longest ago goes first. What one tenant has validated
// delays another's by one validation at the most.
type turns struct {
	mu      sync.Mutex
	free    int
	active  map[string]bool
	waiting []*waiter
	// served counts turns, and has the number of the last of each namespace that waits
	// or is active.
	served map[string]uint64
	count  uint64
}

type waiter struct {
	namespace string
	// turn is closed when it has come.
	turn chan struct{}
}

func newTurns(places int) *turns { return &turns{free: places, active: map[string]bool{}, served: map[string]uint64{}} }

// take waits for the namespace's turn; done ends it. The error wraps errBusy.
func (t *turns) take(ctx context.Context, namespace string) (done func(), err error) {
	t.mu.Lock()
	if t.free > 0 && !t.active[namespace] {
		t.enterLocked(namespace)
		t.mu.Unlock()
		return func() { t.leave(namespace) }, nil
	}
	ofNamespace := 0
	for _, w := range t.waiting {
		if w.namespace == namespace {
			ofNamespace++
		}
	}
	if len(t.waiting) >= maxWaiting || ofNamespace >= maxWaitingOfNamespace {
		t.mu.Unlock()
		return nil, fmt.Errorf("%w: %d wait in this namespace", errBusy, ofNamespace)
	}
	w := &waiter{namespace: namespace, turn: make(chan struct{})}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	select {
	case <-w.turn:
		return func() { t.leave(namespace) }, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	at := slices.Index(t.waiting, w)
	if at >= 0 {
		t.waiting = slices.Delete(t.waiting, at, at+1)
	}
	t.mu.Unlock()
	if at < 0 {
		// The turn came in the same moment.
		t.leave(namespace)
	}
	return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
}

func (t *turns) enterLocked(namespace string) {
	t.free--
	t.active[namespace] = true
	t.count++
	t.served[namespace] = t.count
}

// leave gives the place to the next.
func (t *turns) leave(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.active, namespace)
	t.free++
	for t.free > 0 {
		next := t.nextLocked()
		if next < 0 {
			break
		}
		w := t.waiting[next]
		t.waiting = slices.Delete(t.waiting, next, next+1)
		t.enterLocked(w.namespace)
		close(w.turn)
	}
	if len(t.waiting) == 0 && len(t.active) == 0 {
		clear(t.served)
	}
}

// nextLocked is the waiter whose namespace had its last turn longest ago, -1 for none.
func (t *turns) nextLocked() int {
	next := -1
	for n, w := range t.waiting {
		if !t.active[w.namespace] && (next < 0 || t.served[w.namespace] < t.served[t.waiting[next].namespace]) {
			next = n
		}
	}
	return next
}
