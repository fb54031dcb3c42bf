package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

// memoryLimit is that of the injected container, in bytes.
const memoryLimit = 128 << 20

// inContainerMemory makes a script that runs the binary in a memory cgroup of so many
// bytes, as a container has one. Where none can be made it gives the binary,
// with the limit that its runtime would take from one.
func inContainerMemory(t *testing.T, most int) (command string, environment []string) {
	t.Helper()
	for _, at := range []struct{ root, file string }{
		{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		dir := fmt.Sprintf("%s/countersign-%d", at.root, os.Getpid())
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		// The kernel makes the file, where the directory is a cgroup.
		limit, err := os.OpenFile(filepath.Join(dir, at.file), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		_, err = fmt.Fprint(limit, most)
		if err := errors.Join(err, limit.Close()); err != nil {
			continue
		}
		command = filepath.Join(t.TempDir(), "sidecar")
		script := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs || exit 1\nexec %s \"$@\"\n", dir, binary)
		if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Log("in the cgroup", dir)
		return command, nil
	}
	t.Log("no memory cgroup can be made here: only what is resident is looked at")
	return binary, []string{fmt.Sprint("GOMEMLIMIT=", most/10*7)}
}

func TestManyCallersFitTheContainersMemory(t *testing.T) {
	for name, c := range map[string]struct {
		callers, streams, connections int
		// pause is what a busy connection leaves between two requests.
		pause time.Duration
		limit int
	}{
		"10 000 callers with 3 requests each":          {callers: 10_000, limit: memoryLimit},
		"1 000 open streams with 200 busy connections": {streams: 1000, connections: 200, limit: memoryLimit},
		"both at once": {callers: 10_000, streams: 1000, connections: 200, pause: 100 * time.Millisecond, limit: 192 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoad(t, c.limit)
			before := residentPeak(t, l.scene.process)
			streams := l.openStreams(t, c.streams)
			stop := make(chan struct{})
			var busy sync.WaitGroup
			for n := range c.connections {
				busy.Go(func() { l.keepBusy(t, n, c.pause, stop) })
			}
			l.callOnceEach(t, c.callers)
			if c.callers == 0 {
				time.Sleep(5 * time.Second)
			}
			close(stop)
			busy.Wait()
			for n, stream := range streams {
				if err := stream.Err(); err != nil {
					t.Errorf("stream %d ended: %v", n, err)
				}
			}
			peak := residentPeak(t, l.scene.process)
			t.Logf("%d requests; %d KiB resident before, %d at the most", l.requests.Load(), before, peak)
			if peak<<10 > c.limit {
				t.Errorf("%d KiB were resident", peak)
			}
		})
	}
}

// load is a sidecar in a container's memory, with an upstream that answers at once and
// keeps streams open.
type load struct {
	scene    *scene
	client   *http.Client
	requests atomic.Int64
}

func startLoad(t *testing.T, limit int) *load {
	t.Helper()
	ended := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}))
	t.Cleanup(upstream.Close)
	t.Cleanup(func() { close(ended) })
	s := newScene(t)
	var environment []string
	s.binary, environment = inContainerMemory(t, limit)
	s.startBefore(t, upstream.URL+"/mcp", `
permit (principal, action, resource) when { principal.hasTag("groups") && principal.getTag("groups").contains("everyone") };
forbid (principal, action == MCP::Action::"count", resource);`, environment...)
	t.Cleanup(func() { _ = s.process.Stop() })
	transport := &http.Transport{MaxIdleConnsPerHost: 300}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{scene: s, client: &http.Client{Transport: transport}}
}

// callOnceEach has so many callers send three requests each.
func (l *load) callOnceEach(t *testing.T, callers int) {
	const requests, workers = 3, 16
	var all sync.WaitGroup
	next := make(chan int)
	for range workers {
		all.Go(func() {
			for n := range next {
				token := l.scene.issuer.Token(usualClaims(n))
				for range requests {
					l.call(t, token)
				}
			}
		})
	}
	for n := range callers {
		next <- n
	}
	close(next)
	all.Wait()
}

func (l *load) keepBusy(t *testing.T, caller int, pause time.Duration, stop chan struct{}) {
	token := l.scene.issuer.Token(usualClaims(caller))
	for {
		select {
		case <-stop:
			return
		case <-time.After(pause):
			if !l.call(t, token) {
				return
			}
		}
	}
}

func (l *load) call(t *testing.T, token string) bool {
	l.requests.Add(1)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}`
	response, err := l.client.Do(l.request(t, http.MethodPost, token, body))
	if err != nil {
		t.Error(err)
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
	return response.StatusCode == http.StatusOK
}

// openStreams gives contexts that end when their stream does.
func (l *load) openStreams(t *testing.T, most int) []context.Context {
	t.Helper()
	var streams []context.Context
	for n := range most {
		// 50 of each caller.
		token := l.scene.issuer.Token(usualClaims(n / 50))
		response, err := l.client.Do(l.request(t, http.MethodGet, token, ""))
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %v %v", n, response, err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		open, end := context.WithCancelCause(context.Background())
		streams = append(streams, open)
		go func() {
			_, err := io.Copy(io.Discard, response.Body)
			end(err)
		}()
	}
	return streams
}

func (l *load) request(t *testing.T, method, token, body string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), method, l.scene.process.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Error(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// usualClaims are about those of an access token of a large identity provider.
func usualClaims(n int) map[string]any {
	return map[string]any{
		"sub": fmt.Sprintf("00u%012d", n), "aud": "aud", "azp": "aud", "name": fmt.Sprintf("Caller Number %d", n),
		"email": fmt.Sprintf("caller-%d@example.com", n), "preferred_username": fmt.Sprintf("caller-%d", n),
		"sid": fmt.Sprintf("session-%d", n), "scope": "openid profile email", "auth_time": 1_790_000_000 + n,
		"groups":       []string{"everyone", "readers", fmt.Sprintf("team-%d", n%50), fmt.Sprintf("site-%d", n%7), "engineering"},
		"realm_access": map[string]any{"roles": []string{"offline_access", "uma_authorization"}},
	}
}

// residentPeak is the most memory that was resident, in KiB.
func residentPeak(t *testing.T, p *standin.Process) int {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Skip("skipped: resident memory is read of /proc, which Linux has: ", err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("no peak in /proc")
	return 0
}
