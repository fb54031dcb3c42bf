package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Bounds on the search for dead policies. What they cut off is not named.
const (
	// maxProbedTools is for how many tools one policy is looked at.
	maxProbedTools = 64
	// maxProbeWork bounds the conditions that are checked for one auth-config, times the
	// size of its schema: cedar-go looks at all of it for each.
	maxProbeWork = 4_000_000
)

// deadFinder finds policies that can decide no request of an auth-config.
type deadFinder struct {
	validator  *validate.Validator
	principals []types.EntityType
	// size is that of the schema; left counts down from maxProbeWork.
	size, left int
}

// neverApplies says why a policy can decide no request of this auth-config, or
// nothing when it may decide one. The type checker knows which conditions are
// false for every entity and every context of the schema. It does not report
// them, but it skips whatever follows them: a condition that is joined with an ill-typed one is
// well-typed only when it is false.
//
// It errs on one side: a policy that can apply is never named.
func (f *deadFinder) neverApplies(p *ast.Policy) string {
	if why := otherTool(p); why != "" {
		return why
	}
	if why := otherCaller(p, f.principals); why != "" {
		return why
	}
	var tools []string
	if named, all := toolsInScope(p.Action); !all {
		tools = named
	} else {
		// Any tool's name but those that the policy names stands for all others.
		tools = append(namedTools(p), "")
	}
	if !f.isFalse(p, nil) {
		if len(tools) > maxProbedTools {
			return ""
		}
		for _, tool := range tools {
			if !f.isFalse(p, &tool) {
				return ""
			}
		}
		if len(tools) == 0 {
			return ""
		}
		return "no tool has both the action and the resource that it asks for"
	}
	for _, part := range conjuncts(joined(p)) {
		alone := *p
		alone.Conditions = []ast.ConditionType{{Condition: ast.ConditionWhen, Body: part}}
		if f.isFalse(&alone, nil) {
			return fmt.Sprintf("no request has `%s`", render(part))
		}
	}
	return "its conditions exclude each other, or its scope"
}

// otherTool finds a scope whose action is one tool's and whose resource is
// another tool.
func otherTool(p *ast.Policy) string {
	resource, ok := p.Resource.(ast.ScopeTypeEq)
	if !ok || resource.Entity.Type != typeTool {
		return ""
	}
	named, all := toolsInScope(p.Action)
	if all || slices.Contains(named, string(resource.Entity.ID)) {
		return ""
	}
	return fmt.Sprintf(
		"the action of a call bears the name of its tool, so none of its actions has the resource %s",
		resource.Entity,
	)
}

// otherCaller finds a scope whose principal is of a kind that this auth-config's
// identity source never gives.
func otherCaller(p *ast.Policy, principals []types.EntityType) string {
	s := scopeOf(p.Principal)
	kind := s.typ
	if s.equal != nil {
		kind = s.equal.Type
	}
	if kind == "" || slices.Contains(principals, kind) {
		return ""
	}
	return fmt.Sprintf("no caller of this auth-config is a %s", kind)
}

// toolsInScope are the tools whose actions are named in a scope; all is set when
// it holds for every tool, or for actions that are none of tools.
func toolsInScope(scope ast.IsActionScopeNode) (named []string, all bool) {
	var uids []types.EntityUID
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		uids = []types.EntityUID{s.Entity}
	case ast.ScopeTypeIn:
		uids = []types.EntityUID{s.Entity}
	case ast.ScopeTypeInSet:
		uids = s.Entities
	default:
		return nil, true
	}
	for _, uid := range uids {
		if uid.Type != typeAction || IsReservedTool(string(uid.ID)) {
			return nil, true
		}
		named = append(named, string(uid.ID))
	}
	return named, false
}

// namedTools are all tools that a policy names, as an action or as a resource.
func namedTools(p *ast.Policy) []string {
	var names []string
	note := func(uid types.EntityUID) {
		if uid.Type == typeTool || uid.Type == typeAction {
			names = append(names, string(uid.ID))
		}
	}
	if resource, ok := p.Resource.(ast.ScopeTypeEq); ok {
		note(resource.Entity)
	}
	for _, uid := range namedActions(p) {
		note(uid)
	}
	inspect(p, func(n ast.IsNode) {
		if value, ok := n.(ast.NodeValue); ok {
			if uid, isEntity := value.Value.(types.EntityUID); isEntity {
				note(uid)
			}
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// isFalse reports whether the policy's conditions are false in every environment of
// its scope; with a tool, for calls of that one. It says no where it has looked at
// enough.
func (f *deadFinder) isFalse(p *ast.Policy, tool *string) bool {
	if len(p.Conditions) == 0 {
		return false
	}
	probe := *p
	if _, all := toolsInScope(p.Action); !all && tool != nil {
		probe.Action = ast.ScopeTypeEq{Entity: types.NewEntityUID(typeAction, types.String(*tool))}
	}
	if f.left -= f.size; f.left < 0 {
		return false
	}
	condition := overApproximated(joined(p), tool)
	illTyped := ast.NodeTypeLessThan{
		BinaryNode: ast.BinaryNode{
			Left:  ast.NodeValue{Value: types.String("")},
			Right: ast.NodeValue{Value: types.Long(0)},
		},
	}
	probe.Conditions = []ast.ConditionType{{
		Condition: ast.ConditionWhen,
		Body:      ast.NodeTypeAnd{BinaryNode: ast.BinaryNode{Left: condition, Right: illTyped}},
	}}
	return guarded(func() error { return f.validator.Policy("", &probe) }) == nil
}

// withJoinedConditions gives the policy with one condition in place of several.
func withJoinedConditions(p *ast.Policy) *ast.Policy {
	if len(p.Conditions) < 2 {
		return p
	}
	one := *p
	one.Conditions = []ast.ConditionType{{Condition: ast.ConditionWhen, Body: joined(p)}}
	return &one
}

// joined is the condition that all conditions of a policy make together.
func joined(p *ast.Policy) ast.IsNode {
	var all ast.IsNode
	for _, condition := range p.Conditions {
		body := condition.Body
		if condition.Condition == ast.ConditionUnless {
			body = ast.NodeTypeNot{UnaryNode: ast.UnaryNode{Arg: body}}
		}
		if all == nil {
			all = body
			continue
		}
		all = ast.NodeTypeAnd{BinaryNode: ast.BinaryNode{Left: all, Right: body}}
	}
	return all
}

// conjuncts takes a condition apart at every &&.
func conjuncts(n ast.IsNode) []ast.IsNode {
	if and, ok := n.(ast.NodeTypeAnd); ok {
		return append(conjuncts(and.Left), conjuncts(and.Right)...)
	}
	return []ast.IsNode{n}
}

// overApproximated writes what the type checker cannot know as a boolean that it
// knows nothing of: everything that reads arguments, of which a call may have more
// than a schema says. With a tool, what compares action and resource with
// entities becomes what it is for a call of that tool.
func overApproximated(n ast.IsNode, tool *string) ast.IsNode {
	binary := func(b ast.BinaryNode) ast.BinaryNode {
		return ast.BinaryNode{Left: overApproximated(b.Left, tool), Right: overApproximated(b.Right, tool)}
	}
	switch node := n.(type) {
	case ast.NodeTypeAnd:
		return ast.NodeTypeAnd{BinaryNode: binary(node.BinaryNode)}
	case ast.NodeTypeOr:
		return ast.NodeTypeOr{BinaryNode: binary(node.BinaryNode)}
	case ast.NodeTypeNot:
		return ast.NodeTypeNot{UnaryNode: ast.UnaryNode{Arg: overApproximated(node.Arg, tool)}}
	case ast.NodeTypeIfThenElse:
		if readsArguments(node.Then) || readsArguments(node.Else) {
			return anyBoolean
		}
		return ast.NodeTypeIfThenElse{If: overApproximated(node.If, tool), Then: node.Then, Else: node.Else}
	case ast.NodeTypeEquals:
		if known, ok := comparison(node.BinaryNode, tool); ok {
			return ast.NodeValue{Value: types.Boolean(known)}
		}
	case ast.NodeTypeNotEquals:
		if known, ok := comparison(node.BinaryNode, tool); ok {
			return ast.NodeValue{Value: types.Boolean(!known)}
		}
	}
	if readsArguments(n) {
		return anyBoolean
	}
	return n
}

// anyBoolean is an expression that may be true or false for all that a type checker
// knows.
var anyBoolean = ast.NodeTypeEquals{
	BinaryNode: ast.BinaryNode{Left: contextString("server"), Right: contextString("role")},
}

func contextString(attribute types.String) ast.IsNode {
	return ast.NodeTypeAccess{StrOpNode: ast.StrOpNode{Arg: ast.NodeTypeVariable{Name: "context"}, Value: attribute}}
}

// readsArguments reports whether an expression has anything of context.input, or
// context as a whole.
func readsArguments(n ast.IsNode) bool {
	read := contextReads(&ast.Policy{Conditions: []ast.ConditionType{{Condition: ast.ConditionWhen, Body: n}}})
	return read.of(contextInput) != nil
}

// comparison is the outcome of action == E or resource == E for a call of the tool.
func comparison(b ast.BinaryNode, tool *string) (equal, known bool) {
	variable, value := b.Left, b.Right
	if _, ok := variable.(ast.NodeValue); ok {
		variable, value = value, variable
	}
	name, isVariable := variable.(ast.NodeTypeVariable)
	literal, isLiteral := value.(ast.NodeValue)
	if !isVariable || !isLiteral {
		return false, false
	}
	uid, isEntity := literal.Value.(types.EntityUID)
	if !isEntity {
		return false, false
	}
	if name.Name == "action" && uid == callToolUID {
		return false, true // the action of a call is its tool's, in that group
	}
	if tool == nil {
		return false, false
	}
	switch name.Name {
	case "action":
		return uid.Type == typeAction &&
				string(uid.ID) == *tool, uid.Type == typeAction &&
				!IsReservedTool(string(uid.ID))
	case "resource":
		return uid.Type == typeTool && string(uid.ID) == *tool, uid.Type == typeTool
	}
	return false, false
}

// render writes an expression as policies do.
func render(n ast.IsNode) string {
	p := ast.Permit()
	p.Conditions = []ast.ConditionType{{Condition: ast.ConditionWhen, Body: n}}
	text := cedar.NewPolicyFromAST((*cedarast.Policy)(p)).MarshalCedar()
	_, body, _ := bytes.Cut(text, []byte("when {"))
	rendered := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(string(body)), ";"), "}")
	const most = 200
	if rendered = strings.TrimSpace(rendered); len(rendered) > most {
		rendered = rendered[:most] + "..."
	}
	return rendered
}
