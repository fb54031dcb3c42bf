package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Tracer makes a span per request, after OpenTelemetry's conventions for MCP.
// A nil Tracer makes none and costs nothing.
type Tracer struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
}

// NewTracer exports as the variables of OpenTelemetry say: OTEL_SDK_DISABLED,
// OTEL_TRACES_EXPORTER (otlp, none), OTEL_EXPORTER_OTLP_PROTOCOL (grpc,
// http/protobuf), OTEL_PROPAGATORS and those that the SDK reads itself. It is nil
// where nothing is to be exported: with none, and where neither an exporter nor an
// endpoint is named. A value that is not supported is an error.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func NewTracer(ctx context.Context) (*Tracer, error) {
	wanted, err := wantsSignal("TRACES")
	if err != nil || !wanted {
		return nil, err
	}
	propagator, err := newPropagator(os.Getenv("OTEL_PROPAGATORS"))
	if err != nil {
		return nil, err
	}
	client, err := newTraceClient()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("make the trace exporter: %w", err)
	}
	described, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	tellExportErrors()
	return newTracer(
		sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described)),
		propagator,
	), nil
}

// describe names this program, and where it runs.
func describe(ctx context.Context) (*resource.Resource, error) {
	described, err := resource.New(
		ctx,
		resource.WithAttributes(attribute.String("service.name", "countersign-sidecar")),
		resource.WithAttributes(podAttributes()...),
		resource.WithFromEnv(),
		resource.WithTelemetrySDK(),
	)
	if err != nil {
		return nil, fmt.Errorf("describe the resource: %w", err)
	}
	return described, nil
}

// podAttributes are what the downward API says.
func podAttributes() []attribute.KeyValue {
	var attributes []attribute.KeyValue
	for _, row := range [...][2]string{
		{"k8s.namespace.name", "COUNTERSIGN_POD_NAMESPACE"}, {"k8s.pod.name", "COUNTERSIGN_POD_NAME"},
	} {
		if value := os.Getenv(row[1]); value != "" {
			attributes = append(attributes, attribute.String(row[0], value))
		}
	}
	return attributes
}

// variable reads one of OpenTelemetry's variables, whose values have no case.
func variable(names ...string) (name, value string) {
	for _, name = range names {
		if value = strings.ToLower(strings.TrimSpace(os.Getenv(name))); value != "" {
			return name, value
		}
	}
	return name, ""
}

// wantsSignal reports whether TRACES, or METRICS, are to be exported.
func wantsSignal(signal string) (bool, error) {
	if _, disabled := variable("OTEL_SDK_DISABLED"); disabled == "true" {
		return false, nil
	}
	name, exporter := variable("OTEL_" + signal + "_EXPORTER")
	switch exporter {
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	case "":
		_, endpoint := variable("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
		return endpoint != "", nil
	}
	return false, fmt.Errorf("%s: %q is not supported; otlp and none are", name, exporter)
}

func newTraceClient() (otlptrace.Client, error) {
	name, protocol := variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.NewClient(), nil
	case "grpc":
		return otlptracegrpc.NewClient(), nil
	}
	return nil, fmt.Errorf("%s: %q is not supported; grpc and http/protobuf are", name, protocol)
}

// newPropagator reads a list of propagators; an empty one is W3C's trace context
// and baggage.
func newPropagator(list string) (propagation.TextMapPropagator, error) {
	if strings.TrimSpace(list) == "" {
		list = "tracecontext,baggage"
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		names = append(names, strings.ToLower(strings.TrimSpace(name)))
	}
	propagator, err := autoprop.TextMapPropagator(names...)
	if err != nil {
		return nil, fmt.Errorf("OTEL_PROPAGATORS: %w", err)
	}
	return propagator, nil
}

// exportErrorInterval is how often at most a failed export is told.
const exportErrorInterval = time.Minute

// tellExportErrors has the SDK's errors logged as what they are: traces or metrics are lost.
func tellExportErrors() {
	sometimes := rate.Sometimes{First: 1, Interval: exportErrorInterval}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		sometimes.Do(func() { slog.Warn("telemetry cannot be exported", "error", err) })
	}))
}

func newTracer(provider *sdktrace.TracerProvider, propagator propagation.TextMapPropagator) *Tracer {
	return &Tracer{
		provider:   provider,
		tracer:     provider.Tracer("github.com/countersign-io/countersign"),
		propagator: propagator,
	}
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
	// Incoming are the request's headers; TraceParent and TraceState come from
	// params._meta, where the headers have none.
	Incoming    http.Header
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
	if !trace.SpanContextFromContext(ctx).IsValid() { // else that of the SERVER span goes on
		ctx = t.propagator.Extract(ctx, propagation.HeaderCarrier(o.Incoming))
	}
	if !trace.SpanContextFromContext(ctx).IsValid() && o.TraceParent != "" {
		ctx = t.propagator.Extract(
			ctx,
			propagation.MapCarrier{"traceparent": o.TraceParent, "tracestate": o.TraceState},
		)
	}
	attributes := append(o.mcpAttributes("", ""),
		attribute.String("server.address", o.ServerAddress), attribute.Int("server.port", o.ServerPort),
		attribute.String("network.transport", "tcp"), attribute.String("network.protocol.name", "http"),
	)
	name := o.Method
	if o.Tool != "" {
		name += " " + clipped(o.Tool)
	}
	ctx, span := t.tracer.Start(
		ctx,
		name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributes...),
	)
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

// SampledTraceID is that of a span that somebody can look up, or empty.
func (s Span) SampledTraceID() string {
	if s.span == nil || !s.span.SpanContext().IsSampled() {
		return ""
	}
	return s.TraceID()
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
