package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/sessionid"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// recorder is a ResponseWriter that keeps nothing but what a check needs.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// benched is a server before an upstream that has one answer, and a caller's token.
type benched struct {
	server *proxy.Server
	token  string
}

func newBenched(b *testing.B, answer string) *benched {
	b.Helper()
	issuer := standin.NewIssuer()
	b.Cleanup(issuer.Close)
	sts := standin.NewSTS(issuer.URL, audience)
	b.Cleanup(sts.Close)
	b.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	b.Cleanup(upstream.Close)
	configs := liveconfig.NewStore(liveconfig.Options{})
	b.Cleanup(configs.Close)
	bb := &bed{issuer: issuer}
	if err := configs.Load(authconfig.Files{
		"auth-config.yaml": bb.config(upstream.URL+"/mcp", &bedOptions{}), "tools.cedar": toolPolicies,
	}); err != nil {
		b.Fatal(err)
	}
	return &benched{
		server: proxy.New(proxy.Options{
			Configs: configs, Metrics: telemetry.NewMetrics(), Audit: audit.NewLog(io.Discard), LoopbackOnly: true,
			SessionKeys: sessionid.NewKeys(),
		}),
		token: issuer.Token(map[string]any{"sub": "alice", "aud": audience, "groups": []string{"s3-readers"}}),
	}
}

func (s *benched) post(b *testing.B, body string) {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/mcp", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	w := &recorder{header: http.Header{}}
	s.server.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
}

// BenchmarkPipeline is everything that one tools/call costs inside the sidecar
// but the two HTTP hops: take a CPU profile of it before tuning.
func BenchmarkPipeline(b *testing.B) {
	text := strings.Repeat("x", 64)
	s := newBenched(b, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`+text+`"}]}}`)
	body := callTool(1, "echo", `{"text":"`+text+`"}`)
	b.ReportAllocs()
	for b.Loop() {
		s.post(b, body)
	}
}

// BenchmarkListOfTools filters lists of few and many tools.
func BenchmarkListOfTools(b *testing.B) {
	for _, tools := range []int{10, 10_000} {
		b.Run(fmt.Sprint(tools), func(b *testing.B) {
			var list []string
			for n := range tools {
				list = append(list, fmt.Sprintf(
					`{"name":"tool-%d","description":"does what tool %d does","inputSchema":{"type":"object"}}`, n, n,
				))
			}
			s := newBenched(b, `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+strings.Join(list, ",")+`]}}`)
			b.ReportAllocs()
			for b.Loop() {
				s.post(b, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			}
		})
	}
}
