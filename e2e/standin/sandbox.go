package standin

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// sandbox is where AWS's server runs scripts. Files stay in it from one script to the
// next.
type sandbox struct {
	account *Account

	mu      sync.Mutex
	dir     string
	planted map[string]string
}

// scriptRun is one script with what it has done.
type scriptRun struct {
	account *Account
	session *RoleSession

	mu    sync.Mutex
	calls []any
}

// do makes a call for a script, and notes it.
func (r *scriptRun) do(c *apiCall) (any, *apiError) {
	answer, failed := r.account.call(r.session, c)
	entry := map[string]any{"service": c.service, "operation": c.operation, "region": c.region, "status": "success"}
	if failed != nil {
		entry["status"], entry["error"] = "error", failed.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, entry)
	return answer, failed
}

func (r *scriptRun) made() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]any{}, r.calls...)
}

// Plant leaves a Python module in the sandbox, as an earlier script could.
func (s *sandbox) plant(module, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.planted == nil {
		s.planted = map[string]string{}
	}
	s.planted[module] = code
	dir, err := s.directory()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, module+".py"), []byte(code), 0o600)
}

// directory is called with the lock held.
func (s *sandbox) directory() (string, error) {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "standin-sandbox-")
		if err != nil {
			return "", err
		}
		s.dir = dir
	}
	return s.dir, nil
}

func (s *sandbox) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// runner is the program that runs a script: it reads the script from descriptor 3,
// writes calls to descriptor 4, a line each, and reads their answers from 5.
//
//go:embed runner.py
var runner string

// python is the interpreter of the machine, or empty.
var python = sync.OnceValue(func() string {
	// What is found may be a script that looks for the interpreter.
	path, err := exec.Command("python3", "-I", "-S", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(path))
})

// HasPython reports whether scripts of all kinds run here, and not only those that
// the stand-in's own interpreter knows.
func HasPython() bool { return python() != "" }

// runPython runs a script with the machine's Python. The error is the script's own.
func (s *sandbox) runPython(ctx context.Context, run *scriptRun, code string) (any, error) {
	s.mu.Lock()
	dir, err := s.directory()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	script, scriptIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	requests, requestsIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, answersIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, python(), "-I", "-S", "-B", "-c", runner, dir)
	command.Dir, command.Env = dir, []string{"PATH=/nonexistent"}
	command.ExtraFiles = []*os.File{script, requestsIn, answers}
	command.Stderr, command.Stdout = io.Discard, io.Discard
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start python: %w", err)
	}
	for _, file := range command.ExtraFiles {
		_ = file.Close() // the child has its own
	}
	go func() {
		_, _ = io.WriteString(scriptIn, code) // a child that is gone reads no more
		_ = scriptIn.Close()
	}()
	value, err := serveCalls(run, requests, answersIn)
	_ = answersIn.Close()
	_ = requests.Close()
	if waited := command.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("python: %w", waited)
	}
	return value, err
}

// serveCalls answers the script's calls until it has ended.
func serveCalls(run *scriptRun, requests io.Reader, answers io.Writer) (any, error) {
	lines := bufio.NewReader(requests)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, errors.New("the script ended without a word")
		}
		var request struct {
			Call      bool           `json:"call"`
			Service   string         `json:"service"`
			Operation string         `json:"operation"`
			Region    string         `json:"region"`
			Params    map[string]any `json:"params"`
			Value     any            `json:"value"`
			Error     string         `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &request); err != nil {
			return nil, fmt.Errorf("the runner: %w", err)
		}
		switch {
		case request.Error != "":
			return nil, errors.New(request.Error)
		case !request.Call:
			return request.Value, nil
		}
		answer, failed := run.do(&apiCall{
			service: request.Service, operation: request.Operation, region: request.Region, params: request.Params,
		})
		reply := map[string]any{"answer": answer}
		if failed != nil {
			reply = map[string]any{"error": failed.Error()}
		}
		text, err := json.Marshal(reply)
		if err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
		if _, err := answers.Write(append(text, '\n')); err != nil {
			return nil, fmt.Errorf("answer: %w", err)
		}
	}
}

// pascal turns snake_case into PascalCase, as AWS's server does for operations.
func pascal(operation string) string {
	if !strings.Contains(operation, "_") && operation != strings.ToLower(operation) {
		return operation
	}
	var b strings.Builder
	for part := range strings.SplitSeq(operation, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
