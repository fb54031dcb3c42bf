package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// call is one HTTP request on its way through the pipeline.
type call struct {
	server   *Server
	snap     *liveconfig.Snapshot
	upstream *liveconfig.Upstream
	w        http.ResponseWriter
	r        *http.Request
	started  time.Time
	// place is nil until there is one.
	place *place

	// Filled by the steps, in their order.
	caller *identity.Caller
	body   []byte
	// bodyRead is set once the client's body was read to its end; held is how much of it
	// counts among those that are held.
	bodyRead  bool
	held      int64
	messages  *mcp.Body
	session   session
	version   string
	plan      *liveconfig.Plan
	decisions []authorize.Decision
	script    *script
	// listed says what of lists the caller sees; see view.
	listed *authorize.View
	// role is the role session that the request is sent with.
	role struct {
		session *credentials.RoleSession
		key     credentials.Key
	}
	span telemetry.Span
	// tracing is nil where nothing is traced.
	tracing *tracing
	// signed is what the request to the upstream was signed with.
	signed signedWith
	// events is the answer where it is a stream of them; listens holds the
	// mcp.ListKinds of a subscription once it is acknowledged.
	events  *eventStream
	listens atomic.Value

	outcome outcome
	// id names the call in its records and errors; see requestID.
	id string
	// answered is set once the answer's header is out.
	answered bool
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, snap *liveconfig.Snapshot, u *liveconfig.Upstream) {
	c := &call{server: s, snap: snap, upstream: u, w: w, r: r, started: time.Now(), tracing: s.newTracing()}
	// An answer that breaks off panics with http.ErrAbortHandler; the record is
	// written all the same.
	defer func() {
		c.releaseBody()
		c.place.release()
		c.record()
	}()
	if f := c.run(); f != nil {
		c.fail(f)
	}
}

// run is the pipeline.
func (c *call) run() *failure {
	if f := c.step(stageIdentify, c.identify); f != nil {
		return f
	}
	if f := c.takePlace(); f != nil {
		return f
	}
	if f := c.readMessages(); f != nil {
		return f
	}
	c.beginSpan()
	if f := c.openSession(); f != nil {
		return f
	}
	if f := c.selectRole(); f != nil {
		return f
	}
	if f := c.step(stageAuthorize, c.authorize); f != nil {
		return f
	}
	ctx, cancel := c.context()
	defer cancel()
	answer, f := c.forward(ctx)
	if f != nil {
		return f
	}
	defer func() { _ = answer.Body.Close() }()
	return c.relay(answer)
}

// isStream reports whether the call lasts: a GET or a subscription.
func (c *call) isStream() bool {
	if c.place == nil {
		return c.r.Method == http.MethodGet
	}
	return c.place.stream
}

// context ends with the client, and for streams with the token and the server.
func (c *call) context() (context.Context, context.CancelFunc) {
	if !c.isStream() {
		return c.r.Context(), func() {}
	}
	ctx, cancel := context.WithDeadline(c.r.Context(), c.caller.Expiry)
	stop := context.AfterFunc(c.server.stopping, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// fail answers with a failure, or only notes it when an answer is under way.
func (c *call) fail(f *failure) {
	if c.r.Context().Err() != nil {
		f = clientGone(f)
	}
	c.outcome.reason, c.outcome.denied = f.reason, f.denied
	c.outcome.code, c.outcome.message = f.code, f.message
	if f.challenge != "" {
		c.outcome.code = 0 // the answer is no JSON-RPC
	}
	if !c.answered {
		c.outcome.status = f.status
		f.requestID = c.requestID()
		if f.status != statusClientGone {
			c.leaveBody(f)
			f.write(c.w, c.messages)
		}
	}
	switch {
	case f.reason == reasonOverload:
		// A flood has many: the metric counts them.
		c.server.overloads.Do(func() { c.warn(f) })
	case f.status >= http.StatusInternalServerError:
		c.warn(f)
	}
}

func (c *call) warn(f *failure) {
	slog.Warn(
		"a request could not be served",
		"upstream", c.upstream.Name, "status", f.status, "reason", f.reason, "answer", f.message,
	)
}

// requestID names the call; errors carry it, so that their record can be found.
func (c *call) requestID() string {
	if c.id == "" {
		c.id = c.server.idPrefix + strconv.FormatUint(c.server.sequence.Add(1), 10)
	}
	return c.id
}

func (c *call) traceID() string {
	if id := c.span.TraceID(); id != "" {
		return id
	}
	parent, _ := c.traceContext()
	return telemetry.TraceID(parent)
}

// traceContext comes from the headers, else from params._meta.
func (c *call) traceContext() (parent, state string) {
	if parent = headerValue(c.r.Header, "Traceparent"); parent != "" {
		return parent, headerValue(c.r.Header, "Tracestate")
	}
	if c.messages != nil && !c.messages.Batch {
		meta := &c.messages.Messages[0].Params.Meta
		return meta.TraceParent, meta.TraceState
	}
	return "", ""
}
