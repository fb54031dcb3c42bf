package proxy_test

import (
	"bytes"
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

// BenchmarkPipeline is everything that one tools/call costs inside the sidecar
// but the two HTTP hops: take a CPU profile of it before tuning.
func BenchmarkPipeline(b *testing.B) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	sts := standin.NewSTS(issuer.URL, audience)
	defer sts.Close()
	b.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`+strings.Repeat("x", 64)+`"}]}}`)
	}))
	defer upstream.Close()
	configs := liveconfig.NewStore(liveconfig.Options{})
	defer configs.Close()
	bb := &bed{issuer: issuer}
	files := authconfig.Files{"auth-config.yaml": bb.config(upstream.URL+"/mcp", &bedOptions{}), "tools.cedar": toolPolicies}
	if err := configs.Load(files); err != nil {
		b.Fatal(err)
	}
	server := proxy.New(proxy.Options{Configs: configs, Metrics: telemetry.NewMetrics(), Audit: audit.NewLog(io.Discard), LoopbackOnly: true, SessionKeys: sessionid.NewKeys()})
	token := issuer.Token(map[string]any{"sub": "alice", "aud": audience, "groups": []string{"s3-readers"}})
	body := []byte(callTool(1, "echo", `{"text":"`+strings.Repeat("x", 64)+`"}`))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/mcp", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		w := &recorder{header: http.Header{}}
		server.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}
