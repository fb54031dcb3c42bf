package awscode

// scopeKind tells the scopes of Python apart.
// https://docs.python.org/3.12/reference/executionmodel.html#resolution-of-names
type scopeKind uint8

const (
	scopeModule scopeKind = iota
	scopeFunction
	scopeClass
	// scopeComprehension runs at once, as a part of the scope around it;
	// scopeGenerator runs when it is asked.
	scopeComprehension
	scopeGenerator
)

type scope struct {
	kind   scopeKind
	parent *scope
	cells  map[string]*cell
	// class is that whose body this is.
	class   *class
	members *members
	// method is the class of which this function is directly a method, methodOf has
	// that class's members.
	method   *class
	methodOf *members
	// callee is the function whose body this is.
	callee *callee
	// iterations are the loops and clauses in whose body the walk is.
	iterations []*iteration
}

// activation is the scope with which s runs as one: that around a
// comprehension, else itself.
func (s *scope) activation() *scope {
	for s.kind == scopeComprehension {
		s = s.parent
	}
	return s
}

// cell is where a name's values are kept: one a scope, or one for all scopes if
// the name is declared global or nonlocal anywhere.
type cell struct {
	name     string
	scope    *scope
	bindings []binding
	loads    []*load
	merged   bool
	// modules are those that it may hold.
	modules []string
	// boundAt is the line of a statement of the module itself after which it has
	// a value, or 0; deleted: the value may go again.
	boundAt int
	deleted bool

	// What a followed name can hold so far.
	followed bool
	scalars  map[value]bool
	// literals are in the order in which they were found, which numbers the rows of
	// what goes over them; holds has the same.
	literals []node
	holds    map[node]bool
}

// binding is one place that gives a name its values.
type binding struct {
	// value is what is assigned; nil is a value that is not known.
	value expression
	// iteration has the collection over which the name goes, and path the place
	// in its elements: the indexes of a target like (a, (b, c)).
	iteration *iteration
	path      []int
	// callee and index say which parameter it is.
	callee *callee
	index  int
}

func (b binding) isAssigned() bool { return b.value != nil }

// iteration is a for loop, or a clause of a comprehension.
type iteration struct {
	iterable expression
	scope    *scope
	targets  map[*cell]bool
	// rebinds are the cells that its body binds.
	rebinds map[*cell]bool
	// untracked: a target is no name.
	untracked bool
	// followed: what its targets can hold is.
	followed bool
}

func (i *iteration) rebind(c *cell) {
	if i.rebinds == nil {
		i.rebinds = map[*cell]bool{}
	}
	i.rebinds[c] = true
}

// load is one use of a name's values.
type load struct {
	node  *name
	scope *scope
	// iterations are those in whose bodies it is, in the scopes that run as one.
	iterations []*iteration
	cells      []*cell
	// one is for cells: most loads have one.
	one [1]*cell
}

// iterationOf gives the iteration of whose target c a load in its body has one row's
// value, or nil.
func (l *load) iterationOf(c *cell) *iteration {
	if c.merged {
		return nil
	}
	for n := len(l.iterations) - 1; n >= 0; n-- {
		if i := l.iterations[n]; i.targets[c] && !i.rebinds[c] {
			return i
		}
	}
	return nil
}

// callee is a function, or a class as what is called to make an object of it.
type callee struct {
	parameters *parameters
	// self: the first parameter is the object, which no argument gives.
	self bool
	// opaque: its parameters are not known.
	opaque   bool
	calls    []*call
	followed bool
	rows     [][]value
	known    map[string]bool
	// all are the parameters, and places those that may be passed by name.
	all    []*parameter
	places map[string]int
}

// members of a class: what is called when an object is made, and its methods.
type members struct {
	init    *callee
	methods []*callee
	simple  bool
	// nested: it is defined in a class, of which it is an attribute.
	nested bool
	// decorated: one of its methods is, so that its decorator may call it.
	decorated bool
	// plain: it is only called, and its body loads none of its methods, so that the
	// first parameter of each is an object of it.
	plain bool
	// selves are the cells of those parameters.
	selves []*cell
}

// binder makes scopes and cells of a tree.
type binder struct {
	module *scope
	scope  *scope
	merged map[string]*cell
	order  []*load
	nodes  pool[load]
	calls  []*call
	// called has the functions by the cell that their definition binds, methods
	// those of simple classes by their names.
	called  map[*cell][]*callee
	methods map[string][]*callee
	// classCells are the names that class bodies bind.
	classCells []*cell
	// stores are the values that self.x is given, by x.
	stores map[string][]expression
	// attributes are those that are loaded and not called.
	attributes map[string]bool
	// classes has the members of a class by the cell that its definition binds.
	classes map[*cell][]*members
	// iterations are by what they go over.
	iterations map[expression]*iteration
	selfStores []*attribute
	problem    *problem
	// visitBelow is below, made once.
	visitBelow visitor
}

// problem says why a script is incomplete.
type problem struct {
	line   int
	cause  Cause
	reason string
}

// report notes something that is on none of the lists.
func (b *binder) report(line int, reason string) {
	if b.problem == nil || line < b.problem.line {
		b.problem = &problem{line, CauseCapability, clipped(reason)}
	}
}

func newBinder() *binder {
	b := &binder{
		merged: map[string]*cell{},
		called: map[*cell][]*callee{}, methods: map[string][]*callee{},
		stores: map[string][]expression{}, attributes: map[string]bool{}, classes: map[*cell][]*members{},
		iterations: map[expression]*iteration{},
	}
	b.module = &scope{kind: scopeModule, cells: map[string]*cell{}}
	b.scope = b.module
	b.visitBelow = b.below
	return b
}

// bind walks a module's statements. declares reports whether a name may be declared
// global or nonlocal in it.
func (b *binder) bind(body []node, declares bool) {
	if declares {
		for _, n := range body {
			b.declarations(nil, n)
		}
	}
	for _, n := range body {
		b.visit(n)
		b.boundFrom(n)
	}
	for _, l := range b.order {
		l.cells = b.resolve(l)
		for _, c := range l.cells {
			c.loads = append(c.loads, l)
		}
	}
}

// boundFrom notes what a statement of the module itself has surely bound.
func (b *binder) boundFrom(n node) {
	var bound []string
	switch n := n.(type) {
	case *importing:
		for _, a := range n.names {
			bound = append(bound, a.bound())
		}
	case *function:
		bound = []string{n.name}
	case *class:
		bound = []string{n.name}
	case *assignment:
		for _, target := range n.targets {
			if t, ok := target.(*name); ok {
				bound = append(bound, t.id)
			}
		}
	}
	for _, id := range bound {
		c := b.cell(b.module, id)
		if c.boundAt != 0 {
			continue
		}
		c.boundAt = n.at()
		if safeBuiltins[id] || preloaded[id] {
			// What the statement itself loads is loaded before.
			c.boundAt = lastLine(n)
		}
	}
}

// lastLine is the last line on which something of a statement begins.
func lastLine(n node) int {
	last := n.at()
	var visit visitor
	visit = func(_, child node) {
		last = max(last, child.at())
		child.each(visit)
	}
	n.each(visit)
	return last
}

// isModule reports whether the script imports a module under the name.
func (b *binder) isModule(id string) bool {
	for _, s := range []*scope{b.scope, b.module} {
		if c := s.cells[id]; c != nil && len(c.modules) > 0 {
			return true
		}
	}
	return false
}

// declarations finds the names that are declared global or nonlocal anywhere.
func (b *binder) declarations(_, n node) {
	if d, ok := n.(*declaration); ok {
		for _, id := range d.names {
			b.nameable(d.at(), id)
			if b.merged[id] == nil {
				b.merged[id] = &cell{name: id, merged: true}
			}
		}
	}
	n.each(b.declarations)
}

// nameable reports names that no script may bind.
func (b *binder) nameable(line int, id string) {
	switch {
	case id == sinkCall || id == sinkRequest:
		b.report(line, id+" is used otherwise than in a call of its own")
	case isUnsafeName(id) && id != "__init__":
		b.report(line, "the name "+id+" is not one of those that are read")
	}
}

// cell gives the one that id is bound to in s.
func (b *binder) cell(s *scope, id string) *cell {
	if c := b.merged[id]; c != nil {
		return c
	}
	c := s.cells[id]
	if c == nil {
		c = &cell{name: id, scope: s}
		s.cells[id] = c
	}
	return c
}

func (b *binder) bindName(line int, s *scope, id string, what binding) *cell {
	b.nameable(line, id)
	c := b.cell(s, id)
	if c.merged && s.kind == scopeClass {
		b.report(line, "the name "+id+" is bound in a class, and declared global or nonlocal")
	}
	c.bindings = append(c.bindings, what)
	for _, i := range s.iterations {
		if i != what.iteration {
			i.rebind(c)
		}
	}
	if s.kind == scopeClass && !c.merged && len(c.bindings) == 1 {
		b.classCells = append(b.classCells, c)
	}
	return c
}

// resolve gives the cells that a load may read: in a class's body its own, and
// that outside which it reads before it is bound.
func (b *binder) resolve(l *load) []*cell {
	s, id, found := l.scope, l.node.id, l.one[:0]
	if c := b.merged[id]; c != nil {
		return append(found, c)
	}
	if s.kind == scopeClass && s.cells[id] != nil {
		// What a class's body binds it looks for in itself, then in the module, and not
		// in functions around.
		// https://docs.python.org/3.12/reference/executionmodel.html#resolution-of-names
		found = append(found, s.cells[id])
		if c := b.module.cells[id]; c != nil {
			found = append(found, c)
		}
		return found
	}
	for at := s; at != nil; at = at.parent {
		if at.kind == scopeClass && at != s {
			continue
		}
		c := at.cells[id]
		if c == nil {
			continue
		}
		found = append(found, c)
		if at.kind != scopeClass {
			break
		}
	}
	return found
}
