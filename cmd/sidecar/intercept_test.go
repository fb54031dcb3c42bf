package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/intercept"
)

// intercepted is the binary as mode hosts runs it: the upstream's name leads an
// app to 127.0.0.137, and the sidecar to the upstream.
type intercepted struct {
	scene
	port          string
	caDir, keyDir string
	files         map[string]string
}

func startIntercepted(t *testing.T) *intercepted {
	t.Helper()
	s := &intercepted{caDir: t.TempDir(), keyDir: t.TempDir()}
	s.dir = t.TempDir()
	s.issuer = standin.NewIssuer()
	t.Cleanup(s.issuer.Close)
	s.sts = standin.NewSTS(s.issuer.URL, "aud")
	t.Cleanup(s.sts.Close)
	s.aws = standin.NewUnservedMCPServer(standin.MCPOptions{STS: s.sts, Stateless: true, JSON: true})
	upstreamCA, err := intercept.OpenAuthority(t.TempDir(), []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewUnstartedServer(s.aws.Handler())
	upstream.TLS = &tls.Config{GetCertificate: upstreamCA.GetCertificate}
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	s.token = s.issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})
	_, s.port, _ = net.SplitHostPort(upstream.Listener.Addr().String())
	s.files = map[string]string{
		"auth-config.yaml": config("https://localhost:"+s.port+"/mcp", s.issuer.URL), "ca.pem": string(upstreamCA.PEM()),
		"p.cedar": `permit(principal, action == MCP::Action::"echo", resource);`,
	}
	s.run(t)
	return s
}

func (s *intercepted) run(t *testing.T) {
	t.Helper()
	var err error
	s.process, err = standin.StartSidecarWithFlags(t.Context(), binary, s.dir, s.files,
		[]string{"--tls-listen", "127.0.0.137:" + s.port, "--ca-dir", s.caDir, "--ca-key-dir", s.keyDir}, "AWS_ENDPOINT_URL_STS="+s.sts.URL)
	if err != nil {
		t.Fatal(err)
	}
}

// client is an app that was told where the name leads and whom to trust.
func (s *intercepted) client(t *testing.T) *http.Client {
	t.Helper()
	bundle, err := os.ReadFile(filepath.Join(s.caDir, "bundle.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.137:"+s.port)
		},
	}}
}

func (s *intercepted) post(t *testing.T, client *http.Client, path, host, tool string) (int, string, *http.Response) {
	t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"text":"hello"}}}`, tool)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost:"+s.port+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+s.token)
	if host != "" {
		r.Host = host
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer
}

func TestTheAppReachesItsUpstreamThroughTheSidecar(t *testing.T) {
	s := startIntercepted(t)
	client := s.client(t)
	status, text, answer := s.post(t, client, "/mcp", "", "echo")
	if status != http.StatusOK || !strings.Contains(text, "hello") || answer.ProtoMajor != 2 {
		t.Errorf("%d %s %s", status, answer.Proto, text)
	}
	if _, text, _ := s.post(t, client, "/mcp", "", "count"); !strings.Contains(text, `"reason":"policy"`) {
		t.Errorf("a denied tool: %s", text)
	}
	if status, _, _ := s.post(t, client, "/other", "", "echo"); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	if status, _, _ := s.post(t, client, "/aws/mcp", "", "echo"); status != http.StatusNotFound {
		t.Errorf("a path of the plain listener: %d", status)
	}
	for _, host := range []string{"example.com", "localhost", "localhost:1", "127.0.0.1:" + s.port} {
		if status, _, _ := s.post(t, client, "/mcp", host, "echo"); status != http.StatusMisdirectedRequest {
			t.Errorf("Host %s: %d", host, status)
		}
	}
	if s.aws.Verified.Load() != 1 || s.aws.Refused.Load() != 0 {
		t.Errorf("the upstream saw %d good and %d bad signatures", s.aws.Verified.Load(), s.aws.Refused.Load())
	}
}

func TestA401NamesTheURLThatTheClientCalled(t *testing.T) {
	s := startIntercepted(t)
	client := s.client(t)
	s.token = "none"
	status, _, answer := s.post(t, client, "/mcp", "", "echo")
	want := `resource_metadata="https://localhost:` + s.port + `/.well-known/oauth-protected-resource/mcp"`
	if status != http.StatusUnauthorized || !strings.Contains(answer.Header.Get("WWW-Authenticate"), want) {
		t.Fatalf("%d %q", status, answer.Header.Get("WWW-Authenticate"))
	}
	metadata, err := client.Get("https://localhost:" + s.port + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Body.Close()
	if text, _ := io.ReadAll(metadata.Body); !strings.Contains(string(text), `"resource":"https://localhost:`+s.port+`/mcp"`) {
		t.Errorf("metadata: %s", text)
	}
}

func TestARestartedSidecarIsStillTrusted(t *testing.T) {
	s := startIntercepted(t)
	client := s.client(t)
	s.post(t, client, "/mcp", "", "echo")
	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	s.run(t)
	client.CloseIdleConnections()
	// The app read its roots once, before.
	if status, text, _ := s.post(t, client, "/mcp", "", "echo"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
}

func TestAReloadThatNeedsANewPodIsRefusedAndSaysSo(t *testing.T) {
	s := startIntercepted(t)
	changed := strings.Replace(s.files["auth-config.yaml"], "https://localhost:", "https://other.example.com:", 1)
	if err := os.WriteFile(filepath.Join(s.dir, "auth-config.yaml"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "the upstreams' host names cannot change while the sidecar runs; a new Pod is needed"
	for end := time.Now().Add(10 * time.Second); !strings.Contains(statusOf(t, s.process), want); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("status: %s", statusOf(t, s.process))
		}
	}
	if status, _, _ := s.post(t, s.client(t), "/mcp", "", "echo"); status != http.StatusOK {
		t.Errorf("the last good auth-config is not in use: %d", status)
	}
}

func TestARestartWithAnAuthConfigThatNeedsANewPodIsRefused(t *testing.T) {
	s := startIntercepted(t)
	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	account := strings.Replace(s.files["auth-config.yaml"], "source: bearer", "source: serviceAccount", 1)
	_, err := standin.StartSidecarWithFlags(t.Context(), binary, s.dir, map[string]string{"auth-config.yaml": account},
		[]string{"--tls-listen", "127.0.0.137:" + s.port, "--ca-dir", s.caDir, "--ca-key-dir", s.keyDir})
	if err == nil || !strings.Contains(err.Error(), "a new Pod is needed") {
		t.Errorf("got %v", err)
	}
}

func TestAServiceAccountIsNotLentToTheNetwork(t *testing.T) {
	for _, flags := range [][]string{{"--tls-listen", "0.0.0.0:0"}, {"--tls-listen", ":0"}, {"--redirect-listen", "0.0.0.0:0"}} {
		dir := t.TempDir()
		account := strings.Replace(config("https://localhost:1/mcp", "https://issuer.example.com"), "source: bearer", "source: serviceAccount", 1)
		_, err := standin.StartSidecarWithFlags(t.Context(), binary, dir, map[string]string{"auth-config.yaml": account},
			append(flags, "--ca-dir", t.TempDir(), "--ca-key-dir", t.TempDir()))
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%v: %v", flags, err)
		}
	}
}

func TestANewRootOfTheConfigReachesTheBundle(t *testing.T) {
	s := startIntercepted(t)
	more, err := intercept.OpenAuthority(t.TempDir(), []string{"idp.internal"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "ca.pem"), []byte(s.files["ca.pem"]+string(more.PEM())), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		bundle, err := os.ReadFile(filepath.Join(s.caDir, "bundle.crt"))
		if err == nil && strings.Contains(string(bundle), string(more.PEM())) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it does not")
		}
	}
}

func TestRedirectToNoPortIsRefused(t *testing.T) {
	for flag, want := range map[string]string{"--to=0": "--to: 0 is not a port", "--to=1": "--ports: 0 is not a port"} {
		// With a port that is none, nothing is written whatever the other says.
		output, err := exec.CommandContext(t.Context(), binary, "redirect", "--ports=0", flag).CombinedOutput()
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v: %s", flag, err, output)
		}
	}
}
