package policy

import (
	"context"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/batch"
)

// View answers what one caller could use of one server, as lists need it: many questions
// that differ in their subject alone. It is not safe for concurrent use.
type View struct {
	set     *Set
	request Request
	// plain and script are the contexts of calls without and with a script, once asked for.
	plain, script *types.Record
	answers       map[subject]bool
	template      *bool
}

// subject is what an answer follows from.
type subject struct {
	target      *target
	takesScript bool
}

// View makes one for the caller, server, role and time of a request.
func (s *Set) View(r Request) *View {
	return &View{set: s, request: r, answers: map[subject]bool{}}
}

// CouldAllow reports whether some arguments exist with which the action on the subject of
// that name is allowed. It may say yes where none do; it never says no where some do.
func (v *View) CouldAllow(ctx context.Context, action Action, name string, takesScript bool) bool {
	if action == CallTool && IsReservedTool(name) {
		return false
	}
	r := &v.request
	r.Action, r.Name, r.TakesScript = action, name, takesScript
	t := v.set.targetOf(r)
	answer, known := v.answers[subject{t, takesScript}]
	if !known {
		answer = v.set.couldAllow(ctx, r, t, v.context()).Allowed
		v.answers[subject{t, takesScript}] = answer
	}
	return answer
}

// CouldReadTemplate reports whether some resource of the server, with whatever URI, may be
// read.
func (v *View) CouldReadTemplate(ctx context.Context) bool {
	if v.template == nil {
		r := &v.request
		r.Action, r.Name, r.TakesScript = ReadResource, "", false
		t := v.set.targetOf(r)
		allowed := v.set.partial(ctx, v.set.templates[r.Server], v.set.entities(r, t), batch.Request{
			Principal: r.Principal.entity.UID,
			Action:    t.action.UID,
			Resource:  batch.Ignore(),
			Context:   v.context(),
		}).Allowed
		v.template = &allowed
	}
	return *v.template
}

func (v *View) context() types.Record {
	kept := &v.plain
	if v.request.TakesScript {
		kept = &v.script
	}
	if *kept == nil {
		record := v.set.context(&v.request, batch.Ignore(), everything)
		*kept = &record
	}
	return **kept
}

// DecideWithAnyArguments answers whether some arguments exist with which the request is
// allowed, for one that is sent, and not only shown: where a claim cannot be compared
// it denies, as Decide does.
func (s *Set) DecideWithAnyArguments(ctx context.Context, r Request) Decision {
	if r.Action == CallTool && IsReservedTool(r.Name) {
		return Decision{Reserved: true}
	}
	t := s.targetOf(&r)
	if m := s.undecidable(&r, t, r.Principal.mismatches); m != nil {
		return m.denial()
	}
	return s.couldAllow(ctx, &r, t, s.context(&r, batch.Ignore(), t.reads))
}

func (s *Set) couldAllow(ctx context.Context, r *Request, t *target, context types.Record) Decision {
	if t.reads.of(contextInput) == nil && (!r.TakesScript || t.reads.of(contextAWS) == nil) {
		// Nothing that is read is unknown, and no search is needed.
		return s.authorize(ctx, r, t, context)
	}
	return s.partial(ctx, t.policies, s.entities(r, t), batch.Request{
		Principal: r.Principal.entity.UID, Action: t.action.UID, Resource: t.resource.UID, Context: context,
	})
}

func (s *Set) partial(
	ctx context.Context,
	policies policyList,
	entities *requestEntities,
	request batch.Request,
) Decision {
	var result Decision
	err := batch.Authorize(ctx, policies, entities, request, func(r batch.Result) error {
		result = s.decision(r.Decision, &r.Diagnostic)
		return nil
	})
	if err != nil {
		return Decision{Errors: []string{err.Error()}}
	}
	return result
}

// templatePolicies rewrites resource scopes for an unknown resource of one
// server. The batch evaluator lets an ignored resource match any scope, which
// is right for permits and wrong for forbids: a forbid on one resource would
// hide every template.
func templatePolicies(policies policyList, server string, static types.EntityMap) policyList {
	var list policyList
	for _, p := range policies {
		source := policyAST(p.policy)
		if !reachesResources(source, types.NewEntityUID(typeServer, types.String(server)), static) {
			continue
		}
		rewritten := *source
		rewritten.Resource = ast.ScopeTypeAll{}
		p.policy = cedar.NewPolicyFromAST((*cedarast.Policy)(&rewritten))
		list = append(list, p)
	}
	return list
}

// reachesResources reports whether the scope can hold (permit) or always holds
// (forbid) for the resources of a server.
func reachesResources(p *ast.Policy, server types.EntityUID, static types.EntityMap) bool {
	permits := p.Effect == ast.EffectPermit
	inServer := func(uid types.EntityUID) bool {
		// A resource can be in itself: that is one resource, not all of them.
		return permits && uid.Type == typeResource ||
			isWithin(server, uid, func(uid types.EntityUID) types.EntityUIDSet { return static[uid].Parents })
	}
	switch s := p.Resource.(type) {
	case ast.ScopeTypeAll:
		return true
	case ast.ScopeTypeEq:
		return permits && s.Entity.Type == typeResource
	case ast.ScopeTypeIn:
		return inServer(s.Entity)
	case ast.ScopeTypeIs:
		return s.Type == typeResource
	case ast.ScopeTypeIsIn:
		return s.Type == typeResource && inServer(s.Entity)
	}
	return permits
}
