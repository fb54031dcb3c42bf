package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/sessionid"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const audience = "countersign"

// bed is a sidecar between a client and the stand-ins, all over real HTTP.
type bed struct {
	t        *testing.T
	issuer   *standin.Issuer
	sts      *standin.STS
	upstream *standin.MCPServer
	configs  *liveconfig.Store
	server   *proxy.Server
	measured *telemetry.Metrics
	front    *httptest.Server
	url      string
	audit    *lines
	files    authconfig.Files
}

type bedOptions struct {
	mcp standin.MCPOptions
	// upstreamURL replaces the MCP stand-in.
	upstreamURL string
	// spec is appended to the auth-config's spec.
	spec string
	// files are further keys.
	files map[string]string
	// source is serviceAccount when set.
	serviceAccount bool
	requiredScope  string
	sts            func(*standin.STS)
	// upstream is appended to the upstream's fields, oidc to those of oidc.
	upstream string
	oidc     string
	// sessionKey is the file of --session-key; issuer is another bed's.
	sessionKey string
	// dial replaces how upstreams are connected to.
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	issuer *standin.Issuer
	// credential is the file of --exchange-credential.
	credential string
}

const rolesYAML = `
    fallbackRoleArn: arn:aws:iam::123456789012:role/Fallback
    roleMappings:
    - {claim: s3-readers, roleArn: "arn:aws:iam::123456789012:role/S3Read", priority: 10}
    - {matcher: '"admins" in claims["groups"] && claims["org"] == "engineering"', roleArn: "arn:aws:iam::123456789012:role/Admin", priority: 1}
`

func newBed(t *testing.T, o bedOptions) *bed {
	t.Helper()
	b := &bed{t: t, audit: &lines{}}
	if b.issuer = o.issuer; b.issuer == nil {
		b.issuer = standin.NewIssuer()
		t.Cleanup(b.issuer.Close)
	}
	b.sts = standin.NewSTS(b.issuer.URL, audience)
	t.Cleanup(b.sts.Close)
	if o.sts != nil {
		o.sts(b.sts)
	}
	t.Setenv("AWS_ENDPOINT_URL_STS", b.sts.URL)
	target := o.upstreamURL
	if target == "" {
		o.mcp.STS = b.sts
		b.upstream = standin.NewMCPServer(o.mcp)
		t.Cleanup(b.upstream.Close)
		target = b.upstream.URL
	}
	b.files = authconfig.Files{"auth-config.yaml": b.config(target, &o)}
	for name, text := range o.files {
		b.files[name] = text
	}
	tokenFile := t.TempDir() + "/token"
	if o.serviceAccount {
		token := b.issuer.Token(map[string]any{"sub": "system:serviceaccount:agents:demo", "aud": audience})
		if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.measured = telemetry.NewMetrics()
	b.configs = liveconfig.NewStore(liveconfig.Options{
		ServiceAccountToken: tokenFile, DialContext: o.dial, ExchangeCredential: o.credential, ExchangeObserver: b.measured,
	})
	if err := b.configs.Load(b.files); err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(b.configs.Close)
	b.server = proxy.New(proxy.Options{
		Configs: b.configs, Metrics: b.measured, Audit: audit.NewLog(b.audit), LoopbackOnly: true,
		SessionKeys: sessionKeys(t, o.sessionKey),
	})
	t.Cleanup(b.server.EndStreams)
	b.front = httptest.NewServer(b.server)
	t.Cleanup(func() {
		b.front.CloseClientConnections()
		b.front.Close()
	})
	b.url = b.front.URL + "/mcp"
	return b
}

func sessionKeys(t *testing.T, path string) *sessionid.Keys {
	if path == "" {
		return sessionid.NewKeys()
	}
	keys, err := sessionid.OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (b *bed) config(target string, o *bedOptions) string {
	identity := fmt.Sprintf("{source: bearer, oidc: {issuer: %q, audience: %s%s}}", b.issuer.URL, audience, o.oidc)
	if o.requiredScope != "" {
		identity = fmt.Sprintf("{source: bearer, oidc: {issuer: %q, audience: %s, requiredScopes: [%s]}}", b.issuer.URL, audience, o.requiredScope)
	}
	if o.serviceAccount {
		identity = "{source: serviceAccount}"
	}
	return fmt.Sprintf(`apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: %q, region: us-east-1, service: aws-mcp%s}
  identity: %s
  awsSts:
    region: us-east-1%s%s`, target, o.upstream, identity, rolesYAML, o.spec)
}

func (b *bed) token(subject string, claims map[string]any) string {
	all := map[string]any{"sub": subject, "aud": audience}
	for name, value := range claims {
		all[name] = value
	}
	return b.issuer.Token(all)
}

// answer is what a plain HTTP client sees.
type answer struct {
	status int
	header http.Header
	body   string
	// closes is set where the answer ends its connection.
	closes bool
}

func (a answer) rpcError(t *testing.T) (code int, message, reason string) {
	t.Helper()
	var m struct {
		Error struct {
			Code    int
			Message string
			Data    struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("the body is no JSON-RPC error: %v: %s", err, a.body)
	}
	return m.Error.Code, m.Error.Message, m.Error.Data.Reason
}

type edit func(*http.Request)

func withHeader(name, value string) edit {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func (b *bed) post(token, body string, edits ...edit) answer {
	b.t.Helper()
	return b.do(http.MethodPost, token, body, edits...)
}

func (b *bed) do(method, token, body string, edits ...edit) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	for _, e := range edits {
		e(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text), response.Close}
}

func callTool(id int, name, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, id, name, arguments)
}

// whoAmI are the arguments of a script that tells the role session.
const whoAmI = `{"code":"me = await call_boto3(service_name=\"sts\", operation_name=\"GetCallerIdentity\")\nme[\"Arn\"]"}`

// client is a go-sdk client that carries a token.
func (b *bed) client(token string, options *mcp.ClientOptions) *mcp.ClientSession {
	b.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(b.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: b.url, HTTPClient: &http.Client{Transport: bearerTransport(token)}, DisableStandaloneSSE: true, MaxRetries: -1,
	}, nil)
	if err != nil {
		b.t.Fatalf("connect: %v", err)
	}
	b.t.Cleanup(func() { _ = session.Close() })
	return session
}

type bearerTransport string

func (t bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if t != "" {
		r.Header.Set("Authorization", "Bearer "+string(t))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func callText(t *testing.T, session *mcp.ClientSession, name string, arguments any) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	if len(result.Content) != 1 {
		t.Fatalf("content: %v", result.Content)
	}
	return result.Content[0].(*mcp.TextContent).Text, nil
}

func toolNames(t *testing.T, session *mcp.ClientSession) []string {
	t.Helper()
	result, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatalf("list tools: %v", err)
	}
	var names []string
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// lines collects decision records.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) records(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var records []map[string]any
	for line := range strings.Lines(l.text.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("not a JSON line: %v: %s", err, line)
		}
		records = append(records, record)
	}
	return records
}

// eventually gives records the moment that their answer needs to arrive.
func (l *lines) last(t *testing.T, count int) []map[string]any {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		records := l.records(t)
		if len(records) >= count {
			return records[len(records)-count:]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records, want %d", len(records), count)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bed) metrics() string {
	recorder := httptest.NewRecorder()
	b.measured.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return recorder.Body.String()
}
