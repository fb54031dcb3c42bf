package telemetry

import (
	"context"
	"fmt"
	"strconv"
	"time"

	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Meter sends metrics over OTLP: those of OpenTelemetry's conventions for MCP, and all that
// Prometheus can scrape. A nil Meter measures nothing.
type Meter struct {
	provider       *sdkmetric.MeterProvider
	server, client metric.Float64Histogram
	metrics        *Metrics
}

// NewMeter exports as OTEL_METRICS_EXPORTER (otlp, none), OTEL_EXPORTER_OTLP_PROTOCOL and the
// variables that the SDK reads itself say. It is nil where nothing is to be exported.
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func NewMeter(ctx context.Context, metrics *Metrics) (*Meter, error) {
	wanted, err := wantsSignal("METRICS")
	if err != nil || !wanted {
		return nil, err
	}
	exporter, err := newMetricExporter(ctx)
	if err != nil {
		return nil, err
	}
	described, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	tellExportErrors()
	reader := sdkmetric.NewPeriodicReader(
		exporter, sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(metrics.registry))),
	)
	return newMeter(
		sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(described)),
		metrics,
	)
}

func newMetricExporter(ctx context.Context) (sdkmetric.Exporter, error) {
	name, protocol := variable("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch protocol {
	case "", "http/protobuf":
		return otlpmetrichttp.New(ctx)
	case "grpc":
		return otlpmetricgrpc.New(ctx)
	}
	return nil, fmt.Errorf("%s: %q is not supported; grpc and http/protobuf are", name, protocol)
}

func newMeter(provider *sdkmetric.MeterProvider, metrics *Metrics) (*Meter, error) {
	meter := provider.Meter("github.com/countersign-io/countersign")
	histogram := func(name, description string) (metric.Float64Histogram, error) {
		return meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(operationBuckets...))
	}
	m := &Meter{provider: provider, metrics: metrics}
	var err error
	if m.server, err = histogram(
		"mcp.server.operation.duration", "From a request's arrival to the end of its answer.",
	); err != nil {
		return nil, fmt.Errorf("make a metric: %w", err)
	}
	if m.client, err = histogram(
		"mcp.client.operation.duration", "From a request's dispatch to the upstream to the end of its answer.",
	); err != nil {
		return nil, fmt.Errorf("make a metric: %w", err)
	}
	return m, nil
}

// Measured is one operation.
type Measured struct {
	Method, Tool, Prompt, ProtocolVersion, ErrorType string
	// Code is that of a JSON-RPC error, or 0.
	Code int
	// ServerAddress and ServerPort are the upstream's, for the client's side.
	ServerAddress string
	ServerPort    int
	Took          time.Duration
}

// Served measures an operation as the sidecar served it.
func (m *Meter) Served(ctx context.Context, o *Measured) {
	if m != nil {
		m.server.Record(ctx, o.Took.Seconds(), metric.WithAttributes(m.attributes(o)...))
	}
}

// Called measures an operation as the sidecar had it of the upstream.
func (m *Meter) Called(ctx context.Context, o *Measured) {
	if m != nil {
		m.client.Record(ctx, o.Took.Seconds(), metric.WithAttributes(append(m.attributes(o),
			attribute.String("server.address", o.ServerAddress), attribute.Int("server.port", o.ServerPort))...))
	}
}

// attributes take values from bounded sets only: names of tools are those that lists have
// shown.
func (m *Meter) attributes(o *Measured) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("mcp.method.name", o.Method), attribute.String("network.transport", "tcp"),
		attribute.String("network.protocol.name", "http"),
	}
	for _, optional := range [...]struct{ name, value string }{
		{"gen_ai.tool.name", m.metrics.tools.label(o.Tool)}, {"mcp.protocol.version", o.ProtocolVersion},
		{"error.type", o.ErrorType},
	} {
		if optional.value != "" {
			attributes = append(attributes, attribute.String(optional.name, optional.value))
		}
	}
	if o.Tool != "" {
		attributes = append(attributes, attribute.String("gen_ai.operation.name", "execute_tool"))
	}
	if o.Code != 0 {
		attributes = append(attributes, attribute.String("rpc.response.status_code", strconv.Itoa(o.Code)))
	}
	return attributes
}

// Shutdown sends what is left.
func (m *Meter) Shutdown(ctx context.Context) error {
	if m == nil {
		return nil
	}
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut the meter down: %w", err)
	}
	return nil
}
