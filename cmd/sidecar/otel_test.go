package main_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/countersign-io/countersign/e2e/standin"
)

// collector takes what OTLP sends, as the official one would: over HTTP and gRPC.
type collector struct {
	collectortrace.UnimplementedTraceServiceServer

	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics map[string]*metricspb.Metric
}

func (c *collector) Export(_ context.Context, r *collectortrace.ExportTraceServiceRequest) (*collectortrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectortrace.ExportTraceServiceResponse{}, nil
}

func (c *collector) takeMetrics(r *collectormetrics.ExportMetricsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				c.metrics[metric.GetName()] = metric
			}
		}
	}
}

type metricsService struct {
	collectormetrics.UnimplementedMetricsServiceServer
	*collector
}

func (s metricsService) Export(_ context.Context, r *collectormetrics.ExportMetricsServiceRequest) (*collectormetrics.ExportMetricsServiceResponse, error) {
	s.takeMetrics(r)
	return &collectormetrics.ExportMetricsServiceResponse{}, nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/v1/traces":
		var request collectortrace.ExportTraceServiceRequest
		if proto.Unmarshal(body, &request) == nil {
			_, _ = c.Export(r.Context(), &request)
		}
	case "/v1/metrics":
		var request collectormetrics.ExportMetricsServiceRequest
		if proto.Unmarshal(body, &request) == nil {
			c.takeMetrics(&request)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// startCollector gives its address for the protocol.
func startCollector(t *testing.T, protocol string) (*collector, string) {
	t.Helper()
	c := &collector{metrics: map[string]*metricspb.Metric{}}
	if protocol == "http/protobuf" {
		server := httptest.NewServer(c)
		t.Cleanup(server.Close)
		return c, server.URL
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collectortrace.RegisterTraceServiceServer(server, c)
	collectormetrics.RegisterMetricsServiceServer(server, metricsService{collector: c})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return c, "http://" + listener.Addr().String()
}

func attributesOf(list []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range list {
		if text := a.GetValue().GetStringValue(); text != "" {
			all[a.GetKey()] = text
		} else {
			all[a.GetKey()] = fmt.Sprint(a.GetValue().GetIntValue())
		}
	}
	return all
}

// span finds one by its kind and an attribute.
func (c *collector) span(t *testing.T, kind tracepb.Span_SpanKind, name, key, value string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.GetKind() == kind && s.GetName() == name && (key == "" || attributesOf(s.GetAttributes())[key] == value) {
			return s
		}
	}
	var names []string
	for _, s := range c.spans {
		names = append(names, fmt.Sprintf("%s %s %v", s.GetKind(), s.GetName(), attributesOf(s.GetAttributes())))
	}
	t.Fatalf("no span %s %s %s=%s in\n%s", kind, name, key, value, strings.Join(names, "\n"))
	return nil
}

// tellingUpstream answers, and keeps what it was sent.
type tellingUpstream struct {
	mu      sync.Mutex
	headers http.Header
	body    string
}

func (u *tellingUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	u.mu.Lock()
	u.headers, u.body = r.Header.Clone(), string(body)
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.Contains(u.body, `"broken"`):
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`)
	case strings.Contains(u.body, `"failing"`):
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`)
	default:
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}
}

const callersParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestOthersToolsSeeEveryCallAndWhyItWasDenied(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			s := newScene(t)
			upstream := &tellingUpstream{}
			server := httptest.NewServer(upstream)
			t.Cleanup(server.Close)
			c, endpoint := startCollector(t, protocol)
			s.startBefore(t, server.URL+"/mcp", `permit(principal, action in [MCP::Action::"fine", MCP::Action::"failing", MCP::Action::"broken"], resource);`,
				"OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "COUNTERSIGN_POD_NAME=agent-1")
			post := func(token, tool string) {
				t.Helper()
				body := fmt.Sprintf(`{"jsonrpc":"2.0","id":"a\u0041","method":"tools/call","params":{"name":%q,"_meta":{"traceparent":%q}}}`, tool, callersParent)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.process.URL+"/mcp", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + token} {
					r.Header.Set(name, value)
				}
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			post(s.token, "fine")
			sent, sentHeader := upstream.body, upstream.headers.Get("Traceparent")
			post(s.token, "failing")
			post(s.token, "broken")
			post(s.token, "forbidden")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.process.URL+"/mcp", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Traceparent", callersParent)
			r.Header.Set("Authorization", "Bearer nobody's")
			if response, err := http.DefaultClient.Do(r); err != nil || response.StatusCode != http.StatusUnauthorized {
				t.Fatal(response, err)
			}
			http.DefaultClient.CloseIdleConnections()
			if err := s.process.Stop(); err != nil {
				t.Fatal(err)
			}
			t.Run("a call is a server's span in the caller's trace, with the steps and the upstream below", func(t *testing.T) {
				served := c.span(t, tracepb.Span_SPAN_KIND_SERVER, "tools/call fine", "", "")
				if got := hex.EncodeToString(served.GetTraceId()); got != callersParent[3:35] {
					t.Errorf("trace %s", got)
				}
				for key, want := range map[string]string{
					"mcp.method.name": "tools/call", "gen_ai.tool.name": "fine", "gen_ai.operation.name": "execute_tool", "jsonrpc.request.id": "aA",
					"network.transport": "tcp", "countersign.decision": "allow", "countersign.role": "arn:aws:iam::123456789012:role/F",
				} {
					if got := attributesOf(served.GetAttributes())[key]; got != want {
						t.Errorf("%s is %q, want %q", key, got, want)
					}
				}
				if hash := attributesOf(served.GetAttributes())["countersign.caller.hash"]; len(hash) != 16 {
					t.Errorf("the caller's hash is %q", hash)
				}
				for _, name := range []string{"identify", "authorize", "exchange"} {
					below(t, served, c.span(t, tracepb.Span_SPAN_KIND_INTERNAL, name, "", ""))
				}
				called := c.span(t, tracepb.Span_SPAN_KIND_CLIENT, "tools/call fine", "server.address", "127.0.0.1")
				below(t, served, called)
				// The upstream finds its parent in params._meta, and in the header.
				want := "00-" + callersParent[3:35] + "-" + hex.EncodeToString(called.GetSpanId()) + "-01"
				var message struct {
					Params struct {
						Meta map[string]string `json:"_meta"`
					} `json:"params"`
				}
				if err := json.Unmarshal([]byte(sent), &message); err != nil || message.Params.Meta["traceparent"] != want || sentHeader != want {
					t.Errorf("the upstream got %s and the header %s, want %s", sent, sentHeader, want)
				}
			})
			t.Run("failures and denials are told", func(t *testing.T) {
				for _, w := range []struct{ name, errorType, code, decision, reason string }{
					{"tools/call failing", "tool_error", "", "allow", ""},
					{"tools/call broken", "-32000", "-32000", "allow", ""},
					{"tools/call forbidden", "40300", "40300", "deny", "policy"},
				} {
					attributes := attributesOf(c.span(t, tracepb.Span_SPAN_KIND_SERVER, w.name, "", "").GetAttributes())
					if attributes["error.type"] != w.errorType || attributes["rpc.response.status_code"] != w.code ||
						attributes["countersign.decision"] != w.decision || attributes["countersign.reason"] != w.reason {
						t.Errorf("%s: %v", w.name, attributes)
					}
				}
			})
			t.Run("a refused token has a span of its own, not in the trace that it names", func(t *testing.T) {
				refused := c.span(t, tracepb.Span_SPAN_KIND_SERVER, "POST", "error.type", "401")
				if got := hex.EncodeToString(refused.GetTraceId()); got == callersParent[3:35] || len(refused.GetLinks()) != 1 {
					t.Errorf("trace %s, links %v", got, refused.GetLinks())
				}
			})
			t.Run("metrics are sent", func(t *testing.T) {
				for _, name := range []string{"mcp.server.operation.duration", "mcp.client.operation.duration", "countersign_decisions_total"} {
					if c.metrics[name] == nil {
						t.Errorf("no %s", name)
					}
				}
				points := c.metrics["mcp.server.operation.duration"].GetHistogram().GetDataPoints()
				kinds := map[string]bool{}
				for _, p := range points {
					kinds[attributesOf(p.GetAttributes())["error.type"]] = true
				}
				if !kinds["tool_error"] || !kinds["40300"] || !kinds[""] || c.metrics["mcp.server.operation.duration"].GetUnit() != "s" {
					t.Errorf("%v", kinds)
				}
			})
		})
	}
}

func below(t *testing.T, parent, child *tracepb.Span) {
	t.Helper()
	if string(child.GetParentSpanId()) != string(parent.GetSpanId()) {
		t.Errorf("%s is not below %s", child.GetName(), parent.GetName())
	}
}

func TestTheTimesOfRequestsCarryTheirTracesAsExemplars(t *testing.T) {
	s := newScene(t)
	_, endpoint := startCollector(t, "http/protobuf")
	upstream := standin.NewMCPServer(standin.MCPOptions{STS: s.sts, Stateless: true, JSON: true})
	t.Cleanup(upstream.Close)
	s.startBefore(t, upstream.URL, `permit(principal, action, resource);`, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
	defer func() { _ = s.process.Stop() }()
	s.call(t, "echo")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.process.Admin+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil && strings.Contains(string(text), `# {trace_id="`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no exemplar: %s", text)
		}
	}
}
