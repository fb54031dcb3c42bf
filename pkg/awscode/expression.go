package awscode

import (
	"math/big"
	"strings"
)

// starExpressions reads a, *b, c as one tuple, or a single expression.
func (p *parser) starExpressions() expression {
	return p.tuple(p.starExpression, func() bool {
		t := p.peek()
		return t.kind == tokenNewline || t.kind == tokenEnd || t.kind == tokenFStringMiddle ||
			t.kind == tokenOperator && (endsExpressions(t.text) || isAugmented(t.text))
	})
}

// endsExpressions reports whether an operator stands behind expressions and is not
// one of theirs.
func endsExpressions(operator string) bool {
	switch operator {
	case ")", "]", "}", ";", "=", ":", "!":
		return true
	}
	return false
}

// tuple reads elements between commas, a comma at the end included.
func (p *parser) tuple(element func() expression, ends func() bool) expression {
	at := p.here()
	first := element()
	if !p.isOperator(",") {
		return first
	}
	d := &display{position: at, kind: '(', elements: []expression{first}}
	for p.operator(",") {
		if ends() {
			break
		}
		d.elements = append(d.elements, element())
	}
	return d
}

func (p *parser) starExpression() expression {
	if p.isOperator("*") {
		at := p.here()
		p.at++
		return &starred{at, p.bitwise(0)}
	}
	return p.expression()
}

// namedExpression reads an expression or x := y.
func (p *parser) namedExpression() expression {
	if p.peek().kind == tokenName {
		if next := p.after(1); next.kind == tokenOperator && next.text == ":=" {
			target := &name{position: p.here(), id: p.nameText(), store: true}
			p.at++
			return &walrus{target.position, target, p.expression()}
		}
	}
	return p.expression()
}

func (p *parser) starNamedExpression() expression {
	if p.isOperator("*") {
		return p.starExpression()
	}
	return p.namedExpression()
}

func (p *parser) expression() expression {
	if p.standsAlone() {
		return p.atom()
	}
	// A failure ends the whole parse, so leave need not be deferred.
	p.enter()
	at := p.here()
	var value expression
	if p.isKeyword("lambda") {
		value = p.lambda()
	} else if value = p.disjunction(); p.keyword("if") {
		test := p.disjunction()
		p.needKeyword("else")
		value = &conditional{at, test, value, p.expression()}
	}
	p.leave()
	return value
}

// standsAlone reports whether a name or a literal makes up the whole expression, as
// most do.
func (p *parser) standsAlone() bool {
	switch p.peek().kind {
	case tokenName, tokenNumber, tokenString:
	default:
		return false
	}
	next := p.after(1)
	return next.kind == tokenNewline || next.kind == tokenOperator && (next.text == "," || endsExpressions(next.text))
}

func (p *parser) lambda() expression {
	at := p.here()
	p.at++
	parameters := p.parameters(":", false)
	p.needOperator(":")
	return &lambda{at, parameters, p.expression()}
}

func (p *parser) yield() expression {
	at := p.here()
	p.at++
	if p.keyword("from") {
		return &yield{at, p.expression()}
	}
	t := p.peek()
	if t.kind == tokenNewline || t.kind == tokenOperator && endsExpressions(t.text) {
		return &yield{at, nil}
	}
	return &yield{at, p.starExpressions()}
}

func (p *parser) disjunction() expression {
	at := p.here()
	first := p.conjunction()
	if !p.isKeyword("or") {
		return first
	}
	o := newOperation(at, "or", first)
	for p.keyword("or") {
		o.operands = append(o.operands, p.conjunction())
	}
	return o
}

func (p *parser) conjunction() expression {
	at := p.here()
	first := p.inversion()
	if !p.isKeyword("and") {
		return first
	}
	o := newOperation(at, "and", first)
	for p.keyword("and") {
		o.operands = append(o.operands, p.inversion())
	}
	return o
}

func newOperation(at position, operator string, operands ...expression) *operation {
	o := &operation{position: at, operator: operator}
	o.operands = append(o.two[:0], operands...)
	return o
}

func (p *parser) inversion() expression {
	at := p.here()
	if !p.keyword("not") {
		return p.comparison()
	}
	p.enter()
	defer p.leave()
	return newOperation(at, "not", p.inversion())
}

func (p *parser) comparison() expression {
	at := p.here()
	first := p.bitwise(0)
	operator := p.comparator()
	if operator == "" {
		return first
	}
	c := &comparison{position: at}
	c.operators, c.operands = c.one[:0], append(c.two[:0], first)
	for ; operator != ""; operator = p.comparator() {
		c.operators = append(c.operators, operator)
		c.operands = append(c.operands, p.bitwise(0))
	}
	return c
}

func (p *parser) comparator() string {
	t := p.peek()
	switch {
	case t.kind == tokenOperator:
		switch t.text {
		case "==", "!=", "<=", ">=", "<", ">":
			p.at++
			return t.text
		}
		return ""
	case t.kind != tokenKeyword:
		return ""
	case p.keyword("in"):
		return "in"
	case p.isKeyword("not") && p.after(1).kind == tokenKeyword && p.after(1).text == "in":
		p.at += 2
		return "not in"
	case p.keyword("is"):
		if p.keyword("not") {
			return "is not"
		}
		return "is"
	}
	return ""
}

// precedences of the binary operators, the loosest first.
// https://docs.python.org/3.12/reference/expressions.html#operator-precedence
var precedences = map[string]int{
	"|": 0, "^": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "//": 5, "%": 5, "@": 5,
}

// beginsBinary has the first bytes of binary operators.
var beginsBinary = func() (begins [256]bool) {
	for operator := range precedences {
		begins[operator[0]] = true
	}
	return begins
}()

// bitwise reads operations of this precedence and of tighter ones.
func (p *parser) bitwise(level int) expression {
	at, depth := p.here(), p.depth
	left := p.factor()
	for {
		operator, precedence := p.binaryOperator()
		if precedence < level {
			p.depth = depth
			return left
		}
		p.at++
		// A chain leans to the left, one level a link.
		p.enter()
		left = newOperation(at, operator, left, p.bitwise(precedence+1))
	}
}

// binaryOperator gives the operator that stands here with its precedence, or -1.
func (p *parser) binaryOperator() (operator string, precedence int) {
	if t := p.peek(); t.kind == tokenOperator && beginsBinary[t.text[0]] {
		if precedence, ok := precedences[t.text]; ok {
			return t.text, precedence
		}
	}
	return "", -1
}

func (p *parser) factor() expression {
	at := p.here()
	if t := p.peek(); t.kind == tokenOperator && (t.text == "-" || t.text == "+" || t.text == "~") {
		p.at++
		p.enter()
		defer p.leave()
		return newOperation(at, t.text, p.factor())
	}
	base := p.awaited()
	if !p.operator("**") {
		return base
	}
	p.enter()
	defer p.leave()
	return newOperation(at, "**", base, p.factor())
}

func (p *parser) awaited() expression {
	at := p.here()
	if p.keyword("await") {
		return &await{at, p.primary()}
	}
	return p.primary()
}

// primary reads an atom with what follows it: attributes, calls, subscripts.
func (p *parser) primary() expression {
	value, depth := p.atom(), p.depth
	for {
		at := p.here()
		switch {
		case p.operator("."):
			value = &attribute{position: at, value: value, name: p.nameText()}
		case p.operator("("):
			value = p.call(at, value)
		case p.operator("["):
			value = &subscript{at, value, p.index(), false}
			p.needOperator("]")
		default:
			p.depth = depth
			return value
		}
		p.enter()
	}
}

func (p *parser) index() expression {
	return p.tuple(p.slice, func() bool { return p.isOperator("]") })
}

func (p *parser) slice() expression {
	if p.isOperator("*") {
		return p.starExpression()
	}
	at := p.here()
	var first expression
	if !p.isOperator(":") {
		if first = p.namedExpression(); !p.isOperator(":") {
			return first
		}
	}
	s := &slice{position: at, bounds: list(first)}
	for p.operator(":") {
		if !p.isOperator(":") && !p.isOperator("]") && !p.isOperator(",") {
			s.bounds = append(s.bounds, p.expression())
		}
	}
	return s
}

func (p *parser) call(at position, callee expression) expression {
	c := p.calls.add(call{position: at, function: callee})
	for !p.isOperator(")") {
		p.argument(c)
		if !p.operator(",") {
			break
		}
	}
	p.needOperator(")")
	return c
}

func (p *parser) argument(c *call) {
	at := p.here()
	switch next := p.after(1); {
	case p.operator("**"):
		c.keywords = append(c.keywords, keyword{"", p.expression()})
	case p.operator("*"):
		if n := len(c.keywords); n > 0 && c.keywords[n-1].name == "" {
			p.fail("* follows **")
		}
		c.arguments = append(c.arguments, &starred{at, p.expression()})
	case p.peek().kind == tokenName && next.kind == tokenOperator && next.text == "=":
		text := p.nameText()
		if c.names == nil {
			c.names = make(map[string]bool, usualElements)
		}
		if c.names[text] {
			p.fail("the keyword argument " + text + " stands twice")
		}
		c.names[text] = true
		p.at++
		if c.keywords == nil {
			c.keywords = make([]keyword, 0, usualElements)
		}
		c.keywords = append(c.keywords, keyword{text, p.expression()})
	default:
		if len(c.keywords) > 0 {
			p.fail("a positional argument follows a keyword")
		}
		value := p.namedExpression()
		if p.comprehends() {
			generator := p.comprehension(at, '(', value, nil)
			if len(c.arguments) > 0 || !p.isOperator(")") {
				p.fail("a generator needs brackets of its own")
			}
			value = generator
		}
		c.arguments = append(c.arguments, value)
	}
}

// comprehends reports whether a comprehension's clause begins here.
func (p *parser) comprehends() bool {
	return p.isKeyword("for") ||
		p.isKeyword("async") && p.after(1).kind == tokenKeyword && p.after(1).text == "for"
}

func (p *parser) comprehension(at position, kind byte, element, value expression) expression {
	if _, ok := element.(*starred); ok {
		p.fail("a comprehension of a starred expression")
	}
	c := &comprehension{position: at, kind: kind, element: element, value: value}
	for p.comprehends() {
		async := p.keyword("async")
		p.needKeyword("for")
		target := p.targetList()
		p.needKeyword("in")
		one := clause{target: target, iterable: p.disjunction(), async: async}
		for p.keyword("if") {
			one.conditions = append(one.conditions, p.disjunction())
		}
		c.clauses = append(c.clauses, one)
	}
	return c
}

func (p *parser) atom() expression {
	at := p.here()
	t := *p.peek()
	switch t.kind {
	case tokenName:
		p.at++
		return p.names.add(name{position: at, id: t.text})
	case tokenNumber:
		p.at++
		return p.number(at, t.text)
	case tokenString, tokenFStringStart:
		return p.strings()
	case tokenKeyword:
		switch t.text {
		case "True", "False":
			p.at++
			return &constant{at, constantBool, t.text}
		case "None":
			p.at++
			return &constant{at, constantNone, t.text}
		}
	case tokenOperator:
		switch t.text {
		case "(", "[", "{":
			p.enter()
			p.at++
			value := p.bracketed(at, t.text[0])
			p.leave()
			return value
		case "...":
			p.at++
			return &constant{at, constantOther, t.text}
		}
	}
	p.fail("an expression is missing")
	return nil
}

func (p *parser) number(at position, text string) expression {
	const plain = 18
	if len(text) <= plain && (text[0] != '0' || len(text) == 1) && strings.Trim(text, "0123456789") == "" {
		return p.constants.add(constant{at, constantInt, text})
	}
	digits := strings.ReplaceAll(text, "_", "")
	if whole, ok := new(big.Int).SetString(digits, 0); ok && len(digits) < 64 {
		return &constant{at, constantInt, whole.String()}
	}
	// 00 is 0 to Python, and no number to Go's base prefix.
	if strings.Trim(digits, "0") == "" {
		return &constant{at, constantInt, "0"}
	}
	return &constant{at, constantOther, text}
}

// usualElements is how many elements and arguments mostly stand together.
const usualElements = 4

func (p *parser) bracketed(at position, kind byte) expression {
	closing := ")"
	switch kind {
	case '[':
		closing = "]"
	case '{':
		closing = "}"
	}
	if p.operator(closing) {
		if kind == '{' {
			return &dictionary{position: at}
		}
		return &display{position: at, kind: kind}
	}
	if kind == '(' && p.isKeyword("yield") {
		value := p.yield()
		p.needOperator(closing)
		return value
	}
	if kind == '{' {
		if p.isOperator("**") {
			return p.dictionary(at, nil)
		}
	}
	first := p.starNamedExpression()
	switch {
	case kind == '{' && p.isOperator(":"):
		return p.dictionary(at, first)
	case p.comprehends():
		c := p.comprehension(at, kind, first, nil)
		p.needOperator(closing)
		return c
	case kind == '(' && !p.isOperator(","):
		if _, ok := first.(*starred); ok {
			p.fail("a starred expression stands alone")
		}
		p.needOperator(closing)
		return first
	}
	d := &display{position: at, kind: kind, elements: append(make([]expression, 0, usualElements), first)}
	for p.operator(",") {
		if p.isOperator(closing) {
			break
		}
		d.elements = append(d.elements, p.starNamedExpression())
	}
	p.needOperator(closing)
	return d
}

// dictionary reads a dict whose first key was read, if it has one.
func (p *parser) dictionary(at position, first expression) expression {
	d := &dictionary{position: at}
	for {
		switch {
		case first == nil && p.operator("**"):
			d.keys = append(d.keys, nil)
			d.values = append(d.values, p.bitwise(0))
		default:
			key := first
			if key == nil {
				key = p.expression()
			}
			p.needOperator(":")
			value := p.expression()
			if len(d.keys) == 0 && p.comprehends() {
				c := p.comprehension(at, '{', key, value)
				p.needOperator("}")
				return c
			}
			d.keys = append(d.keys, key)
			d.values = append(d.values, value)
		}
		first = nil
		if !p.operator(",") || p.isOperator("}") {
			p.needOperator("}")
			return d
		}
	}
}
