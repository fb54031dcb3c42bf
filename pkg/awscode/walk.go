package awscode

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
