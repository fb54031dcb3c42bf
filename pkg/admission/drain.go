package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// maxRequests bounds the requests that are worked on at once; each may hold some
// MiB. API servers that find all taken are made to wait for their own timeout.
const maxRequests = 128

// callTimeout is the longest that API servers wait for an answer; the webhook
// configurations say so.
const callTimeout = 10 * time.Second

// drain lets API servers go to other replicas before this one stops.
//
// They call webhooks with HTTP/1.1 and keep their connections
// (https://issue.k8s.io/75791), whatever becomes of the Service's endpoints.
// [http.Server.Shutdown] closes the idle ones, and a call that is on its way on
// one of those fails: API servers repeat none. So for a while before that each
// answer is the last one of its connection.
type drain struct {
	begun atomic.Bool
	slots chan struct{}
}

func newDrain() *drain { return &drain{slots: make(chan struct{}, maxRequests)} }

// limited answers maxRequests requests at once.
func (d *drain) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}

// ready is a check that fails from the moment that the drain begins, for those who
// end a replica without removing its Pod.
func (d *drain) ready() error {
	if d.begun.Load() {
		return errors.New("shutting down")
	}
	return nil
}

// context outlives ctx by the delay, and then by the time that requests in flight
// take: the server cancels what it still works on when its own context ends.
func (d *drain) context(ctx context.Context, delay time.Duration) (drained context.Context, stop context.CancelFunc) {
	drained, stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer stop()
		select {
		case <-drained.Done():
			return
		case <-ctx.Done():
		}
		d.begun.Store(true)
		slog.Info("shutting down", "delay", delay.String())
		wait(drained, delay)
		for end := time.Now().Add(callTimeout); len(d.slots) > 0 && time.Now().Before(end); {
			wait(drained, 10*time.Millisecond)
		}
	}()
	return drained, stop
}

func wait(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
