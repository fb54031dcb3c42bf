package awscode

import "slices"

func (b *binder) enter(kind scopeKind) *scope {
	outer := b.scope
	b.scope = &scope{kind: kind, parent: outer, cells: map[string]*cell{}}
	return outer
}

// below walks n, whose parent is parent.
func (b *binder) below(parent, n node) {
	if n == nil {
		return
	}
	n.setParent(parent)
	b.visit(n)
}

func (b *binder) every(parent node, nodes []node) {
	for _, n := range nodes {
		b.below(parent, n)
	}
}

// visit binds and loads what n does, in the scope in which it is.
func (b *binder) visit(n node) {
	switch n := n.(type) {
	case *name:
		b.load(n)
	case *attribute:
		b.attribute(n)
	case *call:
		b.calls = append(b.calls, n)
		n.each(b.visitBelow)
	case *walrus:
		s := b.scope
		for s.kind == scopeComprehension || s.kind == scopeGenerator {
			s = s.parent
		}
		b.below(n, n.value)
		value := n.value
		if !isScalar(value) {
			value = nil // what is around it has the same collection
		}
		b.bindName(n.at(), s, n.target.id, binding{value: value})
	case *lambda:
		b.lambda(n)
	case *comprehension:
		b.comprehension(n)
	case *assignment:
		b.below(n, n.value)
		value := n.value
		if len(n.targets) > 1 && !isScalar(value) {
			value = nil // each target holds the same collection
		}
		for _, target := range n.targets {
			b.assign(n, target, value)
		}
	case *annotated:
		b.below(n, n.annotation)
		b.below(n, n.value)
		if n.value == nil {
			// A declaration makes the name local, and gives it no value; one in brackets
			// does not.
			if target, ok := n.target.(*name); ok {
				if !n.bracketed {
					b.bindName(n.at(), b.scope, target.id, binding{})
				}
				return
			}
		}
		b.assign(n, n.target, n.value)
	case *augmented:
		b.below(n, n.value)
		if target, ok := n.target.(*name); ok {
			// It reads the name too, and may change the collection that it holds.
			use := &name{position: position{line: n.at()}, id: target.id}
			use.setParent(n)
			b.load(use)
		}
		b.assign(n, n.target, nil)
	case *deletion:
		for _, target := range n.targets {
			b.assign(n, target, nil)
			b.deleted(target)
		}
	case *importing:
		b.importing(n)
	case *typeAlias:
		b.typeParameters(n.types)
		b.below(n, n.value)
		b.bindName(n.at(), b.scope, n.target.id, binding{})
	case *loop:
		b.loop(n)
	case *try:
		b.try(n)
	case *with:
		for _, item := range n.items {
			b.below(n, item.context)
			if item.target != nil {
				b.assign(n, item.target, nil)
			}
		}
		b.every(n, n.body)
	case *function:
		b.function(n)
	case *class:
		b.class(n)
	case *match:
		b.match(n)
	default:
		n.each(b.visitBelow)
	}
}

func (b *binder) load(n *name) {
	l := b.nodes.add(load{node: n, scope: b.scope})
	l.iterations = b.scope.iterations
	for s := b.scope; s.kind == scopeComprehension; {
		s = s.parent
		l.iterations = append(l.iterations[:len(l.iterations):len(l.iterations)], s.iterations...)
	}
	n.load = l
	b.order = append(b.order, l)
}

// assign binds target to value; nil is a value that is not known.
func (b *binder) assign(parent node, target, value expression) {
	target.setParent(parent)
	switch t := target.(type) {
	case *name:
		if b.scope.kind == scopeClass && value != nil && !isScalar(value) {
			value = nil // it is an attribute of the class, too
		}
		t.bound = b.bindName(t.at(), b.scope, t.id, binding{value: value})
	case *display:
		from, ok := value.(*display)
		fits := ok && from.kind != '{' && len(from.elements) == len(t.elements) &&
			!hasStar(from.elements) && !hasStar(t.elements)
		for n, element := range t.elements {
			if fits {
				b.assign(t, element, from.elements[n])
			} else {
				b.assign(t, element, nil)
			}
		}
	case *starred:
		b.assign(t, t.value, nil)
	case *attribute:
		b.store(t, value)
	case *subscript:
		t.each(b.visitBelow)
	}
}

// isScalar reports whether an expression makes no collection that its text shows.
func isScalar(e expression) bool {
	switch e.(type) {
	case *constant, *formatted, *operation, *name, *attribute, *subscript:
		return true
	}
	return false
}

func (b *binder) deleted(target expression) {
	switch t := target.(type) {
	case *name:
		b.cell(b.scope, t.id).deleted = true
	case *display:
		for _, element := range t.elements {
			b.deleted(element)
		}
	case *attribute:
		b.report(t.at(), "an attribute is deleted")
	}
}

func hasStar(elements []expression) bool {
	for _, element := range elements {
		if _, ok := element.(*starred); ok {
			return true
		}
	}
	return false
}

// store of an attribute is for self in a method of a simple class alone.
func (b *binder) store(t *attribute, value expression) {
	b.below(t, t.value)
	b.checkAttribute(t)
	t.scope = b.scope
	b.selfStores = append(b.selfStores, t)
	b.stores[t.name] = append(b.stores[t.name], value)
}

// isSelf reports whether e, in s, is the first parameter of a method of a simple
// class of which nothing but objects are made. It is asked when every binding is known.
func (b *binder) isSelf(s *scope, e expression) bool {
	n, ok := e.(*name)
	if !ok || b.merged[n.id] != nil {
		return false
	}
	s = s.activation()
	if s.method == nil || !simple(s.method) || !s.methodOf.plain {
		return false
	}
	c := s.cells[n.id]
	return c != nil && len(c.bindings) == 1 && c.bindings[0].callee == s.callee && c.bindings[0].index == 0
}

// simple reports whether a class has neither base, keyword nor decorator.
func simple(c *class) bool {
	return len(c.bases) == 0 && len(c.keywords) == 0 && len(c.decorators) == 0 && len(c.types) == 0
}

func (b *binder) attribute(n *attribute) {
	b.below(n, n.value)
	b.checkAttribute(n)
	n.scope = b.scope
	if c, ok := n.parent().(*call); !ok || c.function != node(n) {
		b.attributes[n.name] = true
	}
}

func (b *binder) checkAttribute(n *attribute) {
	if isUnsafeAttribute(n.name) {
		b.report(n.at(), "the attribute "+n.name+" is not one of those that are read")
	}
}

// loadedAttribute notes one that something else than x.attribute loads.
func (b *binder) loadedAttribute(line int, id string) {
	if isUnsafeAttribute(id) {
		b.report(line, "the attribute "+id+" is not one of those that are read")
	}
	b.attributes[id] = true
}

func (a alias) bound() string {
	if a.as != "" {
		return a.as
	}
	return a.name
}

func (b *binder) importing(n *importing) {
	if n.star || n.dots > 0 {
		b.report(n.at(), "a star or relative import is not followed")
		return
	}
	for _, a := range n.names {
		module := a.name
		if n.from {
			module = n.module
		}
		members, listed := modules[module]
		switch {
		case !listed:
			b.report(n.at(), "the module "+module+" is not one of those that are read")
		case n.from && !members[a.name]:
			b.report(n.at(), "the name "+a.name+" of "+module+" is not one of those that are read")
		}
		c := b.bindName(n.at(), b.scope, a.bound(), binding{})
		if !n.from && !slices.Contains(c.modules, module) && (listed || len(c.modules) == 0) {
			c.modules = append(c.modules, module)
		}
	}
}

func (b *binder) newIteration(iterable expression) *iteration {
	i := &iteration{iterable: iterable, scope: b.scope, targets: map[*cell]bool{}}
	b.iterations[iterable] = i
	return i
}

// iterate binds a target to the elements of an iteration.
func (b *binder) iterate(parent node, target expression, i *iteration, path []int) {
	target.setParent(parent)
	if b.scope.kind == scopeClass {
		// Its targets are attributes of the class.
		i.untracked = true
		b.assign(parent, target, nil)
		return
	}
	switch t := target.(type) {
	case *name:
		c := b.bindName(t.at(), b.scope, t.id, binding{iteration: i, path: path})
		if i.targets[c] {
			i.rebind(c) // bound twice by one target
		}
		i.targets[c] = true
	case *display:
		starred := hasStar(t.elements)
		for n, element := range t.elements {
			if starred {
				i.untracked = true
				b.assign(t, element, nil)
				continue
			}
			b.iterate(t, element, i, append(path[:len(path):len(path)], n))
		}
	default:
		i.untracked = true
		b.assign(parent, target, nil)
	}
}

func (b *binder) loop(n *loop) {
	b.below(n, n.iterable)
	i := b.newIteration(n.iterable)
	if n.async {
		i.untracked = true
		b.assign(n, n.target, nil)
	} else {
		b.iterate(n, n.target, i, nil)
	}
	outer := b.scope.iterations
	// Loads keep the slice that they see.
	b.scope.iterations = append(outer[:len(outer):len(outer)], i)
	b.every(n, n.body)
	b.scope.iterations = outer
	b.every(n, n.otherwise)
}

func (b *binder) comprehension(n *comprehension) {
	// The first iterable is read in the scope around.
	b.below(n, n.clauses[0].iterable)
	kind := scopeComprehension
	if n.kind == '(' {
		kind = scopeGenerator
	}
	outer := b.enter(kind)
	for index := range n.clauses {
		c := &n.clauses[index]
		if index > 0 {
			b.below(n, c.iterable)
		}
		i := b.newIteration(c.iterable)
		if c.async {
			i.untracked = true
			b.assign(n, c.target, nil)
		} else {
			b.iterate(n, c.target, i, nil)
		}
		b.scope.iterations = append(b.scope.iterations[:len(b.scope.iterations):len(b.scope.iterations)], i)
		b.every(n, c.conditions)
	}
	b.below(n, n.element)
	b.below(n, n.value)
	b.scope = outer
}

func (b *binder) lambda(n *lambda) {
	b.every(n, n.parameters.expressions())
	outer := b.enter(scopeFunction)
	for _, p := range n.parameters.all() {
		b.bindName(p.at(), b.scope, p.name, binding{})
	}
	b.below(n, n.body)
	b.scope = outer
}

func (b *binder) try(n *try) {
	b.every(n, n.body)
	for index := range n.handlers {
		h := &n.handlers[index]
		b.below(n, h.exception)
		if h.name != "" {
			b.bindName(h.at(), b.scope, h.name, binding{}).deleted = true
		}
		b.every(n, h.body)
	}
	b.every(n, n.otherwise)
	b.every(n, n.finally)
}

func (b *binder) match(n *match) {
	b.below(n, n.subject)
	for index := range n.cases {
		c := &n.cases[index]
		b.every(n, c.pattern.expressions())
		for _, id := range c.pattern.names() {
			b.bindName(c.at(), b.scope, id, binding{})
		}
		for _, attribute := range c.pattern.readAttributes() {
			b.loadedAttribute(c.at(), attribute)
		}
		b.below(n, c.guard)
		b.every(n, c.body)
	}
}

// typeParameters are names of the scope around, too: more than Python says, and
// of no known value.
func (b *binder) typeParameters(types []typeParameter) {
	for n := range types {
		if b.scope.kind == scopeClass {
			b.report(types[n].at(), "a class has something with type parameters, which this reader does not follow")
		}
		if id := types[n].name; safeBuiltins[id] || preloaded[id] || b.isModule(id) {
			b.report(types[n].at(), "a type parameter has the name "+id+", which means something else around it")
		}
		b.bindName(types[n].at(), b.scope, types[n].name, binding{})
		if types[n].bound != nil {
			b.visit(types[n].bound)
		}
	}
}

func (b *binder) function(n *function) {
	b.every(n, n.decorators)
	b.typeParameters(n.types)
	b.every(n, n.parameters.expressions())
	b.below(n, n.returns)
	f := &callee{parameters: n.parameters, known: map[string]bool{}}
	f.opaque = len(n.decorators) > 0 || len(n.types) > 0
	owner := b.scope.class
	if n.name == "__init__" && owner == nil {
		b.report(n.at(), "__init__ is defined outside a class")
	}
	c := b.bindName(n.at(), b.scope, n.name, binding{})
	if owner == nil {
		b.called[c] = append(b.called[c], f)
	} else {
		f.self = true
		b.scope.members.decorated = b.scope.members.decorated || len(n.decorators) > 0
		f.opaque = f.opaque || !simple(owner) || b.scope.members.nested
		b.methods[n.name] = append(b.methods[n.name], f)
		b.scope.members.methods = append(b.scope.members.methods, f)
		if n.name == "__init__" {
			b.scope.members.init = f
		}
	}
	outer := b.enter(scopeFunction)
	members := outer.members
	b.scope.callee, b.scope.method, b.scope.methodOf = f, owner, members
	for index, p := range n.parameters.all() {
		what := binding{callee: f, index: index}
		if p == n.parameters.rest || p == n.parameters.keywords {
			what = binding{}
		}
		c := b.bindName(p.at(), b.scope, p.name, what)
		if owner != nil && index == 0 {
			members.selves = append(members.selves, c)
		}
	}
	b.every(n, n.body)
	b.scope = outer
}

func (b *binder) class(n *class) {
	b.every(n, n.decorators)
	b.typeParameters(n.types)
	b.every(n, n.bases)
	b.every(n, keywordValues(n.keywords))
	c := b.bindName(n.at(), b.scope, n.name, binding{})
	m := &members{simple: simple(n), nested: b.scope.kind == scopeClass}
	b.classes[c] = append(b.classes[c], m)
	outer := b.enter(scopeClass)
	b.scope.class, b.scope.members = n, m
	b.every(n, n.body)
	b.scope = outer
}
