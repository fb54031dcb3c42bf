package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/awsiam"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// maxShownCalls bounds the calls that a denial names.
	maxShownCalls = 50
	// maxReportedCalls bounds the calls of a script that AWS reports and that are
	// looked at.
	maxReportedCalls = 1_000
	// toolTasks asks how scripts are doing that run longer.
	toolTasks = "aws___get_tasks"
)

// script is what is known of the script of one call.
type script struct {
	effects *awsscript.Effects
	// narrowed: the session is the script's own.
	narrowed    bool
	accessKeyID string

	// mu guards what AWS reports, which comes with the answer.
	mu      sync.Mutex
	unseen  []string
	stopped []string
}

// checkAlone refuses a batch with a script: its session would serve the other
// messages, and theirs the script.
func (c *call) checkAlone() *failure {
	if !c.messages.Batch || len(c.messages.Messages) == 1 {
		return nil
	}
	for i := range c.messages.Messages {
		if c.snap.Config.Authorizer.HasScript(c.upstream.Name, &c.messages.Messages[i]) {
			return invalid("a batch has a script and other messages: send it alone")
		}
	}
	return nil
}

// noteScript keeps what a decision found out of the call's script, and counts it.
func (c *call) noteScript(d *authorize.Decision) {
	if d.Script == nil {
		return
	}
	c.script = &script{effects: d.Script}
	c.server.options.Metrics.ScriptRead(c.upstream.Name, string(d.Script.Cause), d.Script.Steps)
}

// selectSession replaces the session of the caller's role by the script's own, where
// the decision wants one.
func (c *call) selectSession(d *authorize.Decision) *failure {
	if c.script == nil {
		return nil
	}
	if !d.Narrow {
		c.server.options.Metrics.ScriptSession(c.upstream.Name, telemetry.ScriptSessionRole)
		return nil
	}
	session, err := c.snap.Config.ScriptSession(c.upstream.Index, c.role.session, d)
	var tooLarge *credentials.TooLargeError
	switch {
	case errors.As(err, &tooLarge):
		c.server.options.Metrics.ScriptSession(c.upstream.Name, telemetry.ScriptSessionTooLarge)
		d.Allowed, d.Policies, d.Reason = false, nil, reasonScriptSize
		return c.scriptTooLarge(tooLarge.Error())
	case err != nil:
		slog.Error("the session policy of a script cannot be made", "error", err)
		return internalError("internal error")
	}
	c.server.options.Metrics.ScriptSession(c.upstream.Name, telemetry.ScriptSessionNarrowed)
	c.script.narrowed = true
	c.role.session, c.role.key = session, credentials.KeyOf(c.caller.Token, session)
	return nil
}

// scriptTooLarge denies a script whose session policy STS would not take. It is
// never shortened: a wider policy would let the script do more than was decided on.
func (c *call) scriptTooLarge(why string) *failure {
	f := refused(c.denialStatus(), codePolicy, reasonScriptSize, "access denied: "+why+
		"; split the script into several that call fewer operations each")
	f.script = scriptData(c.script.effects)
	return f
}

// scriptData is error.data.script: the caller wrote the script, and may know what of
// it was read.
func scriptData(e *awsscript.Effects) jsontext.Value {
	calls := e.Calls
	if len(calls) == 0 {
		calls = []string{}
	}
	text, err := json.Marshal(struct {
		Complete bool     `json:"complete"`
		Reason   string   `json:"reason,omitempty"`
		Line     int      `json:"line,omitzero"`
		Calls    []string `json:"calls"`
	}{e.Complete, e.Reason, e.Line, calls[:min(len(calls), maxShownCalls)]})
	if err != nil {
		return nil // not for strings of UTF-8
	}
	return text
}

// scriptDenied is the answer to a script that policies, or scriptSessions, deny.
func (c *call) scriptDenied(d *authorize.Decision) *failure {
	message := "access denied: this script is not allowed for this caller"
	reason := reasonPolicy
	if d.Reason == authorize.ReasonScript {
		reason, message = string(d.Reason), "access denied: scripts must be such that their calls can be read"
	}
	if e := d.Script; !e.Complete {
		message += "; " + e.Reason
		if e.Line > 0 {
			message += fmt.Sprintf(" (line %d)", e.Line)
		}
	}
	f := refused(c.denialStatus(), codePolicy, reason, message)
	f.script = scriptData(d.Script)
	return f
}

// record gives what the decision record says of the script.
func (s *script) record() *audit.AWS {
	if s == nil {
		return nil
	}
	a := &audit.AWS{
		Calls: s.effects.Calls, Actions: s.effects.Actions, Complete: s.effects.Complete, Reason: s.effects.Reason,
		AccessKeyID: s.accessKeyID,
	}
	if s.accessKeyID != "" {
		a.Session = telemetry.ScriptSessionRole
		if s.narrowed {
			a.Session = telemetry.ScriptSessionNarrowed
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Unseen, a.Stopped = slices.Clone(s.unseen), slices.Clone(s.stopped)
	return a
}

// checkTaskArguments lets scripts that run longer be asked for only by the caller
// whose scripts they are.
func (c *call) checkTaskArguments(m *mcp.Message) *failure {
	subjects := m.Subjects()
	if !c.takesScripts() || len(subjects) != 1 || subjects[0].Kind != mcp.SubjectTool || subjects[0].Name != toolTasks {
		return nil
	}
	var arguments struct {
		IDs []string `json:"task_ids"`
	}
	if err := json.Unmarshal(m.Params.Arguments, &arguments); err != nil || len(arguments.IDs) == 0 {
		return unknownTask()
	}
	for _, id := range arguments.IDs {
		if !c.holdsTask(id) {
			return unknownTask()
		}
	}
	return nil
}

// takesScripts reports whether a tool of the upstream takes scripts.
func (c *call) takesScripts() bool { return len(c.upstream.Scripts) > 0 }

// readsToolResult reports whether the answer may be a script's: to its call, or on
// a stream on which the client goes on with one.
func (c *call) readsToolResult() bool {
	return c.script != nil || c.takesScripts() && c.r.Method == http.MethodGet
}

// noteToolResult looks into a part of a script's result: for ids of tasks, which
// become the caller's, and for the calls that AWS says it made.
func (c *call) noteToolResult(part jsontext.Value) {
	if part == nil {
		c.server.options.Metrics.ScriptResultUnread(c.upstream.Name)
		return
	}
	for _, value := range resultObjects(part) {
		if id, ok := value["task_id"].(string); ok && c.isBearer() && id != "" && len(id) <= maxOwnedID {
			c.server.tasks.claim(c.owned(id), c.owner())
		}
		if calls, ok := value["api_calls"].([]any); ok && c.script != nil {
			c.compareCalls(calls)
		}
	}
}

// resultObjects are the objects of a part of a tool's result: structuredContent, or
// the JSON in texts of content. What stands deeper in them the script itself may
// have written.
func resultObjects(part jsontext.Value) []map[string]any {
	var texts []struct {
		Text string `json:"text"`
	}
	var found []map[string]any
	add := func(text []byte) {
		var object map[string]any
		if json.Unmarshal(text, &object) != nil {
			return
		}
		found = append(found, object)
	}
	if part.Kind() == '{' {
		add(part)
		return found
	}
	if json.Unmarshal(part, &texts) == nil {
		for _, t := range texts {
			add([]byte(t.Text))
		}
	}
	return found
}

// compareCalls notes which of the calls that AWS reports were not seen in the script,
// and which its session policy stopped.
func (c *call) compareCalls(reported []any) {
	var unseen, stopped []string
	for _, one := range reported[:min(len(reported), maxReportedCalls)] {
		made, denied := reportedCall(one)
		if made == "" {
			continue
		}
		if seen := c.script.effects.Calls; !slices.Contains(seen, made) && !slices.Contains(seen, awsscript.Anything) &&
			!slices.Contains(unseen, made) {
			unseen = append(unseen, made)
		}
		if denied && c.script.narrowed && !slices.Contains(stopped, made) {
			stopped = append(stopped, made)
		}
	}
	c.script.mu.Lock()
	c.script.unseen, c.script.stopped = union(c.script.unseen, unseen), union(c.script.stopped, stopped)
	c.script.mu.Unlock()
	c.server.options.Metrics.ScriptCalls(c.upstream.Name, len(unseen), len(stopped))
	if len(unseen) > 0 {
		slog.Error("a script made calls that were not seen in it", "upstream", c.upstream.Name,
			"requestId", c.requestID(), "calls", unseen)
	}
	if len(stopped) > 0 {
		slog.Warn("a script's session policy stopped calls", "upstream", c.upstream.Name,
			"requestId", c.requestID(), "calls", stopped)
	}
}

func union(all, more []string) []string {
	for _, one := range more {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// reportedCall reads an entry of api_calls: which call it was, as context.aws.calls
// has it, and whether a session policy denied it.
func reportedCall(entry any) (made string, denied bool) {
	object, ok := entry.(map[string]any)
	if !ok {
		return "", false
	}
	text := func(names ...string) string {
		for _, name := range names {
			if value, ok := object[name].(string); ok {
				return value
			}
		}
		return ""
	}
	service, operation := text("service", "service_name"), text("operation", "operation_name")
	if service == "" || operation == "" {
		return "", false
	}
	made = service + ":" + operation
	method, _, _ := strings.Cut(operation, " ")
	if o, ok := awsiam.Needs(service, operation, func(string) bool { return false }); ok {
		made = o.Call()
	} else if o, ok := awsiam.NeedsRequest(service, method); ok {
		made = o.Call()
	}
	const most = 256
	return made[:min(len(made), most)], strings.Contains(text("error", "error_message", "message"), "session policy")
}
