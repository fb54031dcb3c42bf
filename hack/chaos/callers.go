package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// clientTimeout is how long a caller waits, maxRead how much of an answer he reads.
	clientTimeout = 100 * time.Second
	maxRead       = 4 << 20
	// pause is between two calls of a caller.
	pause = 40 * time.Millisecond
)

// What a caller can see beside a status.
const (
	sawServed  = "served"
	sawRefused = "connection refused"
	sawBroken  = "broken off"
	sawNoEnd   = "no end"
	sawClosed  = "closed before an answer"
	sawNothing = "no answer"
)

// tally counts what callers saw; it is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	counts  map[string]int
	longest time.Duration
	times   []time.Duration
}

func newTally() *tally { return &tally{counts: map[string]int{}} }

func (t *tally) add(saw string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[saw]++
	t.longest = max(t.longest, took)
	if saw == sawServed {
		t.times = append(t.times, took)
	}
}

func (t *tally) count(saw string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[saw]
}

func (t *tally) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for _, n := range t.counts {
		total += n
	}
	return total
}

// String lists what was seen, the most frequent first.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.Collect(maps.Keys(t.counts))
	slices.SortFunc(names, func(a, b string) int { return t.counts[b] - t.counts[a] })
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s %d", name, t.counts[name])
	}
	return strings.Join(parts, ", ")
}

// unexpected are the things seen that are not among those.
func (t *tally) unexpected(allowed []string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for name := range t.counts {
		if !slices.Contains(allowed, name) {
			all = append(all, name)
		}
	}
	return all
}

// caller is one who calls, with a token that token gives.
type caller struct {
	name  string
	token func() string
}

var callID atomic.Int64

// call makes one call and says what came of it: served, a status with the error's code,
// or how it broke.
func (s *scene) call(ctx context.Context, c caller) string {
	id := callID.Add(1)
	body := fmt.Sprintf(
		`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"who":%q}}}`, id, c.name)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+s.path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.token())
	answer, err := s.client.Do(r)
	if err != nil {
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return sawRefused
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
			return sawNothing
		}
		return sawClosed
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxRead))
	switch {
	case err != nil:
		return sawBroken
	case len(text) == maxRead:
		return sawNoEnd
	}
	return judge(answer, text, id, c.name)
}

func judge(answer *http.Response, text []byte, id int64, name string) string {
	var message struct {
		ID     *int64 `json:"id"`
		Result *struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"result"`
		// A 401 has OAuth's errors, which are no objects.
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(text, &message) != nil {
		return fmt.Sprintf("%d, not JSON", answer.StatusCode)
	}
	switch {
	case message.Error != nil:
		retry := ""
		if answer.Header.Get("Retry-After") != "" {
			retry = " later"
		}
		return fmt.Sprintf("%d%s", answer.StatusCode, retry)
	case message.ID == nil || *message.ID != id || message.Result == nil || len(message.Result.Content) != 1 ||
		strings.TrimRight(message.Result.Content[0].Text, ".") != name:
		return "somebody else's answer"
	}
	return sawServed
}

// keepCalling has callers call until ctx ends.
func (s *scene) keepCalling(ctx context.Context, callers []caller, into *tally) (wait func()) {
	var workers sync.WaitGroup
	for _, c := range callers {
		workers.Go(func() {
			for ctx.Err() == nil {
				begun := time.Now()
				// A call that has begun is waited for.
				callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clientTimeout)
				saw := s.call(callCtx, c)
				cancel()
				into.add(saw, time.Since(begun))
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	return workers.Wait
}

// untilServed has each caller call until he is served, and says how long the last one took.
func (s *scene) untilServed(ctx context.Context, callers []caller) (time.Duration, error) {
	begun := time.Now()
	var longest atomic.Int64
	var mu sync.Mutex
	var failures error
	var workers sync.WaitGroup
	for _, c := range callers {
		workers.Go(func() {
			saw := ""
			for {
				if saw = s.call(ctx, c); saw == sawServed {
					break
				}
				if time.Since(begun) > maxRecovery {
					mu.Lock()
					failures = fmt.Errorf("%s is not served %v after the fault: %s", c.name, maxRecovery, saw)
					mu.Unlock()
					return
				}
				time.Sleep(pause)
			}
			took := int64(time.Since(begun))
			for old := longest.Load(); took > old && !longest.CompareAndSwap(old, took); old = longest.Load() {
			}
		})
	}
	workers.Wait()
	return time.Duration(longest.Load()), failures
}
