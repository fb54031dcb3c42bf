// Package authorize turns one message of one caller into one decision. The
// proxy and explain both ask here, so that an explanation is what would happen.
package authorize

import (
	"context"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
)

// Reason says what a decision rests on; it ends up in audit records and as a
// metric's label.
type Reason string

// The reasons.
const (
	// ReasonPolicy: a policy decided, or none permitted it.
	ReasonPolicy Reason = "policy"
	// ReasonReserved: the tool bears the name of a built-in action.
	ReasonReserved Reason = "reserved"
	// ReasonNoPolicies: the auth-config has no policies.
	ReasonNoPolicies Reason = "noPolicies"
	// ReasonMethod: policies know nothing of the method.
	ReasonMethod Reason = "method"
	// ReasonToolDrift: the tool is not as tools.lock has it.
	ReasonToolDrift Reason = "toolDrift"
	// ReasonScript: the script cannot be read, and scriptSessions is exact.
	ReasonScript Reason = "script"
)

// EveryToolAllowed is how programs say that an auth-config has no policies.
const EveryToolAllowed = "the auth-config has no policies: every tool is allowed"

// Request is one message of one caller for one upstream.
type Request struct {
	Caller
	Message *mcp.Message
}

// Caller is who asks, where, and as which role.
type Caller struct {
	Principal *policy.Principal
	// Server is the upstream's name, Host its host.
	Server string
	Host   string
	// Role is the ARN that would be used, or empty when there is none.
	Role string
	Now  time.Time
	// SeenTool is the hash of the tool as the upstream listed it last; empty while it has
	// not. See package toolslock.
	SeenTool string
}

// Decision is the answer, with what an audit needs to know of it.
type Decision struct {
	// Allowed is what the rules say.
	Allowed bool
	// NotEnforced marks a denial that logOnly lets pass.
	NotEnforced bool
	// Reason is empty for messages that ask for nothing that a policy protects.
	Reason Reason
	// Policies are the ids of the policies that decided: the permits of an
	// allow, the forbids of a deny, nothing for a deny by default.
	Policies []string
	// Errors are policies whose evaluation failed, with the reason.
	Errors []string
	// Argument names the argument that no policy can compare, and ArgumentFault says
	// why, where that is the reason of a denial.
	Argument      string
	ArgumentFault string
	// Script is what the call's script does, nil for calls without one.
	Script *awsscript.Effects
	// Narrow: the call gets a session that can do what the script does and nothing
	// else. HoldRegions: nor that in other Regions than the script's, since policies
	// decide on them.
	Narrow      bool
	HoldRegions bool
}

// Passes reports whether the message may go on.
func (d *Decision) Passes() bool { return d.Allowed || d.NotEnforced }

// Authorizer decides by the policies of one auth-config. It is safe for
// concurrent use.
type Authorizer struct {
	policies *policy.Set
	scripts  scripts
	pins     pins
}

// New makes an Authorizer; without policies (nil) every tool is allowed.
func New(policies *policy.Set, upstreams []authconfig.Upstream) *Authorizer {
	return &Authorizer{policies: policies, scripts: scriptsOf(upstreams)}
}

// Declare gives a principal the claims that the auth-config declares for policies.
func (a *Authorizer) Declare(p *policy.Principal, claims map[string]any) {
	a.policies.Declare(p, claims)
}

// TagClaims are the claims that policies may ask for as tags of a principal.
func (a *Authorizer) TagClaims(claims map[string]any) map[string]any {
	return a.policies.TagClaims(claims)
}

// HasPolicies is false when every tool is allowed.
func (a *Authorizer) HasPolicies() bool { return a.policies != nil }

// PolicyCount is the number of policies.
func (a *Authorizer) PolicyCount() int {
	if a.policies == nil {
		return 0
	}
	return a.policies.Count()
}

// ReadsInput reports whether a policy that could decide a call reads its arguments.
func (a *Authorizer) ReadsInput(r Request) bool {
	subjects := r.Message.Subjects()
	if a.policies == nil || len(subjects) != 1 || actions[subjects[0].Kind] == "" {
		return false
	}
	return a.policies.ReadsInput(r.question(actions[subjects[0].Kind], subjects[0].Name))
}

// ReadsActor reports whether a policy asks who acts for the caller.
func (a *Authorizer) ReadsActor() bool { return a.policies != nil && a.policies.ReadsActor() }

// LogOnly reports whether what policies deny is recorded and let pass.
func (a *Authorizer) LogOnly() bool { return a.policies != nil && a.policies.LogOnly() }

// ShowsAll reports whether lists are whole: there is nothing that hides an entry.
func (a *Authorizer) ShowsAll() bool {
	return !a.pins.isOn() && (a.policies == nil || a.policies.LogOnly())
}

// actions are the built-in actions by the kind of subject that they are about;
// no policy decides on the other kinds.
var actions = map[mcp.SubjectKind]policy.Action{
	mcp.SubjectTool: policy.CallTool, mcp.SubjectResource: policy.ReadResource, mcp.SubjectPrompt: policy.GetPrompt,
}

// Decide gives the decision on a message: on every subject of it that policies
// decide on, and one denial denies the message.
func (a *Authorizer) Decide(ctx context.Context, r Request) Decision {
	subjects := r.Message.Subjects()
	for i := range subjects {
		if subjects[i].Kind == mcp.SubjectTool && policy.IsReservedTool(subjects[i].Name) {
			return Decision{Reason: ReasonReserved}
		}
	}
	if a.pins.deny(&r, subjects) {
		return Decision{Reason: ReasonToolDrift}
	}
	if script := a.scripts.of(r.Server, subjects); script != nil {
		return a.decideScript(ctx, &r, subjects, script)
	}
	return a.decide(ctx, &r, subjects, nil)
}

// decide gives the decision on a message; effects are those of its script.
func (a *Authorizer) decide(
	ctx context.Context,
	r *Request,
	subjects []mcp.Subject,
	effects *awsscript.Effects,
) Decision {
	if a.policies == nil {
		d := Decision{Allowed: true}
		for i := range subjects {
			if actions[subjects[i].Kind] != "" {
				d.Reason = ReasonNoPolicies
			}
		}
		return d
	}
	if !r.Message.IsKnown() {
		return Decision{Reason: ReasonMethod, NotEnforced: a.policies.LogOnly()}
	}
	return a.ask(ctx, r, subjects, effects)
}

// ask puts the question to the policies, once for each subject.
func (a *Authorizer) ask(
	ctx context.Context,
	r *Request,
	subjects []mcp.Subject,
	effects *awsscript.Effects,
) Decision {
	result := Decision{Allowed: true}
	for i := range subjects {
		action := actions[subjects[i].Kind]
		if action == "" {
			continue
		}
		question := r.question(action, subjects[i].Name)
		var said policy.Decision
		if subjects[i].AnyArguments {
			said = a.policies.DecideWithAnyArguments(ctx, question)
		} else {
			question.Arguments, question.Script = r.Message.Params.Arguments, effects
			said = a.policies.Decide(ctx, question)
		}
		result.Reason = ReasonPolicy
		result.Policies = append(result.Policies, said.Policies...)
		result.Errors = append(result.Errors, said.Errors...)
		if !said.Allowed {
			return Decision{
				Reason: ReasonPolicy, Policies: said.Policies, Errors: said.Errors, NotEnforced: a.policies.LogOnly(),
				Argument: said.Argument, ArgumentFault: said.ArgumentFault,
			}
		}
	}
	return result
}

// View answers what one caller could use; lists show what could. It may say yes where
// nothing is allowed, never no where something is. It is not safe for concurrent use.
type View struct {
	authorizer *Authorizer
	caller     Caller
	// policies is nil where everything is shown.
	policies *policy.View
}

// View makes that of a caller.
func (a *Authorizer) View(caller Caller) *View {
	v := &View{authorizer: a, caller: caller}
	if a.policies != nil && !a.policies.LogOnly() {
		v.policies = a.policies.View(caller.question("", ""))
	}
	return v
}

// CouldAllow reports whether the caller could be allowed to use the subject with
// some arguments.
func (v *View) CouldAllow(ctx context.Context, kind mcp.SubjectKind, name string) bool {
	action := actions[kind]
	if action == "" || v.policies == nil {
		return true
	}
	takesScript := kind == mcp.SubjectTool && v.authorizer.scripts.find(v.caller.Server, name) != nil
	return v.policies.CouldAllow(ctx, action, name, takesScript)
}

// CouldReadTemplate reports whether some resource of the server, with whatever
// URI, could be read.
func (v *View) CouldReadTemplate(ctx context.Context) bool {
	return v.policies == nil || v.policies.CouldReadTemplate(ctx)
}

func (c *Caller) question(action policy.Action, name string) policy.Request {
	return policy.Request{
		Principal: c.Principal, Server: c.Server, Host: c.Host, Action: action, Name: name, Role: c.Role, Now: c.Now,
	}
}
