package awscode

import "sync"

// syntaxError says why a source does not parse, and where.
type syntaxError struct {
	line    int
	message string
}

// parser reads Python 3.12 by recursive descent. It takes all that Python's
// grammar does; of what CPython refuses after parsing (a return outside a
// function, ...) it takes more, which only a script that cannot run has.
// https://docs.python.org/3.12/reference/grammar.html
type parser struct {
	tokens []token
	at     int
	// depth counts the nodes that are being read; limit bounds it.
	depth, limit int
	// The nodes of which there are most.
	names     pool[name]
	constants pool[constant]
	calls     pool[call]
}

// pool makes values of a type in portions.
type pool[T any] struct{ left []T }

// portion is how many values of a pool are made at once.
const portion = 32

func (p *pool[T]) add(value T) *T {
	if len(p.left) == 0 {
		p.left = make([]T, portion)
	}
	one := &p.left[0]
	*one, p.left = value, p.left[1:]
	return one
}

// maxKeptTokens bounds the buffers that are used again.
const maxKeptTokens = 8_192

var tokenBuffers = sync.Pool{New: func() any { return new([]token) }}

// parse reads a module. Its errors are panics inside, for a descent of some 60
// functions that otherwise say little else.
func parse(source string, limit int) (body []node, failure *syntaxError) {
	kept, _ := tokenBuffers.Get().(*[]token)
	tokens, failure := tokenize(source, limit, (*kept)[:0])
	if failure != nil {
		return nil, failure
	}
	defer func() {
		if cap(tokens) <= maxKeptTokens {
			clear(tokens) // they hold the script's text
			*kept = tokens
			tokenBuffers.Put(kept)
		}
	}()
	p := &parser{tokens: tokens, limit: limit}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *syntaxError:
			body, failure = nil, e
		default:
			panic(e)
		}
	}()
	for p.peek().kind != tokenEnd {
		body = p.statement(body)
	}
	return body, nil
}

func (p *parser) peek() *token { return &p.tokens[p.at] }

func (p *parser) after(n int) *token { return &p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) here() position { return position{line: int(p.peek().line)} }

func (p *parser) fail(message string) {
	panic(&syntaxError{line: int(p.peek().line), message: message})
}

// enter begins a node that may hold others; leave ends it.
func (p *parser) enter() {
	if p.depth++; p.depth > p.limit {
		p.fail("it is nested too deeply")
	}
}

func (p *parser) leave() { p.depth-- }

func (p *parser) isOperator(text string) bool {
	t := p.peek()
	return t.kind == tokenOperator && t.text == text
}

func (p *parser) isKeyword(text string) bool {
	t := p.peek()
	return t.kind == tokenKeyword && t.text == text
}

func (p *parser) operator(text string) bool {
	if p.isOperator(text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) keyword(text string) bool {
	if p.isKeyword(text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) needOperator(text string) {
	if !p.operator(text) {
		p.fail("a " + text + " is missing")
	}
}

func (p *parser) needKeyword(text string) {
	if !p.keyword(text) {
		p.fail("the word " + text + " is missing")
	}
}

func (p *parser) need(kind tokenKind, what string) token {
	t := *p.peek()
	if t.kind != kind {
		p.fail(what + " is missing")
	}
	p.at++
	return t
}

func (p *parser) nameText() string { return p.need(tokenName, "a name").text }

// block reads what follows a colon: the rest of the line, or indented lines.
func (p *parser) block() []node {
	p.needOperator(":")
	if p.peek().kind != tokenNewline {
		return p.simpleLine(nil)
	}
	p.at++
	p.need(tokenIndent, "an indented block")
	p.enter()
	defer p.leave()
	var body []node
	for p.peek().kind != tokenDedent {
		if p.peek().kind == tokenEnd {
			p.fail("a block does not end")
		}
		body = p.statement(body)
	}
	p.at++
	return body
}

// simpleLine reads statements between semicolons, up to the line's end.
func (p *parser) simpleLine(line []node) []node {
	for {
		line = append(line, p.simple())
		if !p.operator(";") {
			break
		}
		if p.peek().kind == tokenNewline {
			break
		}
	}
	p.need(tokenNewline, "the end of the line")
	return line
}

// statement appends a line's statements to a body.
func (p *parser) statement(body []node) []node {
	p.enter()
	if compound := p.compound(); compound != nil {
		body = append(body, compound)
	} else {
		body = p.simpleLine(body)
	}
	p.leave()
	return body
}

// simple reads one statement that has no block.
func (p *parser) simple() node {
	at := p.here()
	if p.peek().kind == tokenKeyword {
		switch word := p.peek().text; word {
		case "pass", "break", "continue":
			p.at++
			return &plain{at, word, nil}
		case "return":
			p.at++
			return &plain{at, word, p.optionalExpressions()}
		case "raise":
			return p.raise()
		case "assert":
			p.at++
			values := []node{p.expression()}
			if p.operator(",") {
				values = append(values, p.expression())
			}
			return &plain{at, word, values}
		case "global", "nonlocal":
			p.at++
			names := []string{p.nameText()}
			for p.operator(",") {
				names = append(names, p.nameText())
			}
			return &declaration{at, word, names}
		case "del":
			p.at++
			return p.deletion(at)
		case "import":
			return p.importing()
		case "from":
			return p.importingFrom()
		}
	}
	if alias := p.typeAlias(); alias != nil {
		return alias
	}
	return p.expressionOrAssignment()
}

// optionalExpressions reads what may follow return, as one value.
func (p *parser) optionalExpressions() []node {
	if p.peek().kind == tokenNewline || p.isOperator(";") {
		return nil
	}
	return []node{p.starExpressions()}
}

func (p *parser) raise() node {
	at := p.here()
	p.at++
	if p.peek().kind == tokenNewline || p.isOperator(";") {
		return &plain{at, "raise", nil}
	}
	values := []node{p.expression()}
	if p.keyword("from") {
		values = append(values, p.expression())
	}
	return &plain{at, "raise", values}
}

func (p *parser) deletion(at position) node {
	target := p.targetList()
	if list, ok := target.(*display); ok && list.kind == '(' {
		for _, element := range list.elements {
			p.deletable(element)
		}
	} else {
		p.deletable(target)
	}
	return &deletion{at, []node{target}}
}

func (p *parser) deletable(target node) {
	if _, ok := target.(*starred); ok {
		p.fail("a starred expression cannot be deleted")
	}
}

func (p *parser) importing() node {
	at := p.here()
	p.at++
	i := &importing{position: at}
	for {
		a := alias{name: p.dottedName()}
		if p.keyword("as") {
			a.as = p.nameText()
		}
		i.names = append(i.names, a)
		if !p.operator(",") {
			return i
		}
	}
}

func (p *parser) dottedName() string {
	text := p.nameText()
	for p.operator(".") {
		text += "." + p.nameText()
	}
	return text
}

func (p *parser) importingFrom() node {
	i := &importing{position: p.here(), from: true}
	p.at++
	for {
		if p.operator(".") {
			i.dots++
		} else if p.operator("...") {
			i.dots += 3
		} else {
			break
		}
	}
	if i.dots == 0 || !p.isKeyword("import") {
		i.module = p.dottedName()
	}
	p.needKeyword("import")
	if p.operator("*") {
		i.star = true
		return i
	}
	bracketed := p.operator("(")
	for {
		a := alias{name: p.nameText()}
		if p.keyword("as") {
			a.as = p.nameText()
		}
		i.names = append(i.names, a)
		if !p.operator(",") {
			break
		}
		if bracketed && p.isOperator(")") {
			break
		}
	}
	if bracketed {
		p.needOperator(")")
	}
	return i
}

// typeAlias reads type X = ..., where type is a soft keyword.
func (p *parser) typeAlias() node {
	if t := p.peek(); t.kind != tokenName || t.text != "type" || p.after(1).kind != tokenName {
		return nil
	}
	if next := p.after(2); next.kind != tokenOperator || next.text != "=" && next.text != "[" {
		return nil
	}
	at := p.here()
	p.at++
	a := &typeAlias{
		position: at,
		target:   &name{position: p.here(), id: p.nameText(), store: true},
		types:    p.typeParameters(),
	}
	p.needOperator("=")
	a.value = p.expression()
	return a
}

func (p *parser) typeParameters() []typeParameter {
	if !p.operator("[") {
		return nil
	}
	var types []typeParameter
	for !p.isOperator("]") {
		t := typeParameter{position: p.here()}
		plain := !p.operator("*") && !p.operator("**")
		t.name = p.nameText()
		if plain && p.operator(":") {
			t.bound = p.expression()
		}
		types = append(types, t)
		if !p.operator(",") {
			break
		}
	}
	if len(types) == 0 {
		p.fail("a type parameter is missing")
	}
	p.needOperator("]")
	return types
}

// isAugmented reports whether an operator assigns what it gives.
func isAugmented(operator string) bool {
	return operator[len(operator)-1] == '=' && augmentedOperators[operator]
}

var augmentedOperators = set("+=", "-=", "*=", "/=", "//=", "%=", "@=", "&=", "|=", "^=", ">>=", "<<=", "**=")

func (p *parser) expressionOrAssignment() node {
	at, bracketed := p.here(), p.isOperator("(")
	value := p.assignable()
	t := p.peek()
	switch {
	case t.kind == tokenOperator && t.text == ":":
		p.at++
		return p.annotated(at, value, bracketed)
	case t.kind == tokenOperator && isAugmented(t.text):
		switch value.(type) {
		case *name, *attribute, *subscript:
		default:
			p.fail("this cannot be assigned to")
		}
		p.store(value)
		p.at++
		return &augmented{at, value, p.assignable()}
	case t.kind != tokenOperator || t.text != "=":
		return &expressionStatement{at, value}
	}
	a := &assignment{position: at}
	for p.operator("=") {
		p.store(value)
		a.targets = append(a.targets, value)
		value = p.assignable()
	}
	a.value = value
	return a
}

// assignable reads what may stand on either side of an =.
func (p *parser) assignable() expression {
	if p.isKeyword("yield") {
		return p.yield()
	}
	return p.starExpressions()
}

func (p *parser) annotated(at position, target expression, bracketed bool) node {
	switch target.(type) {
	case *name, *attribute, *subscript:
	default:
		p.fail("this cannot be annotated")
	}
	p.store(target)
	a := &annotated{position: at, bracketed: bracketed, target: target, annotation: p.expression()}
	if p.operator("=") {
		a.value = p.assignable()
	}
	return a
}

// store marks an expression as a target, or refuses it.
func (p *parser) store(e expression) {
	switch e := e.(type) {
	case *name:
		e.store = true
	case *attribute:
		e.store = true
	case *subscript:
		e.store = true
	case *starred:
		p.store(e.value)
	case *display:
		if e.kind == '{' {
			p.fail("this cannot be assigned to")
		}
		e.store = true
		for _, element := range e.elements {
			p.store(element)
		}
	default:
		p.fail("this cannot be assigned to")
	}
}

// targetList reads the targets of for, del and comprehensions, which end where
// the word in stands.
func (p *parser) targetList() expression {
	at := p.here()
	first := p.target()
	if !p.isOperator(",") {
		p.store(first)
		return first
	}
	d := &display{position: at, kind: '(', elements: []expression{first}}
	for p.operator(",") {
		t := p.peek()
		if t.kind == tokenKeyword && t.text == "in" || t.kind == tokenNewline ||
			t.kind == tokenOperator && (t.text == ";" || t.text == "=" || t.text == ":") {
			break
		}
		d.elements = append(d.elements, p.target())
	}
	p.store(d)
	return d
}

func (p *parser) target() expression {
	if p.isOperator("*") {
		at := p.here()
		p.at++
		return &starred{at, p.bitwise(0)}
	}
	return p.bitwise(0)
}
