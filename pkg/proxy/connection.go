package proxy

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Connection is what is known of a client's connection, for whoever has to close one.
type Connection struct {
	// verified is set once a caller was identified on it.
	verified atomic.Bool
	// refusals counts tokens that were refused.
	refusals atomic.Int32
	// Surplus is set for one above the limit: it is told so, and closed.
	Surplus bool
}

// Verified notes that somebody was identified on the connection.
func (c *Connection) Verified() {
	if !c.verified.Load() {
		c.verified.Store(true)
	}
}

// IsVerified reports whether somebody was identified on the connection.
func (c *Connection) IsVerified() bool { return c.verified.Load() }

type connectionKey struct{}

// WithConnection gives requests on a connection what is known of it.
func WithConnection(ctx context.Context, c *Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// ConnectionOf is what is known of a request's connection, nil where nobody keeps that.
func ConnectionOf(r *http.Request) *Connection {
	c, _ := r.Context().Value(connectionKey{}).(*Connection)
	return c
}

const (
	// maxRefusals is after how many refused tokens a connection is closed.
	maxRefusals = 3
	// drainTime is how long the rest of a body is waited for after an answer, where the
	// connection is to stay whole.
	drainTime = 2 * time.Second
)

// leaveBody decides what becomes of a body that was not read: net/http would wait for it
// before it answers. A caller who is not known is answered at once and his connection
// closed; another's stays whole where the body is short and comes soon.
func (c *call) leaveBody(f *failure) {
	connection := ConnectionOf(c.r)
	refused := f.status == http.StatusUnauthorized
	if refused && connection != nil && connection.refusals.Add(1) >= maxRefusals {
		c.w.Header().Set("Connection", "close")
	}
	if c.bodyRead || c.r.ContentLength == 0 {
		return
	}
	if c.caller != nil && !refused {
		setReadDeadline(c.w, time.Now().Add(drainTime))
		return
	}
	dropBody(c.w)
}

// dropBody has the answer go out at once, and end the connection: nothing more is read.
func dropBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	// HTTP/2 has neither: its streams end without their bodies.
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	_ = control.SetReadDeadline(time.Now())
}
