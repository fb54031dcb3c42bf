package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// call is one HTTP request on its way through the pipeline.
type call struct {
	server   *Server
	snap     *snapshot
	upstream *upstream
	w        http.ResponseWriter
	r        *http.Request
	started  time.Time

	// Filled by the steps, in their order.
	caller    *identity.Caller
	body      []byte
	messages  *mcp.Body
	sessionID string
	version   string
	plan      *plan
	decisions []messageDecision
	span      telemetry.Span

	// stream is set for GET and subscriptions/listen, which last.
	stream bool
	// status, reason and upstreamRequestID are for the record.
	status            int
	reason            string
	denied            bool
	upstreamRequestID string
	// answered is set once the answer's header is out.
	answered bool
	recorded bool
}

// messageDecision is the decision on one message of the body.
type messageDecision struct {
	policy.Decision
	reason string
	// enforced is false for a denial that logOnly let pass.
	enforced bool
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, snap *snapshot, u *upstream) {
	c := &call{server: s, snap: snap, upstream: u, w: w, r: r, started: time.Now(), stream: r.Method == http.MethodGet}
	if !c.admit() {
		c.fail(&failure{status: http.StatusServiceUnavailable, code: mcp.CodeInternal, message: "too many requests at once", reason: reasonOverload, retryAfter: 1})
		c.record()
		return
	}
	// An answer that breaks off panics with http.ErrAbortHandler; the record is
	// written all the same.
	defer func() {
		c.leave()
		c.record()
	}()
	if f := c.run(); f != nil {
		c.fail(f)
	}
}

// run is the pipeline.
func (c *call) run() *failure {
	if f := c.identify(); f != nil {
		return f
	}
	if f := c.readMessages(); f != nil {
		return f
	}
	if f := c.checkSession(); f != nil {
		return f
	}
	if f := c.selectRole(); f != nil {
		return f
	}
	if f := c.authorize(); f != nil {
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

// admit counts the request against its bound.
func (c *call) admit() bool {
	limit := int64(c.snap.config.Limits.MaxConcurrentRequests)
	counter := &c.server.inFlight
	if c.stream {
		counter = &c.server.streams
	}
	if counter.Add(1) > limit {
		counter.Add(-1)
		return false
	}
	if c.stream {
		c.server.options.Metrics.StreamStarted()
	} else {
		c.server.options.Metrics.RequestStarted()
	}
	return true
}

func (c *call) leave() {
	if c.stream {
		c.server.streams.Add(-1)
		c.server.options.Metrics.StreamEnded()
		return
	}
	c.server.inFlight.Add(-1)
	c.server.options.Metrics.RequestEnded()
}

// becomeStream moves a request that turns out to last from one bound to the
// other.
func (c *call) becomeStream() bool {
	c.leave()
	c.stream = true
	if c.admit() {
		return true
	}
	// leave will undo a request again.
	c.stream = false
	c.server.inFlight.Add(1)
	c.server.options.Metrics.RequestStarted()
	return false
}

// context ends with the client, and for streams with the token and the server.
func (c *call) context() (context.Context, context.CancelFunc) {
	if !c.stream {
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
		gone := &failure{status: statusClientGone, reason: reasonGone}
		if f.denied {
			// A denial stays one in the record.
			gone.reason, gone.denied = f.reason, true
		}
		f = gone
	}
	c.reason, c.denied = f.reason, f.denied
	if !c.answered {
		c.status = f.status
		if f.status != statusClientGone {
			f.write(c.w, c.messages)
		}
	}
	if f.status >= http.StatusInternalServerError {
		slog.Warn("a request could not be served", "upstream", c.upstream.name, "status", f.status, "reason", f.reason, "answer", f.message)
	}
}

// method is the MCP method for records and metrics.
func (c *call) method() string {
	switch {
	case c.messages == nil:
		if c.r.Method == http.MethodPost {
			return ""
		}
		return c.r.Method
	case c.messages.Batch:
		return "batch"
	case c.messages.Messages[0].IsResponse():
		return "response"
	}
	return c.messages.Messages[0].Method
}

// record writes metrics and, per message, a decision record.
func (c *call) record() {
	if c.recorded {
		return
	}
	c.recorded = true
	took := time.Since(c.started)
	c.server.options.Metrics.Requested(c.upstream.name, c.method(), c.status, took, c.stream)
	c.span.End(c.status, c.errorType())
	record := audit.Record{
		Time: c.started, RequestID: c.server.idPrefix + strconv.FormatUint(c.server.sequence.Add(1), 10),
		TraceID: c.traceID(), Upstream: c.upstream.name, HTTPMethod: c.r.Method, Status: c.status, Duration: took,
		UpstreamRequestID: c.upstreamRequestID, Decision: audit.Allow,
	}
	if c.caller != nil {
		record.Caller, record.Issuer = c.caller.Subject, c.caller.Issuer
	}
	if c.plan != nil {
		record.SessionName, record.Role = c.plan.selection.SessionName, c.plan.role
	}
	if c.messages == nil {
		c.recordOne(record, "", nil)
		return
	}
	for i := range c.messages.Messages {
		var decision *messageDecision
		if i < len(c.decisions) {
			decision = &c.decisions[i]
		}
		m := &c.messages.Messages[i]
		record.Tool = subject(m)
		if c.snap.config.Audit.IncludeArguments {
			record.Arguments = m.Params.Arguments
		}
		c.recordOne(record, m.Method, decision)
	}
}

func (c *call) recordOne(record audit.Record, method string, decision *messageDecision) {
	record.Method = method
	enforced := true
	if decision != nil {
		record.Policies, record.Errors, record.Reason = decision.Policies, decision.Errors, decision.reason
		enforced = decision.enforced
		if !decision.Allowed {
			record.Decision, record.NotEnforced = audit.Deny, !decision.enforced
		}
	}
	switch {
	case c.reason == "" || record.Decision == audit.Deny:
	case c.denied:
		record.Decision, record.Reason = audit.Deny, c.reason
	case decision != nil:
		// Allowed, and then it could not be served.
		record.Failure = c.reason
	default:
		record.Decision, record.Reason = audit.Reject, c.reason
	}
	if record.Decision != audit.Reject {
		tool := ""
		if method == mcp.MethodCallTool {
			tool = record.Tool
		}
		label := method
		if label == "" {
			label = c.method()
		}
		c.server.options.Metrics.Decided(record.Decision, record.Reason, c.upstream.name, label, tool, enforced)
	}
	if c.snap.config.Audit.Enabled {
		c.server.options.Audit.Write(&record)
	}
}

func (c *call) errorType() string {
	if c.reason != "" {
		return c.reason
	}
	if c.status >= http.StatusBadRequest {
		return strconv.Itoa(c.status)
	}
	return ""
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
	if parent = c.r.Header.Get("Traceparent"); parent != "" {
		return parent, c.r.Header.Get("Tracestate")
	}
	if c.messages != nil && !c.messages.Batch {
		meta := &c.messages.Messages[0].Params.Meta
		return meta.TraceParent, meta.TraceState
	}
	return "", ""
}

// subject is what a message is about: the member that the decision is taken on,
// whatever others the message has.
func subject(m *mcp.Message) string {
	p := &m.Params
	switch m.Method {
	case mcp.MethodCallTool, mcp.MethodGetPrompt:
		return p.Name
	case mcp.MethodReadResource, mcp.MethodSubscribe, mcp.MethodUnsubscribe:
		return p.URI
	case mcp.MethodComplete:
		if p.Ref.Type == "ref/prompt" {
			return p.Ref.Name
		}
		return p.Ref.URI
	}
	if mcp.IsTaskMethod(m.Method) {
		return p.TaskID
	}
	return ""
}
