package proxy

import (
	"fmt"
	"net/http"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// authorize decides on every message by itself; one denial denies the batch.
func (c *call) authorize() *failure {
	if c.messages == nil {
		return nil
	}
	if f := c.checkAlone(); f != nil {
		return f
	}
	c.decisions = make([]authorize.Decision, len(c.messages.Messages))
	var denial *failure
	for i := range c.messages.Messages {
		d, f := c.decide(&c.messages.Messages[i])
		c.decisions[i] = d
		if denial == nil {
			denial = f
		}
	}
	if denial == nil {
		return c.selectSession(&c.decisions[0])
	}
	for i := range c.decisions {
		// Nothing of the batch went on.
		if c.decisions[i].Allowed {
			c.decisions[i] = authorize.Decision{Reason: reasonBatch}
		}
	}
	return denial
}

// decide gives the decision on one message, and the failure where the decision
// is one that ends the request.
func (c *call) decide(m *mcp.Message) (authorize.Decision, *failure) {
	if f := c.checkTasks(m); f != nil {
		return authorize.Decision{Reason: reasonTask}, f
	}
	authorizer := c.snap.Config.Authorizer
	if authorizer.HasPolicies() && m.IsResponse() && c.session.client == "" {
		return authorize.Decision{Reason: reasonSession}, invalid("a response needs a Mcp-Session-Id")
	}
	asker := c.asker()
	asker.SeenTool = c.seenTool(m)
	decision := authorizer.Decide(c.r.Context(), authorize.Request{Caller: asker, Message: m})
	c.noteScript(&decision)
	switch {
	case decision.Passes():
		return decision, nil
	case decision.Script != nil:
		return decision, c.scriptDenied(&decision)
	case decision.Reason == authorize.ReasonToolDrift:
		return decision, driftedTool(c.denialStatus())
	case decision.Reason == authorize.ReasonMethod:
		return decision, c.unknownMethod()
	}
	return decision, c.denial(m, &decision)
}

// asker is the caller as package authorize takes it.
func (c *call) asker() authorize.Caller {
	return authorize.Caller{
		Principal: c.plan.Principal, Server: c.upstream.Name, Host: c.upstream.Host, Role: c.plan.Role, Now: c.started,
	}
}

// denial is the answer to what policies deny.
func (c *call) denial(m *mcp.Message, decision *authorize.Decision) *failure {
	what := "request"
	if subjects := m.Subjects(); len(subjects) > 0 {
		what = string(subjects[0].Kind)
	}
	f := deniedByPolicy(c.denialStatus(), what)
	if decision.Argument != "" {
		f.message = fmt.Sprintf("access denied: the argument %q %s", decision.Argument, decision.ArgumentFault)
	}
	return f
}

// denialStatus is the HTTP status of what policies deny.
func (c *call) denialStatus() int {
	authorization := c.snap.Config.Authorization
	if authorization != nil && authorization.Denial == authconfig.DenialHTTPForbidden {
		return http.StatusForbidden
	}
	return http.StatusOK
}

func (c *call) unknownMethod() *failure {
	if mcp.IsStateless(c.version) {
		return unknownMethod(http.StatusNotFound)
	}
	return unknownMethod(http.StatusOK)
}

// visibility is an mcp.ListFilter for the caller of one request.
type visibility struct{ *call }

// view is the caller's, from when the first entry of a list is asked about.
func (c *call) view() *authorize.View {
	if c.listed == nil {
		c.listed = c.snap.Config.Authorizer.View(c.asker())
	}
	return c.listed
}

// private reports whether lists differ from caller to caller.
func (v visibility) private() bool { return !v.snap.Config.Authorizer.ShowsAll() || v.isBearer() }

func (v visibility) couldAllow(kind mcp.SubjectKind, name string) bool {
	return v.view().CouldAllow(v.r.Context(), kind, name)
}

// ShowTool implements mcp.ListFilter.
func (v visibility) ShowTool(name string) bool {
	v.server.options.Metrics.KnowTool(name)
	return v.couldAllow(mcp.SubjectTool, name)
}

// ShowPrompt implements mcp.ListFilter.
func (v visibility) ShowPrompt(name string) bool { return v.couldAllow(mcp.SubjectPrompt, name) }

// ShowResource implements mcp.ListFilter.
func (v visibility) ShowResource(uri string) bool { return v.couldAllow(mcp.SubjectResource, uri) }

// ShowTemplate implements mcp.ListFilter.
func (v visibility) ShowTemplate(string) bool {
	return v.view().CouldReadTemplate(v.r.Context())
}

// ShowTask implements mcp.ListFilter.
func (v visibility) ShowTask(id string) bool {
	return !v.isBearer() || v.server.tasks.holds(v.owned(id), v.owner())
}

// IssueTask implements mcp.ListFilter.
func (v visibility) IssueTask(id string) {
	if v.isBearer() && id != "" && len(id) <= maxOwnedID {
		v.server.tasks.claim(v.owned(id), v.owner())
	}
}
