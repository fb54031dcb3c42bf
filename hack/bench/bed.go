package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

// Roles of processes that the benchmark starts.
const (
	roleUpstream = "upstream"
	roleSignOnly = "sign-only"
	roleRelay    = "relay"
)

// containerMemory is what the runtime would take from the memory limit of the injected
// container, 128 MiB.
const containerMemory = "GOMEMLIMIT=90MiB"

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: %q, region: us-east-1, service: aws-mcp}
  identity: {source: bearer, oidc: {issuer: %q, audience: countersign}}
  awsSts:
    region: us-east-1
    roleMappings:
`

const twoMappings = `
    - {matcher: '"admins" in claims["groups"]', roleArn: "arn:aws:iam::123456789012:role/Admin", priority: 1}
    - {claim: s3-readers, roleArn: "arn:aws:iam::123456789012:role/S3Read", priority: 10}
`

const policies = `
@id("readers") permit (principal in MCP::Group::"s3-readers", action == MCP::Action::"echo", resource)
when { context.input has text && context.input.text like "x*" };
@id("admins") permit (principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
@id("no-deletes") forbid (principal, action == MCP::Action::"aws___get_presigned_url", resource)
unless { principal.hasTag("dept") && principal.getTag("dept").contains("storage") };
@id("docs") permit (principal, action == MCP::Action::"ReadResource", resource)
when { resource.uri like "docs://public/*" };
`

// bed is what every part of the benchmark needs around the sidecar.
type bed struct {
	binary   string
	issuer   *standin.Issuer
	sts      *standin.STS
	upstream *process
	// tokens are those of the first callers, as far as they were made.
	tokens []string
}

func newBed(ctx context.Context, binary string) (*bed, error) {
	upstream, err := startRole(ctx, "--role", roleUpstream)
	if err != nil {
		return nil, err
	}
	b := &bed{binary: binary, upstream: upstream, issuer: standin.NewIssuer()}
	b.sts = standin.NewSTS(b.issuer.URL, "countersign")
	return b, nil
}

func (b *bed) close() {
	b.upstream.stop()
	b.sts.Close()
	b.issuer.Close()
}

// caller is the token of the n-th caller.
func (b *bed) caller(n int) string {
	return b.issuer.Token(map[string]any{
		"sub": fmt.Sprint("caller-", n), "aud": "countersign", "groups": []string{"s3-readers"}, "dept": "finance",
	})
}

// sidecar is a running binary with a directory of its own.
type sidecarProcess struct {
	*standin.Process
	dir string
}

func (p *sidecarProcess) stop() error {
	return errors.Join(p.Stop(), os.RemoveAll(p.dir))
}

// start runs the sidecar before a path of the upstream.
func (b *bed) start(ctx context.Context, path, mappings string, policies ...string) (*sidecarProcess, error) {
	dir, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	files := map[string]string{
		"auth-config.yaml": fmt.Sprintf(authConfig, b.upstream.url+path, b.issuer.URL) + mappings,
	}
	for i, text := range policies {
		files[fmt.Sprintf("tools-%d.cedar", i)] = text
	}
	p, err := standin.StartSidecar(ctx, b.binary, dir, files, "AWS_ENDPOINT_URL_STS="+b.sts.URL, containerMemory)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.ForgetAudit()
	return &sidecarProcess{p, dir}, nil
}

// speed compares latency, processor time and throughput.
func (b *bed) speed(ctx context.Context, rounds int, length time.Duration) error {
	signOnly, err := startRole(ctx, "--role", roleSignOnly, "--upstream", b.upstream.url)
	if err != nil {
		return err
	}
	defer signOnly.stop()
	ours, err := b.start(ctx, "/mcp", twoMappings, policies)
	if err != nil {
		return err
	}
	before := b.sts.Asked()
	direct := &series{
		target: &target{name: "upstream, direct", url: b.upstream.url, pid: b.upstream.pid(), body: call},
	}
	signed := &series{target: &target{name: "sign-only proxy", url: signOnly.url, pid: signOnly.pid(), body: call}}
	countersign := &series{target: &target{
		name: "countersign", url: ours.URL + "/mcp", pid: ours.PID, tokens: []string{b.caller(0)}, body: call,
	}}
	all := []*series{direct, signed, countersign}
	if err := measureInTurn(ctx, all, rounds, length); err != nil {
		return err
	}
	printSpeed(all)
	printRatios(countersign, signed, rounds)
	memory, err := residentMiB(ours.PID)
	if err != nil {
		return err
	}
	exchanges := b.sts.Asked() - before
	fmt.Printf("\n%d requests of one caller made %d exchange with STS; resident afterwards: %.1f MiB\n",
		countersign.sent, exchanges, memory)
	if exchanges != 1 {
		err = errors.New("one token and role took more than one exchange")
	}
	return errors.Join(err, ours.stop())
}

// eventLag compares when the first event of a call arrives, directly and through the
// sidecar.
func (b *bed) eventLag(ctx context.Context) error {
	ours, err := b.start(ctx, "/mcp", twoMappings, policies)
	if err != nil {
		return err
	}
	reporting := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call",` +
		`"params":{"name":"echo","arguments":{"text":"xxxxxxxx"},"_meta":{"progressToken":1}}}`)
	first := func(t *target) (time.Duration, error) {
		begun := time.Now()
		answer, err := t.open(ctx, reporting, 0)
		if err != nil {
			return 0, err
		}
		defer func() { _ = answer.Body.Close() }()
		if _, err := bufio.NewReader(answer.Body).ReadByte(); err != nil {
			return 0, fmt.Errorf("first byte: %w", err)
		}
		took := time.Since(begun)
		_, _ = io.Copy(io.Discard, answer.Body)
		return took, nil
	}
	direct := &target{name: "direct", url: b.upstream.url}
	through := &target{name: "countersign", url: ours.URL + "/mcp", tokens: []string{b.caller(0)}}
	var lags []time.Duration
	for range 400 {
		before, err := first(direct)
		if err != nil {
			return err
		}
		after, err := first(through)
		if err != nil {
			return err
		}
		lags = append(lags, after-before)
	}
	fmt.Printf("first byte of an event: %.3f ms behind the upstream, median   (reach: less than 1)\n",
		float64(median(lags).Nanoseconds())/1e6)
	return ours.stop()
}

// idleTime is how long an idle sidecar is watched.
const idleTime = 20 * time.Second

// idle looks at a sidecar that nobody uses.
func (b *bed) idle(ctx context.Context) error {
	ours, err := b.start(ctx, "/mcp", twoMappings, policies)
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // what begins with the start has ended
	count, err := wakeUps(ours.PID, idleTime)
	if err != nil {
		return err
	}
	memory, err := residentMiB(ours.PID)
	if err != nil {
		return err
	}
	fmt.Printf("idle: %.1f MiB resident (reach: at most 24), %.2f wake-ups a second (reach: at most 1)\n",
		memory, float64(count)/idleTime.Seconds())
	return ours.stop()
}

// quietStreams are opened, by callers who may have streamsPerCaller each.
const quietStreams, streamsPerCaller = 500, 50

// streams compares what a stream costs that says nothing with what it costs a relay.
func (b *bed) streams(ctx context.Context) error {
	relay, err := startRole(ctx, "--role", roleRelay, "--upstream", b.upstream.url)
	if err != nil {
		return err
	}
	defer relay.stop()
	ours, err := b.start(ctx, "/mcp", twoMappings, policies)
	if err != nil {
		return err
	}
	bare, err := b.streamCost(ctx, relay.url, relay.pid())
	if err != nil {
		return err
	}
	through, err := b.streamCost(ctx, ours.URL+"/mcp", ours.PID)
	if err != nil {
		return err
	}
	fmt.Printf("a quiet stream: %.0f KiB, %.2f times a bare relay's %.0f KiB (reach: at most 1.2)\n",
		through, through/bare, bare)
	return ours.stop()
}

// streamCost is in KiB of resident memory.
func (b *bed) streamCost(ctx context.Context, url string, pid int) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	open := func(n int) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return fmt.Errorf("open a stream: %w", err)
		}
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Authorization", "Bearer "+b.caller(n/streamsPerCaller))
		answer, err := transport.RoundTrip(r) //nolint:bodyclose // it ends with the transport
		if err != nil {
			return fmt.Errorf("open a stream: %w", err)
		}
		if answer.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(answer.Body)
			return fmt.Errorf("open a stream: %d %s", answer.StatusCode, strings.TrimSpace(string(text)))
		}
		return nil
	}
	// The first ones build what all share.
	for n := range quietStreams / 10 {
		if err := open(n * 10); err != nil {
			return 0, err
		}
	}
	time.Sleep(2 * time.Second)
	before, err := residentMiB(pid)
	if err != nil {
		return 0, err
	}
	for n := range quietStreams - quietStreams/10 {
		if err := open(n + n/9 + 1); err != nil {
			return 0, err
		}
	}
	time.Sleep(2 * time.Second)
	after, err := residentMiB(pid)
	return (after - before) * 1024 / (quietStreams - quietStreams/10), err
}
