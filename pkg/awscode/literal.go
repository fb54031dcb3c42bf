package awscode

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// number reads a number.
// https://docs.python.org/3.12/reference/lexical_analysis.html#numeric-literals
func (t *tokenizer) number() *syntaxError {
	start := t.at
	if err := t.digitsOfNumber(); err != nil {
		return err
	}
	if r, _ := utf8.DecodeRuneInString(t.source[t.at:]); t.at < len(t.source) && isIdentifier(r, false) {
		// Python warns of 1if and takes it; here it does not parse.
		return t.fail("a number goes over into a name")
	}
	t.emit(tokenNumber, t.source[start:t.at])
	return nil
}

func (t *tokenizer) digitsOfNumber() *syntaxError {
	if t.peek(0) == '0' {
		for _, base := range []struct{ letter, digits string }{
			{"xX", "0123456789abcdefABCDEF"}, {"oO", "01234567"}, {"bB", "01"},
		} {
			if next := t.peek(1); next != 0 && strings.IndexByte(base.letter, next) >= 0 {
				t.at += 2
				if t.peek(0) == '_' {
					t.at++
				}
				return t.digits(base.digits)
			}
		}
	}
	begin := t.at
	if t.peek(0) != '.' {
		if err := t.digits("0123456789"); err != nil {
			return err
		}
	}
	whole := t.source[begin:t.at]
	fraction := false
	if t.peek(0) == '.' {
		fraction = true
		t.at++
		if isDigit(t.peek(0)) {
			if err := t.digits("0123456789"); err != nil {
				return err
			}
		}
	}
	if e := t.peek(0); e == 'e' || e == 'E' {
		sign := 1
		if s := t.peek(1); s == '+' || s == '-' {
			sign = 2
		}
		if isDigit(t.peek(sign)) {
			fraction = true
			t.at += sign
			if err := t.digits("0123456789"); err != nil {
				return err
			}
		}
	}
	if j := t.peek(0); j == 'j' || j == 'J' {
		fraction = true
		t.at++
	}
	if !fraction && len(whole) > 1 && whole[0] == '0' && strings.Trim(whole, "0_") != "" {
		return t.fail("a number begins with 0")
	}
	return nil
}

// digits reads digits, with single underscores between them.
func (t *tokenizer) digits(of string) *syntaxError {
	for {
		begin := t.at
		for t.at < len(t.source) && strings.IndexByte(of, t.source[t.at]) >= 0 {
			t.at++
		}
		if t.at == begin {
			return t.fail("a number without a digit where one belongs")
		}
		if t.peek(0) != '_' {
			return nil
		}
		t.at++
	}
}

// stringLiteral reads a string; t.at is at its quote.
// https://docs.python.org/3.12/reference/lexical_analysis.html#string-and-bytes-literals
func (t *tokenizer) stringLiteral(prefix string) *syntaxError {
	quote := t.source[t.at : t.at+1]
	if t.peek(1) == quote[0] && t.peek(2) == quote[0] {
		quote = t.source[t.at : t.at+3]
	}
	t.at += len(quote)
	raw := strings.Contains(prefix, "r")
	if strings.Contains(prefix, "f") {
		if len(t.fstrings) >= min(t.depth, maxFStrings) {
			return t.fail("too many f-strings in each other")
		}
		t.emit(tokenFStringStart, "")
		t.fstrings = append(t.fstrings, fstring{quote: quote, raw: raw, line: t.line})
		return nil
	}
	literal := token{kind: tokenString, line: t.tokenLine(), bytes: strings.Contains(prefix, "b")}
	if text, ok := t.plainString(quote, literal.bytes); ok {
		literal.text = text
		t.tokens = append(t.tokens, literal)
		return nil
	}
	var value strings.Builder
	for {
		if t.at >= len(t.source) {
			return t.fail("a string is not closed")
		}
		if strings.HasPrefix(t.source[t.at:], quote) {
			t.at += len(quote)
			break
		}
		c := t.source[t.at]
		if literal.bytes && c >= utf8.RuneSelf {
			return t.fail("bytes with a character that is not of ASCII")
		}
		switch {
		case c == '\n' && len(quote) == 1:
			return t.fail("a string is not closed on its line")
		case c == '\\':
			known, err := t.escape(&value, raw, literal.bytes)
			if err != nil {
				return err
			}
			literal.opaque = literal.opaque || !known
		default:
			t.advance(&value)
		}
	}
	literal.text = value.String()
	t.tokens = append(t.tokens, literal)
	return nil
}

// plainString reads the rest of a string of one line without an escape, which is as
// it is written; most are.
func (t *tokenizer) plainString(quote string, bytes bool) (text string, ok bool) {
	rest := t.source[t.at:]
	end := strings.Index(rest, quote)
	if end < 0 {
		return "", false
	}
	for _, c := range []byte(rest[:end]) {
		if c == '\\' || c == '\n' || bytes && c >= utf8.RuneSelf {
			return "", false
		}
	}
	t.at += end + len(quote)
	return rest[:end], true
}

// maxFStrings is CPython's own bound (MAXFSTRINGLEVEL).
const maxFStrings = 150

// advance copies one byte, and counts lines.
func (t *tokenizer) advance(value *strings.Builder) {
	c := t.source[t.at]
	if c == '\n' {
		t.line++
	}
	value.WriteByte(c)
	t.at++
}

var simpleEscapes = map[byte]byte{
	'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// escape reads a backslash and what it stands for, and reports whether its
// value is known: a character's name (\N{...}) is not looked up.
func (t *tokenizer) escape(value *strings.Builder, raw, bytes bool) (known bool, err *syntaxError) {
	if t.at+1 >= len(t.source) {
		return false, t.fail("a string is not closed")
	}
	c := t.source[t.at+1]
	if raw {
		t.advance(value)
		t.advance(value)
		return true, nil
	}
	if simple, ok := simpleEscapes[c]; ok {
		value.WriteByte(simple)
		t.at += 2
		return true, nil
	}
	switch {
	case c == '\n':
		t.line++
		t.at += 2
		return true, nil
	case c >= '0' && c <= '7':
		t.at++
		digits := 1
		for digits < 3 && t.peek(digits) >= '0' && t.peek(digits) <= '7' {
			digits++
		}
		code, _ := strconv.ParseUint(t.source[t.at:t.at+digits], 8, 32) // only digits of base 8
		t.at += digits
		value.WriteRune(rune(code)) //nolint:gosec // three digits of base 8
		return code < utf8.RuneSelf || !bytes, nil
	case c == 'x':
		return t.hexadecimal(value, 2)
	case c == 'u' && !bytes:
		return t.hexadecimal(value, 4)
	case c == 'U' && !bytes:
		return t.hexadecimal(value, 8)
	case c == 'N' && !bytes:
		end := strings.IndexByte(t.source[t.at:], '}')
		if t.peek(2) != '{' || end < 4 || strings.ContainsAny(t.source[t.at:t.at+end], "\n\"'") {
			return false, t.fail("a character's name is not written as \\N{...}")
		}
		t.at += end + 1
		return false, nil
	}
	// An escape that is none stays as it is, with a warning of Python's.
	t.advance(value)
	t.advance(value)
	return true, nil
}

func (t *tokenizer) hexadecimal(value *strings.Builder, digits int) (known bool, err *syntaxError) {
	if t.at+2+digits > len(t.source) {
		return false, t.fail("an escape with too few digits")
	}
	code, bad := strconv.ParseUint(t.source[t.at+2:t.at+2+digits], 16, 32)
	if bad != nil || code > utf8.MaxRune {
		return false, t.fail("an escape that names no character")
	}
	t.at += 2 + digits
	// A surrogate has no UTF-8, and no name of AWS has one.
	if !utf8.ValidRune(rune(code)) {
		return false, nil
	}
	value.WriteRune(rune(code))
	return true, nil
}

// inLiteral reports whether the next character is text of an f-string.
func (t *tokenizer) inLiteral() bool {
	if len(t.fstrings) == 0 {
		return false
	}
	fields := t.fstrings[len(t.fstrings)-1].fields
	return len(fields) == 0 || fields[len(fields)-1].spec && len(t.brackets) == fields[len(fields)-1].brackets
}

// fstringText reads text of an f-string, up to a field or the end of one, or
// the end of the string.
// https://docs.python.org/3.12/reference/lexical_analysis.html#f-strings
func (t *tokenizer) fstringText() *syntaxError {
	f := &t.fstrings[len(t.fstrings)-1]
	spec := len(f.fields) > 0
	literal := token{kind: tokenFStringMiddle, line: t.tokenLine()}
	var value strings.Builder
	flush := func() {
		if literal.text = value.String(); literal.text != "" || literal.opaque {
			t.tokens = append(t.tokens, literal)
		}
	}
	for {
		if t.at >= len(t.source) {
			return t.fail("an f-string is not closed")
		}
		c := t.source[t.at]
		switch {
		case strings.HasPrefix(t.source[t.at:], f.quote):
			if spec {
				return t.fail("a field of an f-string is not closed")
			}
			flush()
			t.at += len(f.quote)
			t.emit(tokenFStringEnd, "")
			t.fstrings = t.fstrings[:len(t.fstrings)-1]
			return nil
		case c == '\n' && len(f.quote) == 1:
			return t.fail("an f-string is not closed on its line")
		case c == '{' && !spec && t.peek(1) == '{', c == '}' && !spec && t.peek(1) == '}':
			value.WriteByte(c)
			t.at += 2
		case c == '{':
			flush()
			if len(f.fields) >= maxFields {
				return t.fail("too many fields of an f-string in each other")
			}
			f.fields = append(f.fields, field{brackets: len(t.brackets)})
			t.emit(tokenOperator, "{")
			t.at++
			return nil
		case c == '}' && spec:
			flush()
			t.emit(tokenOperator, "}")
			f.fields = f.fields[:len(f.fields)-1]
			t.at++
			return nil
		case c == '}':
			return t.fail("a single } in an f-string")
		case c == '\\' && (!f.raw || t.peek(1) != '{' && t.peek(1) != '}'):
			if next := t.peek(1); !f.raw && (next == '{' || next == '}') {
				// The backslash stays, and the brace is read as one.
				t.advance(&value)
				continue
			}
			known, err := t.escape(&value, f.raw, false)
			if err != nil {
				return err
			}
			literal.opaque = literal.opaque || !known
		default:
			t.advance(&value)
			begin := t.at
			for t.at < len(t.source) && !mayEndText[t.source[t.at]] {
				t.at++
			}
			value.WriteString(t.source[begin:t.at])
		}
	}
}

// mayEndText has the bytes at which text of an f-string may end, or be written
// otherwise than it is.
var mayEndText = [256]bool{'{': true, '}': true, '\\': true, '\n': true, '"': true, '\'': true}

// maxFields is how deep fields may lie in format specifications: Python takes
// two, so a third does not parse.
const maxFields = 2
