package telemetry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// ErrorTypeTool is the error.type of a tool's result that says isError.
const ErrorTypeTool = "tool_error"

// Arrival is a request as the sidecar got it.
type Arrival struct {
	Operation
	Started time.Time
	// HTTPMethod and Path are for requests that ended before their message was read.
	HTTPMethod, Path string
	// Prompt and ResourceURI are what the message is about, beside Tool.
	Prompt, ResourceURI string
	// Trusted reports whether the caller is known: only then is the trace of the request
	// continued, and not merely linked. Nobody else may choose what is sampled.
	Trusted bool
	// Meta are the members of params._meta that are text: a trace context there comes before
	// that of the headers.
	// https://modelcontextprotocol.io/seps/414
	Meta map[string]string
}

// Outcome is how a request ended.
type Outcome struct {
	HTTPStatus int
	// Code is that of a JSON-RPC error, or 0. ErrorType is empty for success, and Message says
	// more.
	Code      int
	ErrorType string
	Message   string
	// Decision and Reason are those of the decision record, Role is the ARN and Caller a hash.
	Decision, Reason, Role, Caller string
}

// Serve begins the SERVER span of a request.
func (t *Tracer) Serve(ctx context.Context, a *Arrival) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	inHeader := t.propagator.Extract(ctx, propagation.HeaderCarrier(a.Incoming))
	inMeta := t.propagator.Extract(ctx, propagation.MapCarrier(a.Meta))
	options := []trace.SpanStartOption{
		trace.WithSpanKind(
			trace.SpanKindServer,
		), trace.WithTimestamp(a.Started), trace.WithAttributes(a.attributes()...),
	}
	parent := inMeta
	if !trace.SpanContextFromContext(inMeta).IsValid() {
		parent = inHeader
	} else if header := trace.SpanContextFromContext(inHeader); header.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: header}))
	}
	if said := trace.SpanContextFromContext(parent); !a.Trusted && said.IsValid() {
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: said}))
		parent = ctx
	}
	parent, span := t.tracer.Start(parent, a.name(), options...)
	return parent, Span{span: span}
}

func (a *Arrival) name() string {
	switch {
	case a.Method == "":
		return a.HTTPMethod
	case a.Tool != "":
		return a.Method + " " + clipped(a.Tool)
	case a.Prompt != "":
		return a.Method + " " + clipped(a.Prompt)
	}
	return a.Method
}

func (a *Arrival) attributes() []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("network.transport", "tcp"), attribute.String("network.protocol.name", "http"),
	}
	if a.Method == "" {
		return append(
			attributes,
			attribute.String("http.request.method", a.HTTPMethod),
			attribute.String("url.path", a.Path),
		)
	}
	return append(attributes, a.mcpAttributes(a.Prompt, a.ResourceURI)...)
}

// maxAttribute bounds what clients wrote in a span, in bytes; the queue holds 2048 spans.
const maxAttribute = 256

func clipped(text string) string {
	if len(text) <= maxAttribute {
		return text
	}
	return strings.ToValidUTF8(text[:maxAttribute], "")
}

// mcpAttributes are those of OpenTelemetry's conventions for MCP.
// https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/mcp.md)
func (o *Operation) mcpAttributes(prompt, uri string) []attribute.KeyValue {
	attributes := []attribute.KeyValue{attribute.String("mcp.method.name", o.Method)}
	for _, optional := range [...]struct{ name, value string }{
		{"jsonrpc.request.id", o.RequestID}, {"mcp.session.id", o.SessionID}, {"mcp.protocol.version", o.ProtocolVersion},
		{"gen_ai.tool.name", o.Tool}, {"gen_ai.prompt.name", prompt}, {"mcp.resource.uri", uri},
	} {
		if optional.value != "" {
			attributes = append(attributes, attribute.String(optional.name, clipped(optional.value)))
		}
	}
	if o.Tool != "" {
		attributes = append(attributes, attribute.String("gen_ai.operation.name", "execute_tool"))
	}
	return attributes
}

// Stage adds the span of a step that is over; fault is empty where it went well.
func (t *Tracer) Stage(ctx context.Context, name string, begin, end time.Time, fault string) {
	if t == nil {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(begin))
	if fault != "" {
		span.SetAttributes(attribute.String("error.type", fault))
		span.SetStatus(codes.Error, fault)
	}
	span.End(trace.WithTimestamp(end))
}

// Finish ends the SERVER span.
func (s Span) Finish(o *Outcome) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", o.HTTPStatus))
	for _, optional := range [...]struct{ name, value string }{
		{"countersign.decision", o.Decision}, {"countersign.reason", o.Reason}, {"countersign.role", o.Role},
		{"countersign.caller.hash", o.Caller}, {"error.type", o.ErrorType},
	} {
		if optional.value != "" {
			s.span.SetAttributes(attribute.String(optional.name, optional.value))
		}
	}
	if o.Code != 0 {
		s.span.SetAttributes(attribute.String("rpc.response.status_code", strconv.Itoa(o.Code)))
	}
	if o.ErrorType != "" {
		s.span.SetStatus(codes.Error, o.Message)
	}
	s.span.End()
}

// Fail marks a span, which is ended later, as failed.
func (s Span) Fail(errorType string, code int) {
	if s.span == nil {
		return
	}
	if code != 0 {
		s.span.SetAttributes(attribute.String("rpc.response.status_code", strconv.Itoa(code)))
	}
	s.span.SetAttributes(attribute.String("error.type", errorType))
	s.span.SetStatus(codes.Error, errorType)
}
