package awscode

// position is where a node begins.
type position struct{ line int }

func (p position) at() int { return p.line }

// node is an expression, a statement, or a part of one.
type node interface {
	at() int
	// children are the nodes directly below it, in the order of the source.
	children() []node
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
	}
	comparison struct {
		position
		operators []string
		operands  []expression
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
	// annotated has a nil value where it only declares.
	annotated struct {
		position
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

func joined(groups ...[]node) []node {
	var all []node
	for _, group := range groups {
		all = append(all, group...)
	}
	return list(all...)
}

func (*name) children() []node          { return nil }
func (*constant) children() []node      { return nil }
func (e *formatted) children() []node   { return e.parts }
func (e *replacement) children() []node { return joined(list(e.value), e.spec) }
func (e *attribute) children() []node   { return list(e.value) }
func (e *subscript) children() []node   { return list(e.value, e.index) }
func (e *call) children() []node {
	return joined(list(e.function), e.arguments, keywordValues(e.keywords))
}
func (e *starred) children() []node     { return list(e.value) }
func (e *operation) children() []node   { return e.operands }
func (e *comparison) children() []node  { return e.operands }
func (e *conditional) children() []node { return list(e.test, e.then, e.otherwise) }
func (e *lambda) children() []node      { return joined(e.parameters.expressions(), list(e.body)) }
func (e *display) children() []node     { return e.elements }
func (e *dictionary) children() []node {
	var all []node
	for n := range e.values {
		all = append(all, e.keys[n], e.values[n])
	}
	return list(all...)
}

func (e *comprehension) children() []node {
	all := []node{e.element, e.value}
	for _, c := range e.clauses {
		all = append(all, c.target, c.iterable)
		all = append(all, c.conditions...)
	}
	return list(all...)
}
func (e *await) children() []node  { return list(e.value) }
func (e *yield) children() []node  { return list(e.value) }
func (e *walrus) children() []node { return list(e.target, e.value) }
func (e *slice) children() []node  { return e.bounds }

func (p *parameters) all() []*parameter {
	var all []*parameter
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

func (s *expressionStatement) children() []node { return list(s.value) }
func (s *assignment) children() []node          { return joined(s.targets, list(s.value)) }
func (s *annotated) children() []node           { return list(s.target, s.annotation, s.value) }
func (s *augmented) children() []node           { return list(s.target, s.value) }
func (s *deletion) children() []node            { return s.targets }
func (s *plain) children() []node               { return list(s.values...) }
func (*declaration) children() []node           { return nil }
func (*importing) children() []node             { return nil }
func (s *typeAlias) children() []node           { return joined(list(s.target), bounds(s.types), list(s.value)) }
func (s *branch) children() []node              { return joined(list(s.test), s.body, s.otherwise) }
func (s *while) children() []node               { return joined(list(s.test), s.body, s.otherwise) }
func (s *loop) children() []node {
	return joined(list(s.target, s.iterable), s.body, s.otherwise)
}

func (s *try) children() []node {
	all := s.body
	for n := range s.handlers {
		all = joined(all, list(s.handlers[n].exception), s.handlers[n].body)
	}
	return joined(all, s.otherwise, s.finally)
}

func (s *with) children() []node {
	var all []node
	for _, item := range s.items {
		all = append(all, item.context, item.target)
	}
	return joined(list(all...), s.body)
}

func (s *function) children() []node {
	return joined(s.decorators, bounds(s.types), s.parameters.expressions(), list(s.returns), s.body)
}

func (s *class) children() []node {
	return joined(s.decorators, bounds(s.types), s.bases, keywordValues(s.keywords), s.body)
}

func (s *match) children() []node {
	all := list(s.subject)
	for n := range s.cases {
		c := &s.cases[n]
		all = joined(all, c.pattern.expressions(), list(c.guard), c.body)
	}
	return all
}

func (p *pattern) expressions() []node {
	all := p.values
	for _, inner := range p.inner {
		all = joined(all, inner.expressions())
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
