package standin

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// runScript answers aws___run_script: with the script's value and calls, or with a
// task where it takes long.
func (s *MCPServer) runScript(ctx context.Context, r *mcp.CallToolRequest, arguments map[string]any) (any, error) {
	code, _ := arguments["code"].(string)
	session := &RoleSession{}
	if s.sts != nil {
		signed, ok := s.sts.session(r.Extra.Header.Get(sessionHeader))
		if !ok {
			return nil, fmt.Errorf("the role session is not known")
		}
		session = &signed
	}
	progress := func(line, of int) error { return notifyProgress(ctx, r, line, of) }
	if s.scripts.after == 0 {
		return s.sandbox.runScript(ctx, session, code, progress)
	}
	return s.scripts.start(func() any {
		result, err := s.sandbox.runScript(
			context.WithoutCancel(ctx),
			session,
			code,
			func(int, int) error { return nil },
		)
		if err != nil {
			return map[string]any{"status": "error", "error": err.Error()}
		}
		return result
	}), nil
}

// runScript runs a script as a session. Only the end of ctx is an error.
func (s *sandbox) runScript(
	ctx context.Context,
	session *RoleSession,
	code string,
	progress func(line, of int) error,
) (map[string]any, error) {
	run := &scriptRun{account: s.account, session: session}
	s.mu.Lock()
	interpreter := &script{run: run, planted: maps.Clone(s.planted), names: map[string]any{}}
	s.mu.Unlock()
	var value any
	var err error
	switch {
	case interpreter.knows(code):
		value, err = interpreter.interpret(ctx, code, progress)
	case HasPython():
		value, err = s.runPython(ctx, run, code)
	default:
		err = errUnknownStatement
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run: %w", ctx.Err())
	}
	return run.result(value, err), nil
}

// result is what aws___run_script gives for a script that has ended; failed is its own
// error.
func (r *scriptRun) result(value any, failed error) map[string]any {
	if failed != nil {
		return map[string]any{"status": "error", "error": failed.Error(), "api_calls": r.made()}
	}
	return map[string]any{"status": "success", "return_value": value, "api_calls": r.made()}
}

// tasks are scripts that run longer.
type tasks struct {
	after time.Duration

	mu      sync.Mutex
	results map[string]any
}

// start runs a script, and gives its result or the task that it became.
func (t *tasks) start(run func() any) any {
	id := "task-" + randomHex(8)
	done := make(chan any, 1)
	go func() {
		result := run()
		t.mu.Lock()
		if t.results == nil {
			t.results = map[string]any{}
		}
		t.results[id] = result
		t.mu.Unlock()
		done <- result
	}()
	select {
	case result := <-done:
		return result
	case <-time.After(t.after):
		return map[string]any{"status": "working", "task_id": id}
	}
}

// tell answers aws___get_tasks.
func (t *tasks) tell(arguments map[string]any) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids, _ := arguments["task_ids"].([]any)
	told := []any{}
	for _, id := range ids {
		name := fmt.Sprint(id)
		one := map[string]any{"task_id": name, "status": "working"}
		if result, ok := t.results[name]; ok {
			one = map[string]any{"task_id": name, "status": "completed", "result": result}
		}
		told = append(told, one)
	}
	return map[string]any{"tasks": told}
}

// RunScript runs a script against an account as a session, with the machine's Python,
// in a sandbox of its own where some modules lie. Its result is that of aws___run_script.
func RunScript(
	ctx context.Context,
	account *Account,
	session *RoleSession,
	code string,
	planted map[string]string,
) (map[string]any, error) {
	s := &sandbox{account: account}
	defer s.close()
	for module, text := range planted {
		if err := s.plant(module, text); err != nil {
			return nil, err
		}
	}
	run := &scriptRun{account: account, session: session}
	value, err := s.runPython(ctx, run, code)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("run: %w", ctx.Err())
	}
	return run.result(value, err), nil
}
