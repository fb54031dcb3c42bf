// Package monitoring tries the chart's alerts and dashboard with Prometheus' own engine: each alert on series that should and should not
// raise it, each panel on what a real sidecar gives.
package monitoring

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/countersign-io/countersign/e2e/standin"
)

const (
	rulesFile     = "../../manifests/chart/files/rules.yaml"
	testsFile     = "rules_test.yaml"
	dashboardFile = "../../manifests/chart/files/dashboard.json"
	runbooks      = "../../docs/runbooks.md"
)

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

func load(t *testing.T, series string) *promqltest.LazyLoader {
	t.Helper()
	loader, err := promqltest.NewLazyLoader("load 1m\n"+series, promqltest.LazyLoaderOpts{
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: newParser(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = loader.Close() })
	return loader
}

func TestEachAlertFiresWhenItShouldAndNotOtherwise(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Fatal("PROMTOOL must name promtool; `make monitoring` builds it")
	}
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", testsFile).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, output)
	}
	tests, err := os.ReadFile(testsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range alerts(t) {
		for _, name := range []string{rule.Alert + " should fire", rule.Alert + " should not fire"} {
			if !strings.Contains(string(tests), "- name: "+name+"\n") {
				t.Errorf("there is no test %q in %s", name, testsFile)
			}
		}
	}
}

func alerts(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation, newParser(), promslog.NewNopLogger())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func TestEveryAlertHasItsRunbook(t *testing.T) {
	text, err := os.ReadFile(runbooks)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range alerts(t) {
		if !strings.Contains(string(text), "\n## "+rule.Alert+"\n") ||
			!strings.HasSuffix(rule.Annotations["runbook_url"], "#"+strings.ToLower(rule.Alert)) {
			t.Errorf("%s has no runbook", rule.Alert)
		}
	}
}

const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp, scripts: [{tool: aws___run_script, argument: code}]}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
  authorization: {toolDrift: warn}
`

// realRun gives the metrics of a sidecar after calls of every kind, as series that grow by what happened in each minute.
func realRun(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("SIDECAR")
	if binary == "" {
		t.Fatal("SIDECAR must name the binary; `make monitoring` does")
	}
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	sts := standin.NewSTS(issuer.URL, "aud")
	t.Cleanup(sts.Close)
	aws := standin.NewMCPServer(standin.MCPOptions{STS: sts, Stateless: true, JSON: true})
	t.Cleanup(aws.Close)
	process, err := standin.StartSidecar(t.Context(), binary, t.TempDir(), map[string]string{
		"auth-config.yaml": fmt.Sprintf(config, aws.URL, issuer.URL), "tools.lock": `{"version": 1, "upstreams": {"aws": {}}}`,
		"p.cedar": `permit (principal, action in [MCP::Action::"echo", MCP::Action::"aws___run_script"], resource);`,
	}, "AWS_ENDPOINT_URL_STS="+sts.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Stop() })
	token := issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"count","arguments":{"to":1}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"aws___run_script","arguments":{"code":"await call_boto3(service_name='s3', operation_name='ListBuckets')"}}}`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, process.URL+"/mcp", strings.NewReader(body))
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
		_ = response.Body.Close()
	}
	families, err := standin.Metrics(process.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var series strings.Builder
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			write(&series, name, family.GetType(), metric)
		}
	}
	return series.String()
}

func write(to *strings.Builder, name string, kind dto.MetricType, metric *dto.Metric) {
	pairs := []string{`namespace="agents"`, `pod="agent-1"`}
	for _, l := range metric.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	line := func(suffix string, value float64, more ...string) {
		grows := fmt.Sprintf("%g+%gx20", value, value)
		if kind == dto.MetricType_GAUGE {
			grows = fmt.Sprintf("%gx20", value)
		}
		fmt.Fprintf(to, "  %s%s{%s} %s\n", name, suffix, strings.Join(append(pairs[:len(pairs):len(pairs)], more...), ","), grows)
	}
	switch kind {
	case dto.MetricType_COUNTER:
		line("", metric.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		line("", metric.GetGauge().GetValue())
	case dto.MetricType_HISTOGRAM:
		h := metric.GetHistogram()
		line("_count", float64(h.GetSampleCount()))
		line("_sum", h.GetSampleSum())
		for _, bucket := range h.GetBucket() {
			if !math.IsInf(bucket.GetUpperBound(), 1) {
				line("_bucket", float64(bucket.GetCumulativeCount()), fmt.Sprintf(`le="%g"`, bucket.GetUpperBound()))
			}
		}
		line("_bucket", float64(h.GetSampleCount()), `le="+Inf"`)
	default:
	}
}

func TestEveryPanelAnswersOnWhatARealSidecarGives(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil || len(dashboard.Panels) < 10 {
		t.Fatalf("%d panels, %v", len(dashboard.Panels), err)
	}
	loader := load(t, realRun(t))
	at := time.Unix(0, 0).UTC().Add(15 * time.Minute)
	loader.WithSamplesTill(at, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expression := strings.NewReplacer("$namespace", ".*", "$pod", ".*").Replace(target.Expr)
			query, err := loader.QueryEngine().NewInstantQuery(t.Context(), loader.Storage(), nil, expression, at)
			if err != nil {
				t.Errorf("%s: %v", panel.Title, err)
				continue
			}
			result := query.Exec(t.Context())
			vector, err := result.Vector()
			if err != nil || len(vector) == 0 {
				t.Errorf("%s: %s answers nothing (%v)", panel.Title, expression, err)
			}
			query.Close()
		}
	}
}
