package telemetry

import (
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestASpanContinuesTheCallersTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), propagation.TraceContext{})
	header := http.Header{}
	_, span := tracer.Start(t.Context(), &Operation{
		Method: "tools/call", Tool: "echo", RequestID: "1", SessionID: "s", ProtocolVersion: "2025-11-25",
		ServerAddress: "aws-mcp.us-east-1.api.aws", ServerPort: 443, TraceParent: parent,
	}, header)
	span.End(502, "upstream")
	if span.TraceID() != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("trace %s", span.TraceID())
	}
	if got := header.Get("Traceparent"); got == parent || TraceID(got) != span.TraceID() {
		t.Errorf("upstream gets %q", got)
	}
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Name() != "tools/call echo" {
		t.Fatalf("spans %v", ended)
	}
	attributes := map[string]string{}
	for _, a := range ended[0].Attributes() {
		attributes[string(a.Key)] = a.Value.String()
	}
	for name, want := range map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "echo", "gen_ai.operation.name": "execute_tool", "mcp.session.id": "s",
		"mcp.protocol.version": "2025-11-25", "jsonrpc.request.id": "1", "server.address": "aws-mcp.us-east-1.api.aws", "server.port": "443", "error.type": "upstream",
	} {
		if attributes[name] != want {
			t.Errorf("%s is %q, want %q", name, attributes[name], want)
		}
	}
}

func TestWithoutAnEndpointThereIsNoTracer(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, err := NewTracer(t.Context())
	if err != nil || tracer != nil {
		t.Fatal(tracer, err)
	}
	ctx, span := tracer.Start(t.Context(), &Operation{}, http.Header{})
	span.End(200, "")
	if ctx != t.Context() || span.TraceID() != "" || tracer.Shutdown(t.Context()) != nil {
		t.Error("a nil tracer does something")
	}
}

func TestTraceIDReadsOnlyWellFormedParents(t *testing.T) {
	for text, want := range map[string]string{
		parent: "4bf92f3577b34da6a3ce929d0e0e4736", "": "", "00-zz": "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "", "00-4bf92f3577b34da6a3ce929d0e0e47\n6-00f067aa0ba902b7-01": "",
	} {
		if got := TraceID(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestLabelsStayBounded(t *testing.T) {
	var k knownTools
	for i := range 2 * maxTools {
		k.add(string(rune('a'+i%26)) + string(rune(i)))
	}
	if len(k.names) != maxTools || k.label("never listed") != Other {
		t.Errorf("%d names", len(k.names))
	}
}

func TestTheVariablesOfOpenTelemetryAreHeeded(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		traces bool
		err    string
	}{
		"an endpoint":                 {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		"an exporter and no endpoint": {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none beside an endpoint":     {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"grpc":                        {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		"the SDK turned off":          {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, ""},
		"an exporter of another kind": {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER: "zipkin" is not supported`},
		"another protocol":            {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, false, `"http/json" is not supported`},
		"an unknown propagator":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_PROPAGATORS": "tracecontext,made-up"}, false, "OTEL_PROPAGATORS"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER",
				"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_PROPAGATORS", "OTEL_SDK_DISABLED"} {
				t.Setenv(variable, c.env[variable])
			}
			tracer, err := NewTracer(t.Context())
			if (tracer != nil) != c.traces || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, %v", tracer, err)
			}
		})
	}
}

func TestTracesAreContinuedInTheFormThatIsAskedFor(t *testing.T) {
	propagator, err := newPropagator("b3")
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewSpanRecorder()
	tracer := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), propagator)
	upstream := http.Header{}
	_, span := tracer.Start(t.Context(), &Operation{
		Method: "ping", Incoming: http.Header{"B3": {"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}},
	}, upstream)
	if span.TraceID() != "4bf92f3577b34da6a3ce929d0e0e4736" || !strings.HasPrefix(upstream.Get("B3"), span.TraceID()) {
		t.Errorf("trace %s, upstream %v", span.TraceID(), upstream)
	}
}
