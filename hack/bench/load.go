package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is a tools/call with a 64-byte argument.
var call = []byte(
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` +
		strings.Repeat("x", 64) + `"}}}`,
)

var listOfTools = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

// target is what requests are sent to, and the process whose cost counts.
type target struct {
	name, url string
	pid       int
	// tokens are the callers', in turn; none where the target asks for none.
	tokens []string
	body   []byte

	sent int
}

func (t *target) open(ctx context.Context, content []byte, turn int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"application/json, text/event-stream"}
	r.Header["Mcp-Protocol-Version"] = []string{"2025-11-25"}
	if len(t.tokens) > 0 {
		r.Header["Authorization"] = []string{"Bearer " + t.tokens[turn%len(t.tokens)]}
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return answer, nil
}

func (t *target) send(ctx context.Context, turn int) error {
	answer, err := t.open(ctx, t.body, turn)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"result"`)) {
		return fmt.Errorf("%s: %d %s", t.name, answer.StatusCode, text)
	}
	return nil
}

// sample is what one measurement saw.
type sample struct {
	median, p99 time.Duration
	// processor is the target's processor time for each request.
	processor  time.Duration
	throughput float64
}

// measure keeps so many connections busy for a time.
func (t *target) measure(ctx context.Context, connections int, length time.Duration) (sample, error) {
	before, err := processorTime(t.pid)
	if err != nil {
		return sample{}, err
	}
	latencies := make([][]time.Duration, connections)
	failures := make([]error, connections)
	begun := time.Now()
	var workers sync.WaitGroup
	for n := range connections {
		workers.Go(func() {
			sent := begun
			for turn := t.sent + n; sent.Sub(begun) < length && failures[n] == nil; turn += connections {
				failures[n] = t.send(ctx, turn)
				now := time.Now()
				latencies[n] = append(latencies[n], now.Sub(sent))
				sent = now
			}
		})
	}
	workers.Wait()
	took := time.Since(begun)
	after, err := processorTime(t.pid)
	all := slices.Concat(latencies...)
	t.sent += len(all)
	if err := errors.Join(append(failures, err)...); err != nil {
		return sample{}, err
	}
	slices.Sort(all)
	return sample{
		median: all[len(all)/2], p99: all[len(all)*99/100],
		processor:  (after - before) / time.Duration(len(all)),
		throughput: float64(len(all)) / took.Seconds(),
	}, nil
}
