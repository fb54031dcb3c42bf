package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/compile"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sidecar-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "sidecar")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func config(upstream, issuer string) string {
	return fmt.Sprintf(`apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/F"}
`, upstream, issuer)
}

// scene is the binary between stand-ins.
type scene struct {
	issuer  *standin.Issuer
	sts     *standin.STS
	aws     *standin.MCPServer
	process *standin.Process
	dir     string
	token   string
	// binary is what is started.
	binary string
}

func start(t *testing.T, policies string) *scene {
	t.Helper()
	s := newScene(t)
	s.aws = standin.NewMCPServer(standin.MCPOptions{STS: s.sts, Stateless: true, JSON: true})
	t.Cleanup(s.aws.Close)
	s.startBefore(t, s.aws.URL, policies)
	return s
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{issuer: standin.NewIssuer(), dir: t.TempDir(), binary: binary}
	t.Cleanup(s.issuer.Close)
	s.sts = standin.NewSTS(s.issuer.URL, "aud")
	t.Cleanup(s.sts.Close)
	s.token = s.issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})
	return s
}

// startBefore starts the sidecar before an upstream.
func (s *scene) startBefore(t *testing.T, upstream, policies string, environment ...string) {
	t.Helper()
	environment = append(
		environment, "AWS_ENDPOINT_URL_STS="+s.sts.URL, "AWS_ACCESS_KEY_ID=AMBIENT", "AWS_SECRET_ACCESS_KEY=ambient",
	)
	var err error
	s.process, err = standin.StartSidecar(t.Context(), s.binary, s.dir, map[string]string{
		"auth-config.yaml": config(upstream, s.issuer.URL), "p.cedar": policies,
	}, environment...)
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) call(t *testing.T, tool string) string {
	t.Helper()
	arguments := map[string]string{"echo": `{"text":"hello"}`, "count": `{"to":1}`}[tool]
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.process.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+s.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statusOf is /status as the operator sees it.
func statusOf(t *testing.T, p *standin.Process) string {
	t.Helper()
	code, text, err := p.Ask("/status", "")
	if err != nil || code != http.StatusOK {
		t.Fatalf("/status: %d, %v", code, err)
	}
	return text
}

func TestASilentConnectionDoesNotHoldUpTheStop(t *testing.T) {
	s := start(t, `permit(principal, action, resource);`)
	silent, err := net.Dial("tcp", strings.TrimPrefix(s.process.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s.call(t, "echo") // it has been accepted by now
	http.DefaultClient.CloseIdleConnections()
	begun := time.Now()
	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	// net/http alone waits 5 s.
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("the stop took %v", took)
	}
}

func TestTheBinaryServesReloadsAndStops(t *testing.T) {
	s := start(t, `permit(principal, action == MCP::Action::"echo", resource);`)
	if got := s.call(t, "echo"); !strings.Contains(got, "hello") {
		t.Fatal(got)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "countersign_sts_exchanges_total{result=\"success\"} 1", "/status": `"policies":1`} {
		if got := get(t, s.process.Admin+path); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	reload := func(policies, want string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, "p.cedar"), []byte(policies), 0o600); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for !strings.Contains(statusOf(t, s.process), want) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s within 5 s: %s", want, statusOf(t, s.process))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	reload(`permit(principal, action == MCP::Action::"count", resource); permit(principal, action == MCP::Action::"x", resource);`, `"policies":2`)
	if got := s.call(t, "echo"); !strings.Contains(got, "not allowed") {
		t.Error(got)
	}
	reload("permit(", `"refused":"invalid auth-config: p.cedar: 1:`)
	if got := s.call(t, "count"); !strings.Contains(got, "counted") {
		t.Error(got)
	}
	if err := s.process.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if s.sts.Asked() != 1 || s.aws.Refused.Load() != 0 {
		t.Errorf("%d exchanges, %d bad signatures", s.sts.Asked(), s.aws.Refused.Load())
	}
	if strings.Count(s.process.Audit(), "\n") != 3 {
		t.Errorf("audit:\n%s", s.process.Audit())
	}
	for _, text := range []string{s.process.Audit(), s.process.Log()} {
		if strings.Contains(text, "eyJ") || strings.Contains(text, "session-") {
			t.Error("a token or credential is in the output")
		}
	}
}

func TestARequestInFlightEndsBeforeTheBinaryDoes(t *testing.T) {
	s := start(t, `permit(principal, action, resource);`)
	s.call(t, "echo")
	s.aws.Faults.Set(standin.Fault{Latency: time.Second})
	done := make(chan string, 1)
	go func() { done <- s.call(t, "echo") }()
	time.Sleep(300 * time.Millisecond)
	if err := s.process.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case got := <-done:
		if !strings.Contains(got, "hello") {
			t.Error(got)
		}
	case <-time.After(5 * time.Second):
		t.Error("the request was lost")
	}
}

func run(t *testing.T, stdin string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, arguments...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func TestMistakesOnTheCommandLineAreNamed(t *testing.T) {
	good, workload := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{
		good:     config("https://aws-mcp.us-east-1.api.aws/mcp", "https://idp.example.com"),
		workload: strings.Replace(config("https://aws-mcp.us-east-1.api.aws/mcp", "https://x.example"), "source: bearer", "source: serviceAccount", 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, "auth-config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "auth-config.yaml"), []byte("kind: X\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		arguments []string
		want      string
	}{
		"no config":                     {[]string{"proxy"}, `required flag(s) "config" not set`},
		"a directory that is not there": {[]string{"proxy", "--config", "/nonexistent"}, "read auth-config directory"},
		"a bad config":                  {[]string{"proxy", "--config", bad, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, "spec.upstreams: needs at least one entry"},
		"a workload on the network":     {[]string{"proxy", "--config", workload, "--listen", ":0", "--admin", "127.0.0.1:0"}, "needs a loopback --listen address"},
		"a bad log level":               {[]string{"proxy", "--config", good, "--log-level", "loud"}, "--log-level"},
		"arguments without a tool":      {[]string{"explain", "--config", good, "--token", "-", "--arguments", "{}"}, "--arguments needs --tool"},
		"a bad output":                  {[]string{"explain", "--config", good, "--token", "-", "-o", "xml"}, "--output"},
		"a token that is not there":     {[]string{"explain", "--config", good, "--token", "/nonexistent"}, "--token"},
		"an unknown flag of explain":    {[]string{"explain", "--nonsense"}, "unknown flag"},
		"explain without a token":       {[]string{"explain", "--config", good}, `required flag(s) "token" not set`},
		"an unknown command":            {[]string{"inject"}, "unknown command"},
	} {
		_, stderr, code := run(t, "", c.arguments...)
		want := 1
		if c.arguments[0] == "explain" {
			want = 2 // nobody can tell
		}
		if code != want || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %s; want %d, %q", name, code, stderr, want, c.want)
		}
	}
}

func TestExplainReadsATokenFromStandardInput(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "auth-config.yaml"), []byte(config("https://aws-mcp.us-east-1.api.aws/mcp", issuer.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})+"\n", "explain", "--config", dir, "--token", "-", "--tool", "x", "-o", "json")
	if code != 0 || stderr != "Warning: "+compile.WithoutExchange+"\n" || !strings.Contains(stdout, `"accepted": true`) || !strings.Contains(stdout, `"role": "arn:aws:iam::123456789012:role/F"`) {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestExplainExitsWithItsAnswer(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"auth-config.yaml": config("https://aws-mcp.us-east-1.api.aws/mcp", issuer.URL),
		"p.cedar":          `permit(principal, action == MCP::Action::"read", resource);`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	claims := map[string]any{"sub": "alice", "aud": "aud"}
	expired := map[string]any{"sub": "alice", "aud": "aud", "exp": time.Now().Add(-time.Hour).Unix()}
	for name, c := range map[string]struct {
		token     string
		arguments []string
		want      int
	}{
		"a caller with a role":      {issuer.Token(claims), nil, 0},
		"a tool that is allowed":    {issuer.Token(claims), []string{"--tool", "read"}, 0},
		"a tool that is denied":     {issuer.Token(claims), []string{"--tool", "write"}, 3},
		"a token that is refused":   {issuer.Token(expired), nil, 4},
		"a refusal before a denial": {issuer.Token(expired), []string{"--tool", "write"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := append([]string{"explain", "--config", dir, "--token", "-"}, c.arguments...)
			if stdout, stderr, code := run(t, c.token, arguments...); code != c.want {
				t.Errorf("exit %d, want %d\n%s\n%s", code, c.want, stdout, stderr)
			}
		})
	}
	t.Run("an issuer that does not answer", func(t *testing.T) {
		token := issuer.Token(claims)
		issuer.Close()
		arguments := []string{"explain", "--config", dir, "--token", "-", "--tool", "read"}
		if stdout, stderr, code := run(t, token, arguments...); code != 2 {
			t.Errorf("exit %d, want 2\n%s\n%s", code, stdout, stderr)
		}
	})
}

func TestExplainReadsAScriptFromAFile(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	dir := t.TempDir()
	files := map[string]string{
		"auth-config.yaml": config("https://aws-mcp.us-east-1.api.aws/mcp", issuer.URL),
		"p.cedar":          `permit(principal, action == MCP::Action::"aws___run_script", resource) when { context has aws && context.aws.readOnly };`,
	}
	scripts := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token := issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})
	for name, c := range map[string]struct {
		file string
		code int
		want []string
	}{
		"a script that reads":    {`await call_boto3(service_name="s3", operation_name="ListBuckets")`, 0, []string{"aws___run_script allowed on aws", "Calls     s3:ListBuckets", "Sent with a session of its own", `"NotAction":["s3:ListAllMyBuckets"`}},
		"a script that writes":   {`await call_boto3(service_name="s3", operation_name="DeleteBucket")`, 3, []string{"aws___run_script DENIED on aws", "Levels    Write"}},
		"one that is not read":   {"x = 1\neval(x)", 3, []string{"NOT READABLE, line 2: the name eval"}},
		"arguments as JSON":      {`{"code": "await call_boto3(service_name='s3', operation_name='ListBuckets')"}`, 0, []string{"Calls     s3:ListBuckets"}},
		"another argument in it": {`{"code": "1", "x": 1}`, 3, []string{`NOT READABLE: the tool is not known to have the argument "x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(scripts, strings.ReplaceAll(name, " ", "_"))
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := run(t, token, "explain", "--config", dir, "--token", "-", "--tool", "aws___run_script", "--arguments", "@"+path)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
		})
	}
	if _, stderr, code := run(t, token, "explain", "--config", dir, "--token", "-", "--tool", "aws___run_script", "--arguments", "@/nonexistent"); code != 2 || !strings.Contains(stderr, "--arguments: open /nonexistent") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
