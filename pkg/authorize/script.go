package authorize

import (
	"context"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
)

// scriptTool is a tool that takes a script.
type scriptTool struct {
	argument string
	sessions authconfig.ScriptSessions
}

// scripts are the tools that take scripts, by upstream and name.
type scripts map[string]map[string]*scriptTool

func scriptsOf(upstreams []authconfig.Upstream) scripts {
	all := scripts{}
	for i := range upstreams {
		u := &upstreams[i]
		for _, s := range u.Scripts {
			if all[u.Name] == nil {
				all[u.Name] = map[string]*scriptTool{}
			}
			all[u.Name][s.Tool] = &scriptTool{argument: s.Argument, sessions: u.ScriptSessions}
		}
	}
	return all
}

func (s scripts) find(server, tool string) *scriptTool { return s[server][tool] }

// of gives the tool of a message that calls one which takes a script.
func (s scripts) of(server string, subjects []mcp.Subject) *scriptTool {
	if len(subjects) != 1 || subjects[0].Kind != mcp.SubjectTool {
		return nil
	}
	return s.find(server, subjects[0].Name)
}

// HasScript reports whether the message calls a tool of the upstream that takes a
// script.
func (a *Authorizer) HasScript(server string, m *mcp.Message) bool {
	return len(a.scripts) > 0 && a.scripts.of(server, m.Subjects()) != nil
}

// decideScript reads the script, decides on what it does, and says which session
// the call gets.
func (a *Authorizer) decideScript(
	ctx context.Context,
	r *Request,
	subjects []mcp.Subject,
	tool *scriptTool,
) Decision {
	effects := awsscript.OfArguments(r.Message.Params.Arguments, tool.argument)
	d := a.decide(ctx, r, subjects, effects)
	d.Script = effects
	if !d.Allowed {
		return d
	}
	switch tool.sessions {
	case authconfig.ScriptSessionsExact:
		if !effects.Complete {
			return Decision{Reason: ReasonScript, Script: effects, NotEnforced: a.LogOnly()}
		}
		d.Narrow = true
	case authconfig.ScriptSessionsAuto:
		// A caller who may run what nobody can read may use all of the role.
		d.Narrow = effects.Complete && !a.decide(ctx, r, subjects, effects.AsIncomplete()).Allowed
	case authconfig.ScriptSessionsRole:
	}
	if a.LogOnly() {
		d.Narrow = false
	}
	if d.Narrow && a.policies != nil {
		question := r.question(policy.CallTool, subjects[0].Name)
		d.HoldRegions = a.policies.ReadsScriptRegions(question)
	}
	return d
}
