package admission

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

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
type drain struct{ begun atomic.Bool }

// postpone gives a context that ends when ctx does, but later by the delay; the
// drain is in between.
func (d *drain) postpone(
	ctx context.Context,
	delay time.Duration,
) (postponed context.Context, stop context.CancelFunc) {
	postponed, stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer stop()
		select {
		case <-postponed.Done():
			return
		case <-ctx.Done():
		}
		d.begun.Store(true)
		slog.Info("shutting down", "delay", delay.String())
		select {
		case <-postponed.Done():
		case <-time.After(delay):
		}
	}()
	return postponed, stop
}

// handler ends connections during the drain. The server cancels the requests in
// flight when it is told to stop, and then waits for them: they are allowed to
// finish.
func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callTimeout)
		defer cancel()
		defer context.AfterFunc(r.Context(), func() {
			if !d.begun.Load() {
				cancel() // the API server has gone
			}
		})()
		next.ServeHTTP(&lastAnswer{ResponseWriter: w, drain: d}, r.WithContext(ctx))
	})
}

// lastAnswer says that it is the last one of its connection, if the drain has begun
// when it is written.
type lastAnswer struct {
	http.ResponseWriter
	drain *drain
}

// WriteHeader implements http.ResponseWriter.
func (a *lastAnswer) WriteHeader(status int) {
	a.announce()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *lastAnswer) Write(body []byte) (int, error) {
	a.announce()
	return a.ResponseWriter.Write(body)
}

func (a *lastAnswer) announce() {
	if a.drain.begun.Load() {
		a.Header().Set("Connection", "close")
	}
}
