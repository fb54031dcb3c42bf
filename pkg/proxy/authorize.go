package proxy

import (
	"net/http"
	"strings"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
)

// authorize decides on every message by itself; one denial denies the batch.
func (c *call) authorize() *failure {
	if c.messages == nil {
		return nil
	}
	c.decisions = make([]messageDecision, len(c.messages.Messages))
	var denial *failure
	for i := range c.messages.Messages {
		d, f := c.decide(&c.messages.Messages[i])
		c.decisions[i] = d
		if denial == nil {
			denial = f
		}
	}
	if denial == nil {
		return nil
	}
	for i := range c.decisions {
		// Nothing of the batch went on.
		if c.decisions[i].Allowed {
			c.decisions[i] = messageDecision{reason: reasonBatch, enforced: true}
		}
	}
	return denial
}

// needs says what a message needs; action is empty for what is free of policy.
type needs struct {
	action policy.Action
	names  []string
	// anyArguments: the arguments are not known, so what could be allowed with
	// some is allowed.
	anyArguments bool
	// unknown: policies know nothing of this method.
	unknown bool
}

func needsOf(m *mcp.Message) needs {
	p := &m.Params
	switch m.Method {
	case mcp.MethodCallTool:
		return needs{action: policy.CallTool, names: []string{p.Name}}
	case mcp.MethodReadResource, mcp.MethodSubscribe, mcp.MethodUnsubscribe:
		return needs{action: policy.ReadResource, names: []string{p.URI}}
	case mcp.MethodListen:
		return needs{action: policy.ReadResource, names: p.Subscriptions}
	case mcp.MethodGetPrompt:
		return needs{action: policy.GetPrompt, names: []string{p.Name}}
	case mcp.MethodComplete:
		switch {
		case p.Ref.Type == "ref/prompt" && p.Ref.Name != "":
			return needs{action: policy.GetPrompt, names: []string{p.Ref.Name}, anyArguments: true}
		case p.Ref.Type == "ref/resource" && p.Ref.URI != "":
			return needs{action: policy.ReadResource, names: []string{p.Ref.URI}, anyArguments: true}
		}
		return needs{unknown: true}
	case mcp.MethodInitialize, mcp.MethodPing, mcp.MethodDiscover, mcp.MethodSetLevel, mcp.MethodListTools,
		mcp.MethodListPrompts, mcp.MethodListResources, mcp.MethodListTemplates:
		return needs{}
	}
	return needs{unknown: !m.IsResponse() && !mcp.IsNotificationMethod(m.Method) && !mcp.IsTaskMethod(m.Method)}
}

// decide gives the decision on one message, and the failure where the decision
// is one that ends the request.
func (c *call) decide(m *mcp.Message) (messageDecision, *failure) {
	if f := c.checkTask(m); f != nil {
		return messageDecision{reason: f.reason, enforced: true}, f
	}
	policies := c.snap.config.Policies
	need := needsOf(m)
	if need.action == policy.CallTool && policy.IsReservedTool(m.Params.Name) {
		return messageDecision{reason: reasonReserved, enforced: true}, c.denial(m)
	}
	allowed := messageDecision{Decision: policy.Decision{Allowed: true}}
	if policies == nil {
		if need.action != "" {
			allowed.reason = reasonNoPolicies
		}
		return allowed, nil
	}
	if m.IsResponse() && c.sessionID == "" {
		return messageDecision{reason: reasonSession, enforced: true}, invalid("a response needs a Mcp-Session-Id")
	}
	decision := c.ask(policies, m, need)
	if decision.Allowed {
		return decision, nil
	}
	if policies.LogOnly() {
		decision.enforced = false
		return decision, nil
	}
	if need.unknown {
		return decision, c.unknownMethod()
	}
	return decision, c.denial(m)
}

// ask puts the question to the policies, once for each name.
func (c *call) ask(policies *policy.Set, m *mcp.Message, need needs) messageDecision {
	if need.unknown {
		return messageDecision{reason: reasonMethod, enforced: true}
	}
	result := messageDecision{Decision: policy.Decision{Allowed: true}, enforced: true}
	for _, name := range need.names {
		request := c.request(need.action, name)
		var decision policy.Decision
		switch {
		case !need.anyArguments:
			request.Arguments = m.Params.Arguments
			decision = policies.Decide(request)
		case strings.Contains(name, "{") && need.action == policy.ReadResource:
			decision = policies.CouldReadTemplate(c.r.Context(), request)
		default:
			decision = policies.CouldAllow(c.r.Context(), request)
		}
		result.reason = reasonPolicy
		result.Policies = append(result.Policies, decision.Policies...)
		result.Errors = append(result.Errors, decision.Errors...)
		if !decision.Allowed {
			result.Decision = decision
			return result
		}
	}
	return result
}

func (c *call) request(action policy.Action, name string) policy.Request {
	return policy.Request{
		Principal: c.plan.principal, Server: c.upstream.name, Host: c.upstream.host,
		Action: action, Name: name, Role: c.plan.role, Now: c.started,
	}
}

// denial is the answer to what policies deny. Which policies is for the record
// only.
func (c *call) denial(m *mcp.Message) *failure {
	what := "request"
	switch needsOf(m).action {
	case policy.CallTool:
		what = "tool"
	case policy.ReadResource:
		what = "resource"
	case policy.GetPrompt:
		what = "prompt"
	}
	f := &failure{
		status: http.StatusOK, code: codeDenied, message: "access denied: this " + what + " is not allowed for this caller",
		reason: reasonPolicy, shown: reasonPolicy, denied: true,
	}
	authorization := c.snap.config.Authorization
	if authorization != nil && authorization.Denial == authconfig.DenialHTTPForbidden {
		f.status = http.StatusForbidden
	}
	return f
}

func (c *call) unknownMethod() *failure {
	f := &failure{
		status: http.StatusOK, code: mcp.CodeMethodNotFound, message: "the method is not one that policies know",
		reason: reasonMethod, denied: true,
	}
	if mcp.IsStateless(c.version) {
		f.status = http.StatusNotFound
	}
	return f
}

// visibility is an mcp.ListFilter for the caller of one request.
type visibility struct {
	*call
	// whole: nothing is hidden by policy.
	whole bool
}

func (c *call) visibility() *visibility {
	policies := c.snap.config.Policies
	return &visibility{call: c, whole: policies == nil || policies.LogOnly()}
}

// private says whether lists differ from caller to caller.
func (v *visibility) private() bool { return !v.whole || v.isBearer() }

func (v *visibility) couldAllow(action policy.Action, name string) bool {
	return v.whole || v.snap.config.Policies.CouldAllow(v.r.Context(), v.request(action, name)).Allowed
}

// ShowTool implements mcp.ListFilter.
func (v *visibility) ShowTool(name string) bool {
	v.server.options.Metrics.KnowTool(name)
	return v.couldAllow(policy.CallTool, name)
}

// ShowPrompt implements mcp.ListFilter.
func (v *visibility) ShowPrompt(name string) bool { return v.couldAllow(policy.GetPrompt, name) }

// ShowResource implements mcp.ListFilter.
func (v *visibility) ShowResource(uri string) bool { return v.couldAllow(policy.ReadResource, uri) }

// ShowTemplate implements mcp.ListFilter.
func (v *visibility) ShowTemplate(string) bool {
	return v.whole || v.snap.config.Policies.CouldReadTemplate(v.r.Context(), v.request(policy.ReadResource, "")).Allowed
}

// ShowTask implements mcp.ListFilter.
func (v *visibility) ShowTask(id string) bool {
	return !v.isBearer() || v.server.tasks.holds(v.owned(id), v.owner())
}

// IssueTask implements mcp.ListFilter.
func (v *visibility) IssueTask(id string) {
	if v.isBearer() && id != "" && len(id) <= maxOwnedID {
		v.server.tasks.claim(v.owned(id), v.owner())
	}
}
