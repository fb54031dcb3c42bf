package fairness

import "sync"

// Budget is memory, in bytes, that callers share: one caller has at most half of it. The
// zero value has nothing taken.
type Budget struct {
	mu      sync.Mutex
	taken   int64
	callers map[string]int64
}

// Take takes bytes of the budget, which has most in all; it reports whether there were so
// many.
func (b *Budget) Take(name string, bytes, most int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+bytes > most || b.callers[name]+bytes > most/2 {
		return false
	}
	if b.callers == nil {
		b.callers = map[string]int64{}
	}
	b.taken += bytes
	b.callers[name] += bytes
	return true
}

// Release gives bytes back.
func (b *Budget) Release(name string, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= bytes
	if b.callers[name] -= bytes; b.callers[name] <= 0 {
		delete(b.callers, name)
	}
}
