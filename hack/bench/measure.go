package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// target is one of the things that are measured.
type target struct {
	name  string
	url   string
	token string

	// A median latency and a throughput for each round.
	latencies   []time.Duration
	throughputs []float64
	count       int
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}

// ratios compare round by round, so that a slow minute of the machine, which
// hits neighbours alike, does not count.
func ratios[T time.Duration | float64](ours, others []T) float64 {
	var all []float64
	for i := range ours {
		all = append(all, float64(ours[i])/float64(others[i]))
	}
	return median(all)
}

// body is a tools/call with a 64-byte argument.
var body = []byte(
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` + strings.Repeat(
		"x",
		64,
	) + `"}}}`,
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

func (t *target) request(ctx context.Context, content []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"application/json, text/event-stream"}
	r.Header["Mcp-Protocol-Version"] = []string{"2025-11-25"}
	if t.token != "" {
		r.Header["Authorization"] = []string{"Bearer " + t.token}
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return answer, nil
}

func (t *target) call(ctx context.Context) error {
	answer, err := t.request(ctx, body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte("xxxx")) {
		return fmt.Errorf("%s: %d %s", t.name, answer.StatusCode, text)
	}
	return nil
}

// measureAll takes the targets in turn within each round, so that a slow moment
// of the machine hits all of them.
func measureAll(ctx context.Context, targets []*target, rounds int, length time.Duration) error {
	for _, t := range targets {
		if err := t.concurrent(ctx, 16, length/2); err != nil {
			return err
		}
		t.throughputs = nil
	}
	for range rounds {
		for _, t := range targets {
			if err := t.sequential(ctx, length); err != nil {
				return err
			}
		}
		for _, t := range targets {
			if err := t.concurrent(ctx, 16, length); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *target) sequential(ctx context.Context, length time.Duration) error {
	var latencies []time.Duration
	for end := time.Now().Add(length); time.Now().Before(end); {
		begun := time.Now()
		if err := t.call(ctx); err != nil {
			return err
		}
		latencies = append(latencies, time.Since(begun))
		t.count++
	}
	t.latencies = append(t.latencies, median(latencies))
	return nil
}

func (t *target) concurrent(ctx context.Context, connections int, length time.Duration) error {
	var mu sync.Mutex
	var all error
	total := 0
	var workers sync.WaitGroup
	begun := time.Now()
	for range connections {
		workers.Go(func() {
			count := 0
			var err error
			for end := begun.Add(length); err == nil && time.Now().Before(end); count++ {
				err = t.call(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			total += count
			all = errors.Join(all, err)
		})
	}
	workers.Wait()
	t.throughputs = append(t.throughputs, float64(total)/time.Since(begun).Seconds())
	t.count += total
	return all
}

// signOnlyHandler is what a proxy costs that signs and does nothing else:
// net/http and the SDK's signer.
func signOnlyHandler(upstream string) http.Handler {
	signer := v4.NewSigner()
	credential := aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: "token"}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, upstream, bytes.NewReader(content))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for _, name := range []string{
			"Content-Type", "Accept", "User-Agent", "Mcp-Protocol-Version", "Mcp-Session-Id",
		} {
			if values, ok := r.Header[name]; ok {
				out.Header[name] = values
			}
		}
		sum := sha256.Sum256(content)
		err = signer.SignHTTP(
			r.Context(), credential, out, hex.EncodeToString(sum[:]), "aws-mcp", "us-east-1", time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := transport.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		relay(w, answer)
	})
}

// relay streams events as they come; a body of known length needs no flush.
func relay(w http.ResponseWriter, answer *http.Response) {
	if answer.ContentLength >= 0 {
		_, _ = io.Copy(w, answer.Body)
		return
	}
	control := http.NewResponseController(w)
	_ = control.Flush()
	buffer := make([]byte, 16<<10)
	for {
		n, err := answer.Body.Read(buffer)
		if n > 0 {
			_, _ = w.Write(buffer[:n])
			_ = control.Flush()
		}
		if err != nil {
			return
		}
	}
}

// residentMiB reads VmRSS.
func residentMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("read memory: no VmRSS")
}

// eventLag compares when the first event of a call arrives, directly and through
// the sidecar, on calls that stream progress.
func eventLag(ctx context.Context, direct, ours, token string) (time.Duration, error) {
	call := []byte(
		`{"jsonrpc":"2.0","id":1,"method":"tools/call",` +
			`"params":{"name":"echo","arguments":{"text":"xxxxxxxx"},"_meta":{"progressToken":1}}}`,
	)
	first := func(t *target) (time.Duration, error) {
		begun := time.Now()
		answer, err := t.request(ctx, call)
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
	a, b := &target{name: "direct", url: direct}, &target{name: "countersign", url: ours, token: token}
	var lags []time.Duration
	for range 400 {
		before, err := first(a)
		if err != nil {
			return 0, err
		}
		after, err := first(b)
		if err != nil {
			return 0, err
		}
		lags = append(lags, after-before)
	}
	return median(lags), nil
}
