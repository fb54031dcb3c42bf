package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes a span per request, after OpenTelemetry's conventions for MCP.
// A nil Tracer makes none and costs nothing.
type Tracer struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TraceContext
}

// NewTracer exports over OTLP/HTTP when the usual variables name an endpoint
// (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) and is nil
// otherwise.
func NewTracer(ctx context.Context) (*Tracer, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" ||
		strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil //nolint:nilnil // documented: no tracer is wanted
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the trace exporter: %w", err)
	}
	described, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "countersign-sidecar")), resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("describe the trace resource: %w", err)
	}
	return newTracer(sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))), nil
}

func newTracer(provider *sdktrace.TracerProvider) *Tracer {
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/countersign-io/countersign")}
}

// Shutdown sends what is left.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut the tracer down: %w", err)
	}
	return nil
}

// Operation describes an MCP request for its span.
type Operation struct {
	Method          string
	Tool            string
	RequestID       string
	SessionID       string
	ProtocolVersion string
	ServerAddress   string
	ServerPort      int
	// TraceParent and TraceState come from the header or from params._meta.
	TraceParent string
	TraceState  string
}

// Span is a span under way; the zero Span is none.
type Span struct {
	span trace.Span
}

// Start begins a span and puts its context into the headers that go upstream.
func (t *Tracer) Start(ctx context.Context, o *Operation, upstream http.Header) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	carrier := propagation.MapCarrier{"traceparent": o.TraceParent, "tracestate": o.TraceState}
	ctx = t.propagator.Extract(ctx, carrier)
	attributes := []attribute.KeyValue{
		attribute.String("mcp.method.name", o.Method),
		attribute.String("server.address", o.ServerAddress),
		attribute.Int("server.port", o.ServerPort),
	}
	optional := func(name, value string) {
		if value != "" {
			attributes = append(attributes, attribute.String(name, value))
		}
	}
	optional("jsonrpc.request.id", o.RequestID)
	optional("mcp.session.id", o.SessionID)
	optional("mcp.protocol.version", o.ProtocolVersion)
	name := o.Method
	if o.Tool != "" {
		name += " " + o.Tool
		attributes = append(attributes, attribute.String("gen_ai.tool.name", o.Tool), attribute.String("gen_ai.operation.name", "execute_tool"))
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	t.propagator.Inject(ctx, propagation.HeaderCarrier(upstream))
	return ctx, Span{span: span}
}

// TraceID is the span's trace, or empty.
func (s Span) TraceID() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End closes the span; errorType is empty for success.
func (s Span) End(status int, errorType string) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if errorType != "" {
		s.span.SetAttributes(attribute.String("error.type", errorType))
		s.span.SetStatus(codes.Error, errorType)
	}
	s.span.End()
}

// TraceID reads the trace id out of a W3C traceparent, or gives "".
// https://www.w3.org/TR/trace-context/#traceparent-header
func TraceID(traceParent string) string {
	if len(traceParent) < 55 || traceParent[2] != '-' || traceParent[35] != '-' {
		return ""
	}
	id := traceParent[3:35]
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return id
}
