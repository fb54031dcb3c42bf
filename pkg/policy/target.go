package policy

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Bounds of the targets that are remembered; names come from callers.
const (
	maxTargets    = 2048
	maxTargetName = 128
)

// targetKey is what a target follows from.
type targetKey struct {
	action Action
	server string
	// name is empty where all tools of a class share the target.
	name    string
	class   bool
	matches uint64
	hints   toolHints
}

// target is what a request is about, with the policies whose action scope fits.
// Making records is the dearest part of a decision, so targets are kept.
type target struct {
	action   types.Entity
	resource types.Entity
	policies policyList
	// reads are the parts of context that some of the policies read.
	reads *reads
}

func (s *Set) targetOf(r *Request) *target {
	key := targetKey{action: r.Action, server: r.Server, name: r.Name}
	if r.Action == CallTool {
		key.hints = s.hints(r.Name)
		if key.matches, key.class = s.distinctions.classOf(r.Name); key.class {
			key.name = ""
		}
	}
	if len(r.Name) > maxTargetName {
		return s.newTarget(&key, r.Name)
	}
	if known, ok := s.targets.Get(key); ok {
		return known
	}
	t := s.newTarget(&key, r.Name)
	s.targets.Add(key, t)
	return t
}

var inCallTool = types.NewEntityUIDSet(callToolUID)

// newTarget makes that of a key for the subject of a name.
func (s *Set) newTarget(key *targetKey, subject string) *target {
	t := &target{reads: &reads{}}
	t.resource.Parents = types.NewEntityUIDSet(types.NewEntityUID(typeServer, types.String(key.server)))
	name := types.String(subject)
	switch key.action {
	case CallTool:
		t.action = types.Entity{UID: actionUID(subject), Parents: inCallTool}
		t.resource.UID = types.NewEntityUID(typeTool, name)
		t.resource.Attributes = s.toolAttributes(subject, key.hints)
		t.resource.Parents = s.toolParents(subject, t.resource.Parents)
	case ReadResource:
		t.action = types.Entity{UID: readResourceUID}
		t.resource.UID = types.NewEntityUID(typeResource, name)
		t.resource.Attributes = types.NewRecord(types.RecordMap{"uri": name})
	case GetPrompt:
		t.action = types.Entity{UID: getPromptUID}
		t.resource.UID = types.NewEntityUID(typePrompt, name)
		t.resource.Attributes = types.NewRecord(types.RecordMap{"name": name})
	}
	for _, p := range s.policies {
		if actionScopeFits(policyAST(p.policy).Action, &t.action) {
			t.policies = append(t.policies, p)
			t.reads.merge(p.reads)
		}
	}
	return t
}

// actionScopeFits leaves out policies whose action scope is false for the
// action: they can neither decide nor fail.
func actionScopeFits(scope ast.IsActionScopeNode, action *types.Entity) bool {
	in := func(uid types.EntityUID) bool { return uid == action.UID || action.Parents.Contains(uid) }
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity == action.UID
	case ast.ScopeTypeIn:
		return in(s.Entity)
	case ast.ScopeTypeInSet:
		for _, uid := range s.Entities {
			if in(uid) {
				return true
			}
		}
		return false
	}
	return true
}

// hints are a tool's: from tools.json, else MCP's defaults. They are never learned from
// traffic, so that a restart changes no decision.
func (s *Set) hints(tool string) toolHints {
	if saved := s.tools[tool]; saved != nil {
		return saved.hints
	}
	return defaultHints
}

// toolAttributes are a tool's name and hints, and what entities.json gives it.
func (s *Set) toolAttributes(name string, hints toolHints) types.Record {
	attributes := types.RecordMap{
		"name":        types.String(name),
		"readOnly":    types.Boolean(hints.readOnly),
		"destructive": types.Boolean(hints.destructive),
		"idempotent":  types.Boolean(hints.idempotent),
		"openWorld":   types.Boolean(hints.openWorld),
	}
	for own, value := range s.static[toolUID(name)].Attributes.All() {
		attributes[own] = value
	}
	return types.NewRecord(attributes)
}

func toolUID(name string) types.EntityUID { return types.NewEntityUID(typeTool, types.String(name)) }

// toolParents are the server and the groups that entities.json puts a tool into.
func (s *Set) toolParents(name string, server types.EntityUIDSet) types.EntityUIDSet {
	groups := s.static[toolUID(name)].Parents
	if groups.Len() == 0 {
		return server
	}
	var all []types.EntityUID
	for _, set := range []types.EntityUIDSet{server, groups} {
		for uid := range set.All() {
			all = append(all, uid)
		}
	}
	return types.NewEntityUIDSet(all...)
}

// requestEntities are the entities of one request before the static ones.
type requestEntities struct {
	principal *types.Entity
	target    *target
	static    types.EntityMap
}

func (s *Set) entities(r *Request, t *target) *requestEntities {
	return &requestEntities{principal: &r.Principal.entity, target: t, static: s.static}
}

// Get implements cedar.EntityGetter.
func (e *requestEntities) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case e.principal.UID:
		return *e.principal, true
	case e.target.resource.UID:
		return e.target.resource, true
	case e.target.action.UID:
		return e.target.action, true
	}
	entity, ok := e.static[uid]
	return entity, ok
}
