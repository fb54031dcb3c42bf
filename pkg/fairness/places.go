// Package fairness shares what there is only so much of among callers: places for
// requests, and requests a second.
package fairness

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Limits bound one kind of places. They may differ from one Take to the next, as when
// an auth-config is loaded anew.
type Limits struct {
	// Most is how many places there are, PerCaller how many one caller may have; 0 for
	// as many as there are.
	Most, PerCaller int
	// Shared is set where there are several callers: an eighth of the places is then
	// for callers that have none, and a caller above his share waits while others want
	// places.
	Shared bool
	// Wait is how long a caller waits for a place, 0 for not at all.
	Wait time.Duration
}

// maxWaitingOfCaller bounds who waits of one caller, maxWaiting who waits in all.
const (
	maxWaitingOfCaller = 64
	maxWaiting         = 1024
)

// reserve is the part of the places that callers without any find free.
const reserve = 8

// ErrNone says that there is no place now.
var ErrNone = errors.New("no place is free")

// Places are places of one kind, such as requests in flight. The zero value has none
// taken.
type Places struct {
	mu      sync.Mutex
	taken   int
	callers map[string]*caller
	waiting int
	turn    uint64
}

// caller is one that has places, or waits for one.
type caller struct {
	taken int
	queue []*waiter
	// served is the number of his last turn.
	served uint64
}

type waiter struct {
	limits Limits
	// given is closed when the waiter has a place.
	given chan struct{}
}

// Taken is how many places are taken, and by how many callers.
func (p *Places) Taken() (places, callers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.callers {
		if c.taken > 0 {
			callers++
		}
	}
	return p.taken, callers
}

// Take gives the caller a place, or ErrNone; give it back with Release. It waits while
// the limits say so and ctx has not ended.
func (p *Places) Take(ctx context.Context, name string, limits Limits) error {
	p.mu.Lock()
	c := p.callers[name]
	if c == nil {
		if p.callers == nil {
			p.callers = map[string]*caller{}
		}
		c = &caller{}
		p.callers[name] = c
	}
	if len(c.queue) == 0 && p.fits(c, limits) {
		p.give(c)
		p.mu.Unlock()
		return nil
	}
	if limits.Wait <= 0 || len(c.queue) >= maxWaitingOfCaller || p.waiting >= maxWaiting {
		p.forget(name, c)
		p.mu.Unlock()
		return ErrNone
	}
	w := &waiter{limits: limits, given: make(chan struct{})}
	c.queue = append(c.queue, w)
	p.waiting++
	p.mu.Unlock()
	timer := time.NewTimer(limits.Wait)
	defer timer.Stop()
	select {
	case <-w.given:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.leave(c, w)
	// Others may have waited for this one only.
	defer p.grant()
	if !left {
		// The place was given in the same moment.
		if ctx.Err() == nil {
			return nil
		}
		p.releaseLocked(name, c)
		return ErrNone
	}
	p.forget(name, c)
	return ErrNone
}

// Release gives a place back, to whoever's turn it is.
func (p *Places) Release(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.callers[name]; c != nil {
		p.releaseLocked(name, c)
	}
}

func (p *Places) releaseLocked(name string, c *caller) {
	p.taken--
	c.taken--
	p.grant()
	p.forget(name, c)
}

// grant gives places to whom it can.
func (p *Places) grant() {
	for {
		next := p.next()
		if next == nil {
			return
		}
		w := next.queue[0]
		next.queue = next.queue[1:]
		p.waiting--
		p.give(next)
		close(w.given)
	}
}

func (p *Places) give(c *caller) {
	p.taken++
	c.taken++
	p.turn++
	c.served = p.turn
}

// fits reports whether the caller may have one more place.
func (p *Places) fits(c *caller, l Limits) bool {
	free := l.Most - p.taken
	switch {
	case free <= 0, l.PerCaller > 0 && c.taken >= l.PerCaller:
		return false
	case !l.Shared || c.taken == 0:
		return true
	case l.Most > 1 && free <= max(1, l.Most/reserve):
		return false
	}
	// Others want places where somebody waits that has fewer.
	if p.waiting == 0 {
		return true
	}
	return c.taken < max(1, l.Most/len(p.callers)) || !p.othersWait(c)
}

func (p *Places) othersWait(c *caller) bool {
	for _, other := range p.callers {
		if other != c && len(other.queue) > 0 && other.taken < c.taken {
			return true
		}
	}
	return false
}

// next is the caller whose turn it is: of those that wait and may have a place, the one
// with the fewest, and of these the one whose last turn was longest ago; nil for none.
func (p *Places) next() *caller {
	if p.waiting == 0 {
		return nil
	}
	var best *caller
	for _, c := range p.callers {
		if len(c.queue) == 0 || !p.fits(c, c.queue[0].limits) {
			continue
		}
		if best == nil || c.taken < best.taken || c.taken == best.taken && c.served < best.served {
			best = c
		}
	}
	return best
}

// leave takes a waiter out of his queue; it reports whether he was there.
func (p *Places) leave(c *caller, w *waiter) bool {
	for n := range c.queue {
		if c.queue[n] == w {
			c.queue = append(c.queue[:n], c.queue[n+1:]...)
			p.waiting--
			return true
		}
	}
	return false
}

// forget drops a caller that has nothing and waits for nothing.
func (p *Places) forget(name string, c *caller) {
	if c.taken == 0 && len(c.queue) == 0 {
		delete(p.callers, name)
	}
}
