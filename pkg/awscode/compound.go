package awscode

// compound reads a statement with a block, or gives nil where none begins.
func (p *parser) compound() node {
	at := p.here()
	switch t := p.peek(); {
	case t.kind == tokenName && t.text == "match":
		return p.match()
	case t.kind == tokenOperator && t.text == "@":
		return p.decorated()
	case t.kind != tokenKeyword:
		return nil
	}
	switch word := p.peek().text; word {
	case "if":
		p.at++
		return p.branch(at)
	case "while":
		p.at++
		w := &while{position: at, test: p.namedExpression()}
		w.body = p.block()
		w.otherwise = p.otherwise()
		return w
	case "for":
		p.at++
		return p.loop(at, false)
	case "try":
		p.at++
		return p.try(at)
	case "with":
		p.at++
		return p.with(at, false)
	case "def":
		return p.function(nil, false)
	case "class":
		return p.class(nil)
	case "async":
		return p.async(at)
	}
	return nil
}

func (p *parser) async(at position) node {
	p.at++
	switch {
	case p.isKeyword("def"):
		return p.function(nil, true)
	case p.keyword("for"):
		return p.loop(at, true)
	case p.keyword("with"):
		return p.with(at, true)
	}
	p.fail("async stands before something else than def, for or with")
	return nil
}

func (p *parser) otherwise() []node {
	if p.keyword("else") {
		return p.block()
	}
	return nil
}

// branch reads what follows if or elif; an elif is one more level of depth.
func (p *parser) branch(at position) node {
	p.enter()
	defer p.leave()
	b := &branch{position: at, test: p.namedExpression()}
	b.body = p.block()
	next := p.here()
	if p.keyword("elif") {
		b.otherwise = []node{p.branch(next)}
		return b
	}
	b.otherwise = p.otherwise()
	return b
}

func (p *parser) loop(at position, async bool) node {
	l := &loop{position: at, async: async, target: p.targetList()}
	p.needKeyword("in")
	l.iterable = p.starExpressions()
	l.body = p.block()
	l.otherwise = p.otherwise()
	return l
}

func (p *parser) try(at position) node {
	t := &try{position: at, body: p.block()}
	for p.isKeyword("except") {
		h := handler{position: p.here()}
		p.at++
		starred := p.operator("*")
		if !p.isOperator(":") {
			h.exception = p.expression()
			if p.keyword("as") {
				h.name = p.nameText()
			}
		} else if starred {
			p.fail("except* names no exception")
		}
		h.body = p.block()
		t.handlers = append(t.handlers, h)
	}
	if len(t.handlers) > 0 {
		t.otherwise = p.otherwise()
	}
	if p.keyword("finally") {
		t.finally = p.block()
	} else if len(t.handlers) == 0 {
		p.fail("a try has neither except nor finally")
	}
	return t
}

// with reads its items, in brackets or not: brackets may also be a tuple's, so
// the first way that fits a colon is taken.
func (p *parser) with(at position, async bool) node {
	w := &with{position: at, async: async}
	start := p.at
	if p.operator("(") {
		if items, ok := p.attempt(func() []withItem {
			items := p.withItems(true)
			p.needOperator(")")
			if !p.isOperator(":") {
				p.fail("a colon is missing")
			}
			return items
		}); ok {
			w.items = items
			w.body = p.block()
			return w
		}
		p.at = start
	}
	w.items = p.withItems(false)
	w.body = p.block()
	return w
}

// attempt gives ok false, and nothing else, where items do not parse.
func (p *parser) attempt(items func() []withItem) (read []withItem, ok bool) {
	depth := p.depth
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntaxError:
			read, ok, p.depth = nil, false, depth
		default:
			panic(e)
		}
	}()
	return items(), true
}

func (p *parser) withItems(bracketed bool) []withItem {
	var items []withItem
	for {
		item := withItem{context: p.expression()}
		if p.keyword("as") {
			item.target = p.target()
			p.store(item.target)
		}
		items = append(items, item)
		if !p.operator(",") || bracketed && p.isOperator(")") {
			return items
		}
	}
}

func (p *parser) decorated() node {
	var decorators []expression
	for p.operator("@") {
		decorators = append(decorators, p.namedExpression())
		p.need(tokenNewline, "the end of the line")
	}
	switch {
	case p.isKeyword("class"):
		return p.class(decorators)
	case p.keyword("async"):
		return p.function(decorators, true)
	}
	return p.function(decorators, false)
}

func (p *parser) function(decorators []expression, async bool) node {
	f := &function{position: p.here(), decorators: decorators, async: async}
	p.needKeyword("def")
	f.name = p.nameText()
	f.types = p.typeParameters()
	p.needOperator("(")
	f.parameters = p.parameters(")", true)
	p.needOperator(")")
	if p.operator("->") {
		f.returns = p.expression()
	}
	f.body = p.block()
	return f
}

// parameters reads those of a function or a lambda, up to its closing operator.
func (p *parser) parameters(closing string, annotations bool) *parameters {
	all := &parameters{}
	seen := map[string]bool{}
	substituted, star := false, false
	for !p.isOperator(closing) {
		switch {
		case p.operator("/"):
			if star || all.positionalOnly > 0 || len(all.positional) == 0 {
				p.fail("a / where none may stand")
			}
			all.positionalOnly = len(all.positional)
		case p.operator("**"):
			one := p.parameter(annotations, false, seen)
			all.keywords = &one
			p.operator(",")
			if !p.isOperator(closing) {
				p.fail("a parameter follows **")
			}
			return all
		case p.operator("*"):
			if star {
				p.fail("a second *")
			}
			star = true
			if p.isOperator(",") {
				if next := p.after(1); next.kind != tokenName {
					p.fail("no parameter follows *")
				}
				break
			}
			one := p.parameter(annotations, true, seen)
			all.rest = &one
		default:
			one := p.parameter(annotations, false, seen)
			if p.operator("=") {
				one.substitute = p.expression()
			}
			switch {
			case star:
				all.keyword = append(all.keyword, one)
			case one.substitute == nil && substituted:
				p.fail("a parameter without a default follows one with")
			default:
				substituted = one.substitute != nil
				all.positional = append(all.positional, one)
			}
		}
		if !p.operator(",") {
			break
		}
	}
	return all
}

func (p *parser) parameter(annotations, rest bool, seen map[string]bool) parameter {
	one := parameter{position: p.here(), name: p.nameText()}
	if seen[one.name] {
		p.fail("the parameter " + one.name + " stands twice")
	}
	seen[one.name] = true
	if annotations && p.operator(":") {
		if rest {
			one.annotation = p.starExpression()
		} else {
			one.annotation = p.expression()
		}
	}
	return one
}

func (p *parser) class(decorators []expression) node {
	c := &class{position: p.here(), decorators: decorators}
	p.at++
	c.name = p.nameText()
	c.types = p.typeParameters()
	at := p.here()
	if p.operator("(") {
		arguments, _ := p.call(at, nil).(*call)
		c.bases, c.keywords = arguments.arguments, arguments.keywords
	}
	c.body = p.block()
	return c
}

// match reads a match statement, or gives nil where match is a name.
func (p *parser) match() node {
	start, depth := p.at, p.depth
	m := p.matchHead()
	if m == nil {
		p.at, p.depth = start, depth
		return nil
	}
	for p.peek().kind == tokenName && p.peek().text == "case" {
		c := matchCase{position: p.here()}
		p.at++
		c.pattern = p.openPattern()
		if p.keyword("if") {
			c.guard = p.namedExpression()
		}
		c.body = p.block()
		m.cases = append(m.cases, c)
	}
	p.need(tokenDedent, "a case")
	return m
}

// matchHead reads match subject: and the indentation before its first case.
func (p *parser) matchHead() (head *match) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntaxError:
			head = nil
		default:
			panic(e)
		}
	}()
	m := &match{position: p.here()}
	p.at++
	m.subject = p.tuple(p.starNamedExpression, func() bool { return p.isOperator(":") })
	p.needOperator(":")
	p.need(tokenNewline, "the end of the line")
	p.need(tokenIndent, "a case")
	if t := p.peek(); t.kind != tokenName || t.text != "case" {
		p.fail("a case is missing")
	}
	return m
}
