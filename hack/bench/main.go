// Command bench measures the real sidecar binary against the upstream called
// directly and against a proxy that does nothing but sign, all in one run, and
// prints ratios. Everything runs on loopback; the stand-in upstream does not
// verify signatures, so that its work is the same for all three.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: %q, region: us-east-1, service: aws-mcp}
  identity: {source: bearer, oidc: {issuer: %q, audience: countersign}}
  awsSts:
    region: us-east-1
    roleMappings:
    - {matcher: '"admins" in claims["groups"]', roleArn: "arn:aws:iam::123456789012:role/Admin", priority: 1}
    - {claim: s3-readers, roleArn: "arn:aws:iam::123456789012:role/S3Read", priority: 10}
`

const policies = `
@id("readers") permit (principal in MCP::Group::"s3-readers", action == MCP::Action::"echo", resource)
when { context.input has text && context.input.text like "x*" };
@id("admins") permit (principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
@id("no-deletes") forbid (principal, action == MCP::Action::"aws___get_presigned_url", resource)
unless { principal.hasTag("dept") && principal.getTag("dept").contains("storage") };
@id("docs") permit (principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "docs://public/*" };
`

func main() {
	sidecar := flag.String("sidecar", "bin/sidecar", "the sidecar binary")
	rounds := flag.Int("rounds", 12, "rounds; each target is measured once in each, in turn")
	length := flag.Duration("length", 600*time.Millisecond, "how long one measurement takes")
	jsonAnswers := flag.Bool("json", false, "the upstream answers with JSON instead of an event stream")
	signOnlyUpstream := flag.String(
		"sign-only",
		"",
		"serve as the sign-only proxy for this upstream; the benchmark starts itself so",
	)
	flag.Parse()
	if *signOnlyUpstream != "" {
		serveSignOnly(*signOnlyUpstream)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := errors.Join(run(ctx, *sidecar, *rounds, *length, *jsonAnswers), measureScript()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, binary string, rounds int, length time.Duration, jsonAnswers bool) error {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	sts := standin.NewSTS(issuer.URL, "countersign")
	defer sts.Close()
	// STS takes as long as the real one in the same region.
	sts.Faults.Set(standin.Fault{Latency: 25 * time.Millisecond})
	upstream := standin.NewMCPServer(standin.MCPOptions{JSON: jsonAnswers, Stateless: true})
	defer upstream.Close()
	signOnly, stop, err := startSignOnly(ctx, upstream.URL)
	if err != nil {
		return err
	}
	defer stop()
	dir, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sidecar, err := standin.StartSidecar(ctx, binary, dir, map[string]string{
		"auth-config.yaml": fmt.Sprintf(authConfig, upstream.URL, issuer.URL), "tools.cedar": policies,
	}, "AWS_ENDPOINT_URL_STS="+sts.URL)
	if err != nil {
		return err
	}
	token := issuer.Token(
		map[string]any{"sub": "alice", "aud": "countersign", "groups": []string{"s3-readers"}, "dept": "finance"},
	)
	targets := []*target{
		{name: "(a) direct", url: upstream.URL},
		{name: "(b) sign-only proxy", url: signOnly + "/mcp"},
		{name: "countersign", url: sidecar.URL + "/mcp", token: token},
	}
	if err := measureAll(ctx, targets, rounds, length); err != nil {
		return err
	}
	lag, err := eventLag(ctx, upstream.URL, sidecar.URL+"/mcp", token)
	if err != nil {
		return err
	}
	memory, err := residentMiB(sidecar.PID)
	if err != nil {
		return err
	}
	print(targets, sts.Asked(), lag, memory)
	if err := sidecar.Stop(); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if sts.Asked() != 1 {
		return errors.New("one token and role took more than one exchange")
	}
	return nil
}

func print(targets []*target, exchanges int, lag time.Duration, memory float64) {
	direct, signOnly, ours := targets[0], targets[1], targets[2]
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	_, _ = fmt.Fprintln(
		w,
		"target\tmedian, 1 connection\tto (a)\tto (b)\trequests/s, 16 connections\tto (a)\tto (b)\t",
	)
	for _, t := range targets {
		_, _ = fmt.Fprintf(
			w,
			"%s\t%v\t%.2f\t%.2f\t%.0f\t%.2f\t%.2f\t\n",
			t.name,
			median(t.latencies).Round(100*time.Nanosecond),
			ratios(t.latencies, direct.latencies),
			ratios(t.latencies, signOnly.latencies),
			median(
				t.throughputs,
			),
			ratios(t.throughputs, direct.throughputs),
			ratios(t.throughputs, signOnly.throughputs),
		)
	}
	_ = w.Flush()
	fmt.Println()
	fmt.Printf(
		"median latency at 1 connection   %.2f of sign-only   (reach: at most 1.15)\n",
		ratios(ours.latencies, signOnly.latencies),
	)
	fmt.Printf(
		"throughput at 16 connections     %.2f of sign-only   (reach: at least 0.85)\n",
		ratios(ours.throughputs, signOnly.throughputs),
	)
	fmt.Printf("exchanges with STS               %d for one token and role, %d requests\n", exchanges, ours.count)
	fmt.Printf(
		"first byte of an event           %.3f ms behind the upstream, median   (reach: less than 1)\n",
		float64(lag.Nanoseconds())/1e6,
	)
	fmt.Printf("resident memory after the run    %.1f MiB   (reach: at most 32)\n", memory)
}
