package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"go.opentelemetry.io/otel/trace"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// The steps of the pipeline that have spans of their own.
const (
	stageIdentify  = "identify"
	stageAuthorize = "authorize"
	stageExchange  = "exchange"
)

// stage is a step that is over.
type stage struct {
	name, fault string
	begin, end  time.Time
}

// tracing is what a call's spans need; it is nil where nothing is traced.
type tracing struct {
	server telemetry.Span
	// ctx is that of the server's span, once it has begun.
	ctx context.Context //nolint:containedctx // of one call
	// stages are those that ended before the server's span began.
	stages []stage
	// client is the span of the request to the upstream.
	client telemetry.Span
	// code is that of an answer which is an error; toolFailed is set for a tool's result
	// that says isError.
	code       int
	toolFailed bool
	// sent is when the request went to the upstream.
	sent time.Time
}

// newTracing is nil where there is no tracer.
func (s *Server) newTracing() *tracing {
	if s.options.Tracer == nil && s.options.Meter == nil {
		return nil
	}
	return &tracing{}
}

// step runs a step of the pipeline, and keeps its span.
func (c *call) step(name string, run func() *failure) *failure {
	if c.tracing == nil {
		return run()
	}
	begin := time.Now()
	f := run()
	done := stage{name: name, begin: begin, end: time.Now()}
	if f != nil {
		done.fault = f.reason
	}
	c.noteStage(done)
	return f
}

func (c *call) noteStage(done stage) {
	if c.tracing.ctx == nil {
		c.tracing.stages = append(c.tracing.stages, done)
		return
	}
	c.server.options.Tracer.Stage(c.tracing.ctx, done.name, done.begin, done.end, done.fault)
}

// beginSpan begins the server's span, once; that is as soon as the message is read, in which
// the trace may be named.
func (c *call) beginSpan() {
	t := c.tracing
	if t == nil || t.ctx != nil {
		return
	}
	a := telemetry.Arrival{
		Operation: telemetry.Operation{
			Method: c.spanMethod(), SessionID: c.session.upstream, ProtocolVersion: c.version, Incoming: c.r.Header,
		},
		Started: c.started, HTTPMethod: c.r.Method, Path: c.upstream.Path, Trusted: c.caller != nil,
	}
	if m := c.single(); m != nil {
		a.RequestID = requestIDOf(m)
		a.Meta = traceMeta(m)
		for _, subject := range m.Subjects() {
			switch subject.Kind {
			case mcp.SubjectTool:
				a.Tool = subject.Name
			case mcp.SubjectPrompt:
				a.Prompt = subject.Name
			case mcp.SubjectResource:
				a.ResourceURI = subject.Name
			case mcp.SubjectTask:
			}
		}
	}
	t.ctx, t.server = c.server.options.Tracer.Serve(c.r.Context(), &a)
	c.span = t.server
	for _, done := range t.stages {
		c.noteStage(done)
	}
	t.stages = nil
}

// single is the call's one message; nil for a batch, and where there is none.
func (c *call) single() *mcp.Message {
	if c.messages == nil || c.messages.Batch {
		return nil
	}
	return &c.messages.Messages[0]
}

// spanMethod is the MCP method of a span; empty where no message was read.
func (c *call) spanMethod() string {
	if c.messages == nil {
		return ""
	}
	return c.label()
}

// requestIDOf is the id of a request as text; empty where it has none.
func requestIDOf(m *mcp.Message) string {
	var text string
	if json.Unmarshal(m.ID, &text) == nil {
		return text
	}
	if m.ID.Kind() == '0' {
		return string(m.ID)
	}
	return ""
}

// traceMeta is the trace context in params._meta.
func traceMeta(m *mcp.Message) map[string]string {
	meta := m.Params.Meta
	if meta.TraceParent == "" {
		return nil
	}
	return map[string]string{"traceparent": meta.TraceParent, "tracestate": meta.TraceState}
}

// beginClientSpan begins that of the request to the upstream; its context goes with the
// headers, and with params._meta.
func (c *call) beginClientSpan(ctx context.Context, header http.Header) context.Context {
	if c.tracing == nil {
		return ctx
	}
	c.beginSpan()
	c.tracing.sent = time.Now()
	operation := telemetry.Operation{
		Method: c.label(), SessionID: c.session.upstream, ProtocolVersion: c.version, ServerAddress: c.upstream.Host,
		ServerPort: c.upstream.Port, Incoming: c.r.Header,
	}
	if m := c.single(); m != nil {
		operation.RequestID = requestIDOf(m)
		if subjects := m.Subjects(); len(subjects) == 1 && subjects[0].Kind == mcp.SubjectTool {
			operation.Tool = subjects[0].Name
		}
	}
	spanCtx, span := c.server.options.Tracer.Start(c.tracing.ctx, &operation, header)
	c.tracing.client = span
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(spanCtx))
}

// noteFailed is told of an answer that is an error: see mcp.Answers.Failed.
func (c *call) noteFailed(code int) {
	if code == 0 {
		c.tracing.toolFailed = true
		return
	}
	c.tracing.code = code
}

// failed is what to tell of the answer's failure: the value of error.type, and a code.
func (t *tracing) failed() (errorType string, code int) {
	switch {
	case t.code != 0:
		return strconv.Itoa(t.code), t.code
	case t.toolFailed:
		return telemetry.ErrorTypeTool, 0
	}
	return "", 0
}

// endSpans ends both spans.
func (c *call) endSpans(record *audit.Record) {
	if c.tracing == nil {
		return
	}
	c.beginSpan()
	failedAs, code := c.tracing.failed()
	if failedAs != "" {
		c.tracing.client.Fail(failedAs, code)
		c.tracing.client.End(c.outcome.status, "")
	} else {
		c.tracing.client.End(c.outcome.status, c.outcome.errorType())
	}
	outcome := telemetry.Outcome{
		HTTPStatus: c.outcome.status, Code: code, ErrorType: failedAs, Decision: record.Decision, Reason: c.outcome.reason,
		Role: record.Role, Caller: callerHash(record),
	}
	if c.outcome.reason != "" {
		outcome.Code, outcome.Message = c.outcome.code, c.outcome.message
		if outcome.ErrorType = strconv.Itoa(c.outcome.code); c.outcome.code == 0 {
			outcome.ErrorType = strconv.Itoa(c.outcome.status)
		}
		if outcome.Decision = audit.Reject; c.outcome.denied {
			outcome.Decision = audit.Deny
		}
	}
	c.tracing.server.Finish(&outcome)
	c.measure(&outcome, failedAs)
}

// measure takes the times of an MCP operation; streams have none.
func (c *call) measure(outcome *telemetry.Outcome, failedAs string) {
	meter := c.server.options.Meter
	if meter == nil || c.messages == nil || c.isStream() {
		return
	}
	now := time.Now()
	measured := telemetry.Measured{
		Method: c.label(), ProtocolVersion: mcp.VersionLabel(c.version), ErrorType: outcome.ErrorType, Code: outcome.Code, Took: now.Sub(c.started),
	}
	if m := c.single(); m != nil {
		if subjects := m.Subjects(); len(subjects) == 1 && subjects[0].Kind == mcp.SubjectTool {
			measured.Tool = subjects[0].Name
		}
	}
	measured.ErrorType, measured.Code = bounded(measured.ErrorType, measured.Code)
	meter.Served(c.tracing.ctx, &measured)
	if c.tracing.sent.IsZero() {
		return
	}
	measured.ServerAddress, measured.ServerPort = c.upstream.Host, c.upstream.Port
	measured.Took, measured.ErrorType = now.Sub(c.tracing.sent), failedAs
	if failedAs == "" {
		measured.ErrorType, measured.Code = c.outcome.errorType(), 0
	}
	measured.ErrorType, measured.Code = bounded(measured.ErrorType, measured.Code)
	meter.Called(c.tracing.ctx, &measured)
}

// The codes that the JSON-RPC specification leaves to protocols and their implementations; a
// hostile upstream may write any.
const minRPCCode, maxRPCCode = -32768, -32000

// bounded keeps codes of upstreams from making series without end.
func bounded(errorType string, code int) (string, int) {
	if code == 0 || code >= minRPCCode && code <= maxRPCCode || code/100 >= 400 && code/100 < 600 {
		return errorType, code
	}
	return telemetry.Other, 0
}

// callerHash tells callers apart without naming them.
func callerHash(record *audit.Record) string {
	if record.Caller == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(record.Issuer + "\x00" + record.Caller))
	const enough = 8
	return hex.EncodeToString(sum[:enough])
}
