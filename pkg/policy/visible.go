package policy

import (
	"context"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/batch"
)

// CouldAllow answers whether some arguments exist with which the request is
// allowed. It may say yes where none do; it never says no where some do. That
// is what lists and requests with unknown arguments need.
func (s *Set) CouldAllow(ctx context.Context, r Request) Decision {
	if r.Action == CallTool && IsReservedTool(r.Name) {
		return Decision{Reserved: true}
	}
	t := s.targetOf(&r)
	return s.partial(ctx, t.policies, s.entities(&r, t), batch.Request{
		Principal: r.Principal.entity.UID,
		Action:    t.action.UID,
		Resource:  t.resource.UID,
		Context:   s.context(&r, batch.Ignore()),
	})
}

// DecideWithAnyArguments is CouldAllow for a request that is sent, and not only
// shown: where a claim cannot be compared it denies, as Decide does.
func (s *Set) DecideWithAnyArguments(ctx context.Context, r Request) Decision {
	if r.Action != CallTool || !IsReservedTool(r.Name) {
		if m := s.undecidable(&r, s.targetOf(&r), r.Principal.mismatches); m != nil {
			return m.denial()
		}
	}
	return s.CouldAllow(ctx, r)
}

// CouldReadTemplate answers whether some resource of the server, with whatever
// URI, may be read. Name and Arguments of the request are not looked at.
func (s *Set) CouldReadTemplate(ctx context.Context, r Request) Decision {
	r.Action, r.Name = ReadResource, ""
	t := s.targetOf(&r)
	return s.partial(ctx, s.templates[r.Server], s.entities(&r, t), batch.Request{
		Principal: r.Principal.entity.UID,
		Action:    t.action.UID,
		Resource:  batch.Ignore(),
		Context:   s.context(&r, batch.Ignore()),
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
