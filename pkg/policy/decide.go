package policy

import (
	"errors"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/go-json-experiment/json/jsontext"
)

// Request is one question: may the principal do this?
type Request struct {
	Principal *Principal
	// Server is the upstream's name, Host its host.
	Server string
	Host   string
	Action Action
	// Name is the tool's name, the resource's URI or the prompt's name.
	Name string
	// Arguments is a JSON object, or empty.
	Arguments jsontext.Value
	// Role is the ARN that would be used, or empty when there is none.
	Role string
	Now  time.Time
}

// Decision is the answer, with what an audit needs to know of it.
type Decision struct {
	Allowed bool
	// Policies are the ids of the policies that decided: the permits of an
	// allow, the forbids of a deny, nothing for a deny by default.
	Policies []string
	// Errors are the ids of policies whose evaluation failed, with the reason.
	Errors []string
	// Reserved is set when the tool bears the name of a built-in action. No
	// mode lets such a call pass.
	Reserved bool
}

// Decide evaluates every policy. Forbid wins over permit, nothing is allowed by
// default, and a forbid policy that fails to evaluate denies: cedar-go would
// pass over it.
func (s *Set) Decide(r Request) Decision {
	if r.Action == CallTool && IsReservedTool(r.Name) {
		return Decision{Reserved: true}
	}
	entities := s.entitiesOf(&r)
	input, err := inputRecord(r.Arguments, s.inputType(&r))
	if err != nil {
		return Decision{Errors: []string{argumentError(err)}}
	}
	decision, diagnostic := cedar.Authorize(s.policies, entities, cedar.Request{
		Principal: r.Principal.entity.UID,
		Action:    entities.action.UID,
		Resource:  entities.resource.UID,
		Context:   s.context(&r, input),
	})
	return s.decision(decision, &diagnostic)
}

func argumentError(err error) string {
	if errors.Is(err, errArgumentType) {
		return errArgumentType.Error()
	}
	return "the arguments cannot be read"
}

func (s *Set) decision(decision cedar.Decision, diagnostic *cedar.Diagnostic) Decision {
	result := Decision{Allowed: decision == cedar.Allow}
	for _, failure := range diagnostic.Errors {
		result.Errors = append(result.Errors, string(failure.PolicyID)+": "+failure.Message)
		if s.forbids[failure.PolicyID] {
			// The permits did not decide any longer.
			if result.Allowed {
				result.Allowed, diagnostic.Reasons = false, nil
			}
			result.Policies = append(result.Policies, string(failure.PolicyID))
		}
	}
	for _, reason := range diagnostic.Reasons {
		result.Policies = append(result.Policies, string(reason.PolicyID))
	}
	return result
}

func (s *Set) inputType(r *Request) *argumentType {
	if r.Action != CallTool {
		return nil
	}
	if tool := s.tools[r.Name]; tool != nil {
		return tool.input
	}
	return nil
}

func (s *Set) context(r *Request, input types.Value) types.Record {
	return types.NewRecord(types.RecordMap{
		"input":  input,
		"server": types.String(r.Host),
		"role":   types.String(r.Role),
		"pod":    s.pod,
		"now":    types.NewDatetime(r.Now),
	})
}

// requestEntities are the entities of one request before the static ones.
type requestEntities struct {
	principal *types.Entity
	action    types.Entity
	resource  types.Entity
	static    types.EntityMap
}

// Get implements cedar.EntityGetter.
func (e *requestEntities) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case e.principal.UID:
		return *e.principal, true
	case e.resource.UID:
		return e.resource, true
	case e.action.UID:
		return e.action, true
	}
	entity, ok := e.static[uid]
	return entity, ok
}

var inCallTool = types.NewEntityUIDSet(callToolUID)

func (s *Set) entitiesOf(r *Request) *requestEntities {
	e := &requestEntities{principal: &r.Principal.entity, static: s.static}
	e.resource.Parents = types.NewEntityUIDSet(types.NewEntityUID(typeServer, types.String(r.Server)))
	name := types.String(r.Name)
	switch r.Action {
	case CallTool:
		e.action = types.Entity{UID: actionUID(r.Name), Parents: inCallTool}
		e.resource.UID = types.NewEntityUID(typeTool, name)
		e.resource.Attributes = s.toolAttributes(r.Name)
	case ReadResource:
		e.action = types.Entity{UID: readResourceUID}
		e.resource.UID = types.NewEntityUID(typeResource, name)
		e.resource.Attributes = types.NewRecord(types.RecordMap{"uri": name})
	case GetPrompt:
		e.action = types.Entity{UID: getPromptUID}
		e.resource.UID = types.NewEntityUID(typePrompt, name)
		e.resource.Attributes = types.NewRecord(types.RecordMap{"name": name})
	}
	return e
}

// toolAttributes are a tool's name and hints: from tools.json, else MCP's
// defaults. They are never learned from traffic, so that a restart changes no
// decision.
func (s *Set) toolAttributes(name string) types.Record {
	var hints toolHints
	if tool := s.tools[name]; tool != nil {
		hints = tool.hints
	}
	hint := func(value *bool, fallback bool) types.Value {
		if value != nil {
			return types.Boolean(*value)
		}
		return types.Boolean(fallback)
	}
	return types.NewRecord(types.RecordMap{
		"name":        types.String(name),
		"readOnly":    hint(hints.ReadOnly, false),
		"destructive": hint(hints.Destructive, true),
		"idempotent":  hint(hints.Idempotent, false),
		"openWorld":   hint(hints.OpenWorld, true),
	})
}
