package telemetry

import (
	"net/http"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestASpanContinuesTheCallersTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := newTracer(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
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
