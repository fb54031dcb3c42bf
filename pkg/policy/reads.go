package policy

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// reads are the parts of a record that policies read, as a tree of attribute
// names. Only these become Cedar values, and only of these it matters whether they
// can be compared.
type reads struct {
	// value is set where the value itself is read, with everything in it; else only
	// whether it is there, or what the attributes below it are.
	value bool
	// decimal is set where a policy compares the value, or a set's members, with
	// decimals: 22 is then 22.0, which Cedar never takes for equal to a Long.
	decimal    bool
	attributes map[string]*reads
}

// everything is for values of which all is read.
var everything = &reads{value: true}

// of gives what is read of an attribute, or nil when nothing is.
func (r *reads) of(attribute string) *reads {
	switch {
	case r == nil:
		return nil
	case r.value:
		return everything
	}
	return r.attributes[attribute]
}

func (r *reads) add(path []string, value bool) {
	for _, name := range path {
		if r.value {
			return
		}
		if r.attributes == nil {
			r.attributes = map[string]*reads{}
		}
		next := r.attributes[name]
		if next == nil {
			next = &reads{}
			r.attributes[name] = next
		}
		r = next
	}
	r.value = r.value || value
}

// addDecimal notes that the value at the path is compared with decimals.
func (r *reads) addDecimal(path []string) {
	for _, name := range path {
		if r = r.attributes[name]; r == nil {
			return
		}
	}
	r.decimal = true
}

// merge adds all that other has.
func (r *reads) merge(other *reads) {
	r.value = r.value || other.value
	r.decimal = r.decimal || other.decimal
	for name, below := range other.attributes {
		if r.attributes == nil {
			r.attributes = map[string]*reads{}
		}
		if r.attributes[name] == nil {
			r.attributes[name] = &reads{}
		}
		r.attributes[name].merge(below)
	}
}

// readsValue reports whether the value at the path, or a part of it, is read.
func (r *reads) readsValue(path []string) bool {
	for _, name := range path {
		if r == nil || r.value {
			break
		}
		r = r.attributes[name]
	}
	return r != nil && (r.value || len(r.attributes) > 0)
}

// reads reports whether the value at the path, a part of it, or whether it is
// there, is read.
func (r *reads) reads(path []string) bool {
	for _, name := range path {
		if r == nil || r.value {
			break
		}
		r = r.attributes[name]
	}
	return r != nil
}

// absenceReads are the parts of context whose absence can make a permit match: what
// it reads in an unless, or behind a negation. For a forbid they are all that it
// reads: a missing value can keep it from applying.
func absenceReads(p *ast.Policy) *reads {
	if p.Effect == ast.EffectForbid {
		return contextReads(p)
	}
	read := &reads{}
	add := func(n ast.IsNode) {
		read.merge(contextReads(&ast.Policy{Conditions: []ast.ConditionType{{Body: n}}}))
	}
	for _, condition := range p.Conditions {
		if condition.Condition == ast.ConditionUnless {
			add(condition.Body)
			continue
		}
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			switch node := n.(type) {
			case ast.NodeTypeNot, ast.NodeTypeNotEquals:
				add(n)
			case ast.NodeTypeIfThenElse:
				add(node.If)
			case ast.NodeTypeEquals:
				if asksPresence(node.Left) || asksPresence(node.Right) {
					add(n)
				}
			}
			return true
		})
	}
	return read
}

// asksPresence reports whether an expression has a has.
func asksPresence(n ast.IsNode) bool {
	found := false
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		_, has := n.(ast.NodeTypeHas)
		found = found || has
		return !found
	})
	return found
}

// contextReads are the parts of context that a policy reads.
func contextReads(p *ast.Policy) *reads {
	read := &reads{}
	for _, condition := range p.Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			if has, ok := n.(ast.NodeTypeHas); ok {
				if path, ok := contextPath(has.Arg); ok {
					read.add(append(path, string(has.Value)), false)
					return false
				}
			}
			path, ok := contextPath(n)
			if ok {
				read.add(path, true)
			}
			return !ok
		})
	}
	for _, path := range decimalPaths(p) {
		read.addDecimal(path)
	}
	return read
}

// decimalPaths are the parts of context that a policy compares with decimals.
func decimalPaths(p *ast.Policy) [][]string {
	var paths [][]string
	note := func(one, other ast.IsNode) {
		if path, ok := contextPath(one); ok && hasDecimal(other) {
			paths = append(paths, path)
		}
	}
	compares := func(b ast.BinaryNode) {
		note(b.Left, b.Right)
		note(b.Right, b.Left)
	}
	inspect(p, func(n ast.IsNode) {
		switch node := n.(type) {
		case ast.NodeTypeEquals:
			compares(node.BinaryNode)
		case ast.NodeTypeNotEquals:
			compares(node.BinaryNode)
		case ast.NodeTypeContains:
			compares(node.BinaryNode)
		case ast.NodeTypeContainsAll:
			compares(node.BinaryNode)
		case ast.NodeTypeContainsAny:
			compares(node.BinaryNode)
		case ast.NodeTypeExtensionCall:
			if len(node.Args) == 2 { // lessThan and its like
				compares(ast.BinaryNode{Left: node.Args[0], Right: node.Args[1]})
			}
		}
	})
	return paths
}

// hasDecimal reports whether an expression makes a decimal, or a set of some.
func hasDecimal(n ast.IsNode) bool {
	found := false
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		switch node := n.(type) {
		case ast.NodeTypeExtensionCall:
			found = found || node.Name == "decimal"
		case ast.NodeValue:
			_, decimal := node.Value.(types.Decimal)
			found = found || decimal
		}
		return !found
	})
	return found
}

// contextPath gives the attribute names of an expression that begins with context:
// context.input.a has input and a.
func contextPath(n ast.IsNode) ([]string, bool) {
	switch node := n.(type) {
	case ast.NodeTypeVariable:
		return nil, node.Name == "context"
	case ast.NodeTypeAccess:
		path, ok := contextPath(node.Arg)
		return append(path, string(node.Value)), ok
	}
	return nil, false
}

// mismatch is a part of context whose value policies cannot compare rightly: a
// number that no Cedar type holds, or a value of another type than the declared
// one.
type mismatch struct {
	path []string
	// why completes the sentence that begins with the name.
	why string
	// absent is set where the part counts as absent: it matters to a policy that
	// makes something of that.
	absent bool
}

// name is the path as policies write it.
func (m *mismatch) name() string {
	text := m.path[0]
	for _, name := range m.path[1:] {
		text += "." + name
	}
	return text
}

// undecidable gives the mismatch because of which nobody can say what the policies
// decide: one that a policy reads whose scope fits the request.
func (s *Set) undecidable(r *Request, t *target, mismatches []mismatch) *mismatch {
	if len(mismatches) == 0 {
		return nil
	}
	entities := s.entities(r, t)
	for i := range t.policies {
		p := &t.policies[i]
		if !scopeHolds(p.scope.principal, r.Principal.entity.UID, entities) ||
			!scopeHolds(p.scope.resource, t.resource.UID, entities) {
			continue
		}
		for k := range mismatches {
			if m := &mismatches[k]; p.affectedBy(m) {
				return m
			}
		}
	}
	return nil
}

// affectedBy reports whether the value that the mismatch hides could change this
// policy's outcome.
func (p *namedPolicy) affectedBy(m *mismatch) bool {
	if m.absent {
		return p.absence.reads(m.path)
	}
	return p.reads.readsValue(m.path)
}

// scope is a policy's scope for a principal or a resource in one form: a type, an
// entity, or an entity to be in.
type scope struct {
	typ      types.EntityType
	equal    *types.EntityUID
	ancestor *types.EntityUID
}

type scopes struct{ principal, resource scope }

func scopesOf(p *ast.Policy) scopes {
	return scopes{principal: scopeOf(p.Principal), resource: scopeOf(p.Resource)}
}

func scopeOf(node any) scope {
	switch s := node.(type) {
	case ast.ScopeTypeEq:
		return scope{equal: &s.Entity}
	case ast.ScopeTypeIn:
		return scope{ancestor: &s.Entity}
	case ast.ScopeTypeIs:
		return scope{typ: s.Type}
	case ast.ScopeTypeIsIn:
		return scope{typ: s.Type, ancestor: &s.Entity}
	}
	return scope{}
}

func scopeHolds(s scope, uid types.EntityUID, entities *requestEntities) bool {
	switch {
	case s.typ != "" && uid.Type != s.typ, s.equal != nil && uid != *s.equal:
		return false
	case s.ancestor == nil:
		return true
	}
	return isWithin(uid, *s.ancestor, func(uid types.EntityUID) types.EntityUIDSet {
		entity, _ := entities.Get(uid)
		return entity.Parents
	})
}

// isWithin reports whether uid is the ancestor or lies in it. Every entity is
// looked at once, however many ways lead to it.
func isWithin(uid, ancestor types.EntityUID, parents func(types.EntityUID) types.EntityUIDSet) bool {
	seen := map[types.EntityUID]bool{uid: true}
	for queue := []types.EntityUID{uid}; len(queue) > 0; {
		next := queue[0]
		queue = queue[1:]
		if next == ancestor {
			return true
		}
		for parent := range parents(next).All() {
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return false
}
