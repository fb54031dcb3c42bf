package intercept

import (
	"container/list"
	"log/slog"
	"net"
	"sync"
)

// undecided are connections of which it is not known yet for whom they are, oldest
// first.
type undecided struct {
	most int
	mu   sync.Mutex
	open *list.List
}

func newUndecided(most int) *undecided { return &undecided{most: most, open: list.New()} }

// add registers a connection, and resets the oldest one when there are too many.
// Call decided once it is known where the connection goes; it reports whether it was
// reset meanwhile.
func (u *undecided) add(c *net.TCPConn) (decided func() bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if oldest := u.open.Front(); u.open.Len() >= u.most && oldest != nil {
		if evicted, ok := u.open.Remove(oldest).(*net.TCPConn); ok {
			reset(evicted)
		}
		oldest.Value = nil
		tellOfRefusal.Do(func() {
			slog.Warn("a redirected connection was reset: too many are undecided", "most", u.most)
		})
	}
	place := u.open.PushBack(c)
	return func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		if place.Value == nil {
			return false
		}
		u.open.Remove(place)
		return true
	}
}

func (u *undecided) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open.Len()
}
