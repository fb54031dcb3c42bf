package awscode

import "strings"

// strings reads adjacent literals, which are one.
func (p *parser) strings() expression {
	at := p.here()
	if t, next := p.peek(), p.after(1); t.kind == tokenString && next.kind != tokenString &&
		next.kind != tokenFStringStart {
		p.at++
		return p.literal(t)
	}
	var parts []expression
	bytes, text := false, false
	for {
		switch t := p.peek(); t.kind {
		case tokenString:
			p.at++
			bytes, text = bytes || t.bytes, text || !t.bytes
			parts = append(parts, p.literal(t))
			continue
		case tokenFStringStart:
			p.at++
			text = true
			parts = append(parts, p.fstring()...)
			p.need(tokenFStringEnd, "the end of an f-string")
			continue
		}
		break
	}
	if bytes && text {
		p.fail("bytes and text in one literal")
	}
	var whole strings.Builder
	for _, part := range parts {
		c, ok := part.(*constant)
		if !ok || c.kind != constantString {
			return &formatted{at, parts}
		}
		whole.WriteString(c.text)
	}
	if bytes {
		return &constant{at, constantOther, ""}
	}
	return &constant{at, constantString, whole.String()}
}

func (p *parser) literal(t *token) expression {
	kind := constantString
	if t.bytes || t.opaque {
		kind = constantOther
	}
	return p.constants.add(constant{position{line: int(t.line)}, kind, t.text})
}

// fstring reads literal text and fields, up to the end of the string or of the
// format specification in which they stand.
func (p *parser) fstring() []expression {
	p.enter()
	defer p.leave()
	parts := make([]expression, 0, usualElements)
	for {
		switch t := p.peek(); {
		case t.kind == tokenFStringMiddle:
			p.at++
			parts = append(parts, p.literal(t))
		case t.kind == tokenOperator && t.text == "{":
			p.at++
			parts = append(parts, p.replacement(position{line: int(t.line)}))
		default:
			return parts
		}
	}
}

func (p *parser) replacement(at position) expression {
	r := &replacement{position: at, plain: true}
	if p.isKeyword("yield") {
		r.value = p.yield()
	} else {
		r.value = p.starExpressions()
	}
	if p.operator("=") {
		r.plain = false
	}
	if p.operator("!") {
		switch conversion := p.nameText(); conversion {
		case "s":
		case "r", "a":
			r.plain = false
		default:
			p.fail("a conversion that is none of !s, !r, !a")
		}
	}
	if p.operator(":") {
		r.spec = p.fstring()
		r.plain = false
	}
	p.needOperator("}")
	return r
}
