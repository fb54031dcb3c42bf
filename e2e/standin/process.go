package standin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a running sidecar binary.
type Process struct {
	// URL is the plain listener, Admin the admin port.
	URL   string
	Admin string
	PID   int
	// AdminTokenFile has the token that opens the admin port.
	AdminTokenFile string

	command *exec.Cmd
	mu      sync.Mutex
	stdout  bytes.Buffer
	stderr  bytes.Buffer
	done    chan error
	forgets bool
}

// startTimeout is how long the binary may take to serve.
const startTimeout = 20 * time.Second

// StartSidecar runs `sidecar proxy` on free loopback ports with the given keys
// as its auth-config, which are written to dir.
func StartSidecar(
	ctx context.Context,
	binary, dir string,
	files map[string]string,
	environment ...string,
) (*Process, error) {
	return StartSidecarWithFlags(ctx, binary, dir, files, nil, environment...)
}

// StartSidecarWithFlags is StartSidecar with further flags.
func StartSidecarWithFlags(
	ctx context.Context,
	binary, dir string,
	files map[string]string,
	flags []string,
	environment ...string,
) (*Process, error) {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write auth-config: %w", err)
		}
	}
	p := &Process{done: make(chan error, 1), AdminTokenFile: filepath.Join(dir, ".admin-token")}
	arguments := []string{
		"proxy", "--config", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--service-account-token",
		filepath.Join(dir, ".token"), "--admin-token-file", p.AdminTokenFile,
	}
	p.command = exec.CommandContext(ctx, binary, append(arguments, flags...)...)
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stdout = (*auditWriter)(p)
	stderr, err := p.command.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start sidecar: %w", err)
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start sidecar: %w", err)
	}
	p.PID = p.command.Process.Pid
	serving := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { p.readLog(stderr, serving) })
	go func() {
		reading.Wait()
		p.done <- p.command.Wait()
	}()
	select {
	case <-serving:
		return p, nil
	case err := <-p.done:
		return nil, fmt.Errorf("the sidecar ended: %w: %s", errors.Join(err), p.Log())
	case <-time.After(startTimeout):
		_ = p.command.Process.Kill()
		return nil, fmt.Errorf("the sidecar does not serve: %s", p.Log())
	}
}

func (p *Process) readLog(stderr io.Reader, serving chan struct{}) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.stderr.Write(append(lines.Bytes(), '\n'))
		p.mu.Unlock()
		var line struct{ Msg, Listen, Admin string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			p.URL, p.Admin = "http://"+line.Listen, "http://"+line.Admin
			close(serving)
		}
	}
}

// Ask sends a request to the admin port with its token; a question is a POST.
func (p *Process) Ask(path, question string) (status int, answer string, err error) {
	token, err := os.ReadFile(p.AdminTokenFile)
	if err != nil {
		return 0, "", fmt.Errorf("admin token: %w", err)
	}
	method := http.MethodGet
	if question != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, p.Admin+path, strings.NewReader(question))
	if err != nil {
		return 0, "", fmt.Errorf("ask the admin port: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", fmt.Errorf("ask the admin port: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// Stop sends SIGTERM and waits; the error is that of the process.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop sidecar: %w", err)
	}
	return <-p.done
}

// Kill ends it as a fault does, without a word.
func (p *Process) Kill() error {
	if err := p.command.Process.Kill(); err != nil {
		return fmt.Errorf("kill sidecar: %w", err)
	}
	<-p.done //nolint:errcheck // it was killed
	return nil
}

// Audit is what the sidecar wrote to standard output.
func (p *Process) Audit() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// ForgetAudit drops what comes on standard output from now on, for runs whose records
// would fill the memory.
func (p *Process) ForgetAudit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stdout.Reset()
	p.forgets = true
}

// Log is what the sidecar wrote to standard error.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// auditWriter keeps what the process writes to its standard output.
type auditWriter Process

// Write implements io.Writer.
func (w *auditWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forgets {
		return len(b), nil
	}
	return w.stdout.Write(b)
}
