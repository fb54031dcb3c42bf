package policy

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// maxPatterns bounds the patterns for names by which tools are told apart.
const maxPatterns = 64

// distinctions say which tools the policies can tell apart. All others have, with equal
// hints, the same decisions: they share one target, so that a list of many tools takes
// few decisions.
type distinctions struct {
	// named are the tools that policies or entities.json name.
	named map[string]bool
	// patterns are those that policies match names against.
	patterns []types.Pattern
	// byName is set where a policy that fits every tool does something else with a name.
	byName bool
}

func distinctionsOf(policies policyList, static types.EntityMap) distinctions {
	d := distinctions{named: map[string]bool{}}
	for i := range policies {
		p := policyAST(policies[i].policy)
		for _, uid := range scopeUIDs(p) {
			d.note(uid)
		}
		inspect(p, func(n ast.IsNode) {
			if literal, ok := n.(ast.NodeValue); ok {
				d.noteValue(literal.Value)
			}
		})
		if _, all := toolsInScope(p.Action); all {
			d.noteConditions(p)
		}
	}
	for uid, entity := range static {
		d.note(uid)
		for parent := range entity.Parents.All() {
			d.note(parent)
		}
		d.noteValue(entity.Attributes)
		d.noteValue(entity.Tags)
	}
	d.byName = d.byName || len(d.patterns) > maxPatterns
	return d
}

// classOf gives what tools that cannot be told apart have in common; no class where this
// one is told apart by its name.
func (d *distinctions) classOf(tool string) (matches uint64, ok bool) {
	if d.byName || d.named[tool] {
		return 0, false
	}
	for i, pattern := range d.patterns {
		if pattern.Match(types.String(tool)) {
			matches |= 1 << i
		}
	}
	return matches, true
}

func (d *distinctions) note(uid types.EntityUID) {
	if uid.Type == typeTool || uid.Type == typeAction {
		d.named[string(uid.ID)] = true
	}
}

func (d *distinctions) noteValue(value types.Value) {
	switch v := value.(type) {
	case types.EntityUID:
		d.note(v)
	case types.Set:
		for member := range v.All() {
			d.noteValue(member)
		}
	case types.Record:
		for _, member := range v.All() {
			d.noteValue(member)
		}
	}
}

// scopeUIDs are the entities that a policy's scope names.
func scopeUIDs(p *ast.Policy) []types.EntityUID {
	var uids []types.EntityUID
	for _, scope := range []any{p.Principal, p.Action, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			uids = append(uids, s.Entity)
		case ast.ScopeTypeIn:
			uids = append(uids, s.Entity)
		case ast.ScopeTypeInSet:
			uids = append(uids, s.Entities...)
		case ast.ScopeTypeIsIn:
			uids = append(uids, s.Entity)
		}
	}
	return uids
}

// noteConditions notes by what conditions tell two tools apart that nothing names: a
// pattern for the name, or whatever else looks at the name, or at the entity itself
// where that is not compared with literals.
func (d *distinctions) noteConditions(p *ast.Policy) {
	for _, condition := range p.Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			switch node := n.(type) {
			case ast.NodeTypeLike:
				if isToolName(node.Arg) {
					d.patterns = append(d.patterns, node.Value)
					return false
				}
			case ast.NodeTypeAccess:
				if isTool(node.Arg) {
					d.byName = d.byName || node.Value == "name"
					return false
				}
			case ast.NodeTypeHas:
				return !isTool(node.Arg)
			case ast.NodeTypeIs:
				return !isTool(node.Left)
			case ast.NodeTypeEquals:
				return !d.comparesTool(node.BinaryNode)
			case ast.NodeTypeNotEquals:
				return !d.comparesTool(node.BinaryNode)
			case ast.NodeTypeContains:
				return !d.comparesTool(node.BinaryNode)
			case ast.NodeTypeIn:
				return !d.comparesTool(node.BinaryNode)
			}
			d.byName = d.byName || isTool(n)
			return !d.byName
		})
	}
}

// comparesTool reports whether the tool, or its name, is compared with literals alone; tools
// of these names are named then.
func (d *distinctions) comparesTool(b ast.BinaryNode) bool {
	for _, sides := range [][2]ast.IsNode{{b.Left, b.Right}, {b.Right, b.Left}} {
		if !isTool(sides[0]) && !isToolName(sides[0]) {
			continue
		}
		if literals, ok := literalsOf(sides[1]); ok {
			for _, literal := range literals {
				if name, isString := literal.(types.String); isString {
					d.named[string(name)] = true
				}
			}
			return true
		}
	}
	return false
}

// isTool reports whether an expression is the called tool, as resource or as action.
func isTool(n ast.IsNode) bool {
	variable, ok := n.(ast.NodeTypeVariable)
	return ok && (variable.Name == "resource" || variable.Name == "action")
}

func isToolName(n ast.IsNode) bool {
	access, ok := n.(ast.NodeTypeAccess)
	return ok && access.Value == "name" && isTool(access.Arg)
}

// literalsOf gives the values of an expression that is a literal, or a set of some.
func literalsOf(n ast.IsNode) ([]types.Value, bool) {
	switch node := n.(type) {
	case ast.NodeValue:
		if set, ok := node.Value.(types.Set); ok {
			return set.Slice(), true
		}
		return []types.Value{node.Value}, true
	case ast.NodeTypeSet:
		var all []types.Value
		for _, member := range node.Elements {
			literals, ok := literalsOf(member)
			if !ok {
				return nil, false
			}
			all = append(all, literals...)
		}
		return all, true
	}
	return nil, false
}
