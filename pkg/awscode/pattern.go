package awscode

import "strings"

// openPattern reads a pattern, or a sequence of them without brackets.
// https://docs.python.org/3.12/reference/compound_stmts.html#patterns
func (p *parser) openPattern() *pattern {
	first := p.starPattern()
	if !p.isOperator(",") {
		return first
	}
	sequence := &pattern{position: first.position, inner: []*pattern{first}}
	for p.operator(",") {
		if p.isOperator(":") || p.isKeyword("if") {
			break
		}
		sequence.inner = append(sequence.inner, p.starPattern())
	}
	return sequence
}

func (p *parser) starPattern() *pattern {
	at := p.here()
	if p.operator("*") {
		return &pattern{position: at, captures: capture(p.nameText())}
	}
	return p.pattern()
}

// capture is the name that a pattern binds; _ binds none.
func capture(name string) []string {
	if name == "_" {
		return nil
	}
	return []string{name}
}

func (p *parser) pattern() *pattern {
	p.enter()
	defer p.leave()
	first := p.closedPattern()
	if p.isOperator("|") {
		either := &pattern{position: first.position, inner: []*pattern{first}}
		for p.operator("|") {
			either.inner = append(either.inner, p.closedPattern())
		}
		first = either
	}
	if p.keyword("as") {
		text := p.nameText()
		if text == "_" {
			p.fail("a pattern cannot bind _")
		}
		return &pattern{position: first.position, inner: []*pattern{first}, captures: []string{text}}
	}
	return first
}

func (p *parser) closedPattern() *pattern {
	at := p.here()
	t := *p.peek()
	switch {
	case t.kind == tokenName:
		return p.namePattern(at)
	case t.kind == tokenOperator && (t.text == "(" || t.text == "["):
		p.at++
		closing := map[string]string{"(": ")", "[": "]"}[t.text]
		return &pattern{position: at, inner: p.patterns(closing)}
	case t.kind == tokenOperator && t.text == "{":
		p.at++
		return p.mappingPattern(at)
	case t.kind == tokenNumber || t.kind == tokenString || t.kind == tokenOperator && t.text == "-",
		t.kind == tokenKeyword && strings.Contains(" True False None ", " "+t.text+" "):
		return &pattern{position: at, values: []expression{p.literalPattern()}}
	}
	p.fail("a pattern is missing")
	return nil
}

// literalPattern reads a string, a constant or a number, which may be complex.
func (p *parser) literalPattern() expression {
	at := p.here()
	if k := p.peek().kind; k == tokenString || k == tokenKeyword {
		return p.atom()
	}
	value := p.signedNumber()
	for _, operator := range []string{"+", "-"} {
		if p.operator(operator) {
			p.need(tokenNumber, "a number")
			return &constant{at, constantOther, ""}
		}
	}
	return value
}

func (p *parser) signedNumber() expression {
	at := p.here()
	negative := p.operator("-")
	value := p.number(at, p.need(tokenNumber, "a number").text)
	if negative {
		return newOperation(at, "-", value)
	}
	return value
}

// namePattern reads a capture, a dotted value, or a class with its patterns.
func (p *parser) namePattern(at position) *pattern {
	text := p.nameText()
	if !p.isOperator(".") && !p.isOperator("(") {
		return &pattern{position: at, captures: capture(text)}
	}
	var value expression = &name{position: at, id: text}
	for p.operator(".") {
		value = &attribute{position: at, value: value, name: p.nameText()}
	}
	c := &pattern{position: at, values: []expression{value}}
	if p.operator("(") {
		c.inner, c.attributes = p.classPatterns()
	}
	return c
}

// classPatterns reads those of a class, and the attributes that it names.
func (p *parser) classPatterns() (all []*pattern, attributes []string) {
	for !p.isOperator(")") {
		if next := p.after(1); p.peek().kind == tokenName && next.kind == tokenOperator && next.text == "=" {
			attributes = append(attributes, p.nameText())
			p.at++
		}
		all = append(all, p.starPattern())
		if !p.operator(",") {
			break
		}
	}
	p.needOperator(")")
	return all, attributes
}

// patterns reads those in brackets.
func (p *parser) patterns(closing string) []*pattern {
	var all []*pattern
	for !p.isOperator(closing) {
		all = append(all, p.starPattern())
		if !p.operator(",") {
			break
		}
	}
	p.needOperator(closing)
	return all
}

func (p *parser) mappingPattern(at position) *pattern {
	m := &pattern{position: at}
	for !p.isOperator("}") {
		if p.operator("**") {
			m.captures = append(m.captures, capture(p.nameText())...)
		} else {
			m.values = append(m.values, p.mappingKey())
			p.needOperator(":")
			m.inner = append(m.inner, p.pattern())
		}
		if !p.operator(",") {
			break
		}
	}
	p.needOperator("}")
	return m
}

func (p *parser) mappingKey() expression {
	if p.peek().kind != tokenName {
		return p.literalPattern()
	}
	at := p.here()
	var value expression = &name{position: at, id: p.nameText()}
	if !p.isOperator(".") {
		p.fail("a mapping's key is a name")
	}
	for p.operator(".") {
		value = &attribute{position: at, value: value, name: p.nameText()}
	}
	return value
}
