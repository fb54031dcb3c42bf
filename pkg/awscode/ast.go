package awscode

// position is where a node stands: its line, and the node directly above it, which
// the binder sets.
type position struct {
	line  int
	above node
}

func (p *position) at() int          { return p.line }
func (p *position) parent() node     { return p.above }
func (p *position) setParent(n node) { p.above = n }

// visitor is called with a node and one directly below it.
type visitor func(parent, child node)

// node is an expression, a statement, or a part of one.
type node interface {
	at() int
	parent() node
	setParent(n node)
	// each visits the nodes directly below it, in the order of the source.
	each(visit visitor)
}

type expression = node

// constantKind tells the constants apart.
type constantKind uint8

const (
	constantOther constantKind = iota // bytes, numbers that are not whole, ..., and strings that are not known
	constantString
	constantInt
	constantBool
	constantNone
)

// The expressions.
type (
	name struct {
		position
		id string
		// store: it is bound or deleted here, not loaded.
		store bool
		// load is what the binder finds of a name that is loaded, bound the cell of one
		// that is assigned.
		load  *load
		bound *cell
	}
	constant struct {
		position
		kind constantKind
		// text as str() gives it.
		text string
	}
	// formatted is an f-string, or several string literals of which one is.
	formatted struct {
		position
		parts []expression
	}
	// replacement is a field of an f-string. plain: it has no format
	// specification, no =, and no conversion but !s.
	replacement struct {
		position
		value expression
		spec  []expression
		plain bool
	}
	attribute struct {
		position
		value expression
		name  string
		store bool
		// scope is that in which it stands, which the binder sets.
		scope *scope
	}
	subscript struct {
		position
		value, index expression
		store        bool
	}
	call struct {
		position
		function  expression
		arguments []expression
		keywords  []keyword
		// names are those of keywords, where there are many.
		names map[string]bool
	}
	// keyword is an argument by name; without a name it is **value.
	keyword struct {
		name  string
		value expression
	}
	starred struct {
		position
		value expression
	}
	operation struct {
		position
		// operator is of one or two operands, or "and", "or" of more.
		operator string
		operands []expression
		two      [2]expression // backs operands, mostly
	}
	comparison struct {
		position
		operators []string
		operands  []expression
		one       [1]string     // backs operators, mostly
		two       [2]expression // backs operands
	}
	conditional struct {
		position
		test, then, otherwise expression
	}
	lambda struct {
		position
		parameters *parameters
		body       expression
	}
	// display is a list, a tuple or a set: "[", "(" or "{".
	display struct {
		position
		kind     byte
		elements []expression
		store    bool
	}
	// dictionary has a nil key where **value stands.
	dictionary struct {
		position
		keys, values []expression
	}
	// comprehension has kind "[", "{", "(" for a generator; value: of a dict.
	comprehension struct {
		position
		kind           byte
		element, value expression
		clauses        []clause
	}
	clause struct {
		target, iterable expression
		conditions       []expression
		async            bool
	}
	await struct {
		position
		value expression
	}
	yield struct {
		position
		value expression
	}
	walrus struct {
		position
		target *name
		value  expression
	}
	slice struct {
		position
		bounds []expression
	}
)

// parameters of a function.
type parameters struct {
	// positional are those before *, keyword those after; positionalOnly counts
	// those before /.
	positional, keyword []parameter
	positionalOnly      int
	// rest and keywords are *args and **kw, or nil.
	rest, keywords *parameter
}

type parameter struct {
	position
	name                   string
	annotation, substitute expression
}

// The statements.
type (
	expressionStatement struct {
		position
		value expression
	}
	assignment struct {
		position
		targets []expression
		value   expression
	}
	// annotated has a nil value where it only declares, which it does not for a target
	// in brackets.
	annotated struct {
		position
		bracketed                 bool
		target, annotation, value expression
	}
	augmented struct {
		position
		target, value expression
	}
	deletion struct {
		position
		targets []expression
	}
	// plain is pass, break, continue, return, raise or assert.
	plain struct {
		position
		word   string
		values []expression
	}
	// declaration is global or nonlocal.
	declaration struct {
		position
		word  string
		names []string
	}
	importing struct {
		position
		// module is "" for plain imports; dots counts those of a relative one.
		module string
		from   bool
		dots   int
		star   bool
		names  []alias
	}
	alias struct{ name, as string }
	// typeAlias is type X = ...
	typeAlias struct {
		position
		target *name
		types  []typeParameter
		value  expression
	}
	branch struct {
		position
		test            expression
		body, otherwise []node
	}
	while struct {
		position
		test            expression
		body, otherwise []node
	}
	loop struct {
		position
		target, iterable expression
		body, otherwise  []node
		async            bool
	}
	try struct {
		position
		body, otherwise, finally []node
		handlers                 []handler
	}
	handler struct {
		position
		exception expression
		name      string
		body      []node
	}
	with struct {
		position
		items []withItem
		body  []node
		async bool
	}
	withItem struct{ context, target expression }
	function struct {
		position
		name       string
		parameters *parameters
		returns    expression
		body       []node
		decorators []expression
		types      []typeParameter
		async      bool
	}
	class struct {
		position
		name       string
		bases      []expression
		keywords   []keyword
		body       []node
		decorators []expression
		types      []typeParameter
	}
	match struct {
		position
		subject expression
		cases   []matchCase
	}
	matchCase struct {
		position
		pattern *pattern
		guard   expression
		body    []node
	}
)

// typeParameter is one of def f[T: bound].
type typeParameter struct {
	position
	name  string
	bound expression
}

// pattern of a match statement: the names that it captures, the expressions
// that it compares with, and the patterns in it.
type pattern struct {
	position
	captures []string
	values   []expression
	inner    []*pattern
	// attributes are those that a class pattern reads by name.
	attributes []string
}

func list(nodes ...node) []node {
	kept := make([]node, 0, len(nodes))
	for _, n := range nodes {
		if n != nil {
			kept = append(kept, n)
		}
	}
	return kept
}

// one visits a node that may be nil.
func (v visitor) one(parent, n node) {
	if n != nil {
		v(parent, n)
	}
}

// all visits nodes, which may be nil.
func (v visitor) all(parent node, nodes []node) {
	for _, n := range nodes {
		v.one(parent, n)
	}
}

func (*name) each(visitor)              {}
func (*constant) each(visitor)          {}
func (e *formatted) each(visit visitor) { visit.all(e, e.parts) }

func (e *replacement) each(visit visitor) {
	visit.one(e, e.value)
	visit.all(e, e.spec)
}

func (e *attribute) each(visit visitor) { visit.one(e, e.value) }

func (e *subscript) each(visit visitor) {
	visit.one(e, e.value)
	visit.one(e, e.index)
}

func (e *call) each(visit visitor) {
	visit.one(e, e.function)
	visit.all(e, e.arguments)
	for n := range e.keywords {
		visit.one(e, e.keywords[n].value)
	}
}

func (e *starred) each(visit visitor)    { visit.one(e, e.value) }
func (e *operation) each(visit visitor)  { visit.all(e, e.operands) }
func (e *comparison) each(visit visitor) { visit.all(e, e.operands) }

func (e *conditional) each(visit visitor) {
	visit.one(e, e.test)
	visit.one(e, e.then)
	visit.one(e, e.otherwise)
}

func (e *lambda) each(visit visitor) {
	visit.all(e, e.parameters.expressions())
	visit.one(e, e.body)
}

func (e *display) each(visit visitor) { visit.all(e, e.elements) }

func (e *dictionary) each(visit visitor) {
	for n := range e.values {
		visit.one(e, e.keys[n])
		visit.one(e, e.values[n])
	}
}

func (e *comprehension) each(visit visitor) {
	visit.one(e, e.element)
	visit.one(e, e.value)
	for n := range e.clauses {
		c := &e.clauses[n]
		visit.one(e, c.target)
		visit.one(e, c.iterable)
		visit.all(e, c.conditions)
	}
}

func (e *await) each(visit visitor) { visit.one(e, e.value) }
func (e *yield) each(visit visitor) { visit.one(e, e.value) }

func (e *walrus) each(visit visitor) {
	visit(e, e.target)
	visit.one(e, e.value)
}

func (e *slice) each(visit visitor) { visit.all(e, e.bounds) }

func (p *parameters) all() []*parameter {
	all := make([]*parameter, 0, len(p.positional)+len(p.keyword)+2) //nolint:mnd // and *args, **kw
	for n := range p.positional {
		all = append(all, &p.positional[n])
	}
	if p.rest != nil {
		all = append(all, p.rest)
	}
	for n := range p.keyword {
		all = append(all, &p.keyword[n])
	}
	if p.keywords != nil {
		all = append(all, p.keywords)
	}
	return all
}

func (p *parameters) expressions() []node {
	var all []node
	for _, q := range p.all() {
		all = append(all, q.annotation, q.substitute)
	}
	return list(all...)
}

func keywordValues(keywords []keyword) []node {
	values := make([]node, len(keywords))
	for n := range keywords {
		values[n] = keywords[n].value
	}
	return values
}

func bounds(types []typeParameter) []node {
	var all []node
	for n := range types {
		all = append(all, types[n].bound)
	}
	return list(all...)
}

func (s *expressionStatement) each(visit visitor) { visit.one(s, s.value) }

func (s *assignment) each(visit visitor) {
	visit.all(s, s.targets)
	visit.one(s, s.value)
}

func (s *annotated) each(visit visitor) {
	visit.one(s, s.target)
	visit.one(s, s.annotation)
	visit.one(s, s.value)
}

func (s *augmented) each(visit visitor) {
	visit.one(s, s.target)
	visit.one(s, s.value)
}

func (s *deletion) each(visit visitor) { visit.all(s, s.targets) }
func (s *plain) each(visit visitor)    { visit.all(s, s.values) }
func (*declaration) each(visitor)      {}
func (*importing) each(visitor)        {}

func (s *typeAlias) each(visit visitor) {
	visit(s, s.target)
	visit.all(s, bounds(s.types))
	visit.one(s, s.value)
}

func (s *branch) each(visit visitor) {
	visit.one(s, s.test)
	visit.all(s, s.body)
	visit.all(s, s.otherwise)
}

func (s *while) each(visit visitor) {
	visit.one(s, s.test)
	visit.all(s, s.body)
	visit.all(s, s.otherwise)
}

func (s *loop) each(visit visitor) {
	visit.one(s, s.target)
	visit.one(s, s.iterable)
	visit.all(s, s.body)
	visit.all(s, s.otherwise)
}

func (s *try) each(visit visitor) {
	visit.all(s, s.body)
	for n := range s.handlers {
		visit.one(s, s.handlers[n].exception)
		visit.all(s, s.handlers[n].body)
	}
	visit.all(s, s.otherwise)
	visit.all(s, s.finally)
}

func (s *with) each(visit visitor) {
	for _, item := range s.items {
		visit.one(s, item.context)
		visit.one(s, item.target)
	}
	visit.all(s, s.body)
}

func (s *function) each(visit visitor) {
	visit.all(s, s.decorators)
	visit.all(s, bounds(s.types))
	visit.all(s, s.parameters.expressions())
	visit.one(s, s.returns)
	visit.all(s, s.body)
}

func (s *class) each(visit visitor) {
	visit.all(s, s.decorators)
	visit.all(s, bounds(s.types))
	visit.all(s, s.bases)
	visit.all(s, keywordValues(s.keywords))
	visit.all(s, s.body)
}

func (s *match) each(visit visitor) {
	visit.one(s, s.subject)
	for n := range s.cases {
		c := &s.cases[n]
		visit.all(s, c.pattern.expressions())
		visit.one(s, c.guard)
		visit.all(s, c.body)
	}
}

func (p *pattern) expressions() []node {
	all := p.values
	for _, inner := range p.inner {
		all = append(all[:len(all):len(all)], inner.expressions()...)
	}
	return all
}

func (p *pattern) readAttributes() []string {
	all := p.attributes
	for _, inner := range p.inner {
		all = append(all[:len(all):len(all)], inner.readAttributes()...)
	}
	return all
}

func (p *pattern) names() []string {
	all := p.captures
	for _, inner := range p.inner {
		all = append(all[:len(all):len(all)], inner.names()...)
	}
	return all
}
