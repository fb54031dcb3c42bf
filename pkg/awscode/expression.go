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
			t.kind == tokenOperator && strings.Contains(" ) ] } ; = : ! ", " "+t.text+" ") ||
			t.kind == tokenOperator && augmentedOperators[t.text]
	})
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
			target := &name{p.here(), p.nameText(), true}
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
	p.enter()
	defer p.leave()
	at := p.here()
	if p.isKeyword("lambda") {
		return p.lambda()
	}
	value := p.disjunction()
	if !p.keyword("if") {
		return value
	}
	test := p.disjunction()
	p.needKeyword("else")
	return &conditional{at, test, value, p.expression()}
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
	if t.kind == tokenNewline || t.kind == tokenOperator && strings.Contains(" ) ] } ; = : ! ", " "+t.text+" ") {
		return &yield{at, nil}
	}
	return &yield{at, p.starExpressions()}
}

func (p *parser) disjunction() expression { return p.words("or", p.conjunction) }

func (p *parser) conjunction() expression { return p.words("and", p.inversion) }

func (p *parser) words(word string, operand func() expression) expression {
	at := p.here()
	first := operand()
	if !p.isKeyword(word) {
		return first
	}
	o := &operation{at, word, []expression{first}}
	for p.keyword(word) {
		o.operands = append(o.operands, operand())
	}
	return o
}

func (p *parser) inversion() expression {
	at := p.here()
	if !p.keyword("not") {
		return p.comparison()
	}
	p.enter()
	defer p.leave()
	return &operation{at, "not", []expression{p.inversion()}}
}

func (p *parser) comparison() expression {
	at := p.here()
	first := p.bitwise(0)
	operator := p.comparator()
	if operator == "" {
		return first
	}
	c := &comparison{at, nil, []expression{first}}
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

// binaryOperators by precedence, the loosest first.
var binaryOperators = [][]string{{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"}}

func (p *parser) bitwise(level int) expression {
	if level == len(binaryOperators) {
		return p.factor()
	}
	at := p.here()
	left := p.bitwise(level + 1)
	entered := 0
	defer func() { p.depth -= entered }()
next:
	for {
		for _, operator := range binaryOperators[level] {
			if p.operator(operator) {
				// A chain leans to the left, one level a link.
				p.enter()
				entered++
				left = &operation{at, operator, []expression{left, p.bitwise(level + 1)}}
				continue next
			}
		}
		return left
	}
}

func (p *parser) factor() expression {
	at := p.here()
	if t := p.peek(); t.kind == tokenOperator && (t.text == "-" || t.text == "+" || t.text == "~") {
		p.at++
		p.enter()
		defer p.leave()
		return &operation{at, t.text, []expression{p.factor()}}
	}
	base := p.awaited()
	if !p.operator("**") {
		return base
	}
	p.enter()
	defer p.leave()
	return &operation{at, "**", []expression{base, p.factor()}}
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
	value := p.atom()
	entered := 0
	defer func() { p.depth -= entered }()
	for {
		at := p.here()
		switch {
		case p.operator("."):
			value = &attribute{at, value, p.nameText(), false}
		case p.operator("("):
			value = p.call(at, value)
		case p.operator("["):
			value = &subscript{at, value, p.index(), false}
			p.needOperator("]")
		default:
			return value
		}
		p.enter()
		entered++
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
	c := &call{position: at, function: callee}
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
		for _, k := range c.keywords {
			if k.name == text {
				p.fail("the keyword argument " + text + " stands twice")
			}
		}
		p.at++
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
		return &name{at, t.text, false}
	case tokenNumber:
		p.at++
		return number(at, t.text)
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
			defer p.leave()
			p.at++
			return p.bracketed(at, t.text[0])
		case "...":
			p.at++
			return &constant{at, constantOther, t.text}
		}
	}
	p.fail("an expression is missing")
	return nil
}

func number(at position, text string) expression {
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

func (p *parser) bracketed(at position, kind byte) expression {
	closing := map[byte]string{'(': ")", '[': "]", '{': "}"}[kind]
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
	d := &display{position: at, kind: kind, elements: []expression{first}}
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
