package awscode

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tokenKind tells the tokens of Python's grammar apart.
// https://docs.python.org/3.12/reference/lexical_analysis.html
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenNewline
	tokenIndent
	tokenDedent
	tokenName
	tokenKeyword
	tokenNumber
	tokenString
	tokenOperator
	tokenFStringStart
	tokenFStringMiddle
	tokenFStringEnd
)

type token struct {
	// text is a name in NFKC, a keyword, an operator, a number as it is written,
	// or the value of a string or of an f-string's literal part.
	text string
	line int32
	kind tokenKind
	// bytes: the string literal is one of bytes. opaque: its value is not known
	// to this reader, because it names a character (\N{...}).
	bytes, opaque bool
}

// https://docs.python.org/3.12/reference/lexical_analysis.html#keywords
var keywords = set(
	"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
	"elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
	"not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
)

// maxKeyword is the length of the longest keyword.
const maxKeyword = len("continue")

// operators in the order in which they are tried: the longest first.
var operators = []string{
	"**=", "//=", ">>=", "<<=", "...",
	"!=", "==", "<=", ">=", "->", ":=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "**", "//", "<<", ">>",
	"+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "=",
}

// operatorsFrom are the operators by their first byte, the longest first.
var operatorsFrom = func() (by [utf8.RuneSelf][]string) {
	for _, operator := range operators {
		by[operator[0]] = append(by[operator[0]], operator)
	}
	return by
}()

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[name] = true
	}
	return s
}

// tabStop is the width to which a tab fills indentation.
const tabStop = 8

// fstring is an f-string that the tokenizer is in.
type fstring struct {
	quote  string
	raw    bool
	line   int
	fields []field
}

// field is a replacement field that it is in: brackets counts those open when
// the field began; spec: its format specification is being read.
type field struct {
	brackets int
	spec     bool
}

// tokenizer makes tokens of a source in which every line ends with \n.
type tokenizer struct {
	source   string
	at, line int
	tokens   []token
	indents  []indentation
	brackets []byte
	fstrings []fstring
	depth    int
}

// indentation has its width with tabs to stops of eight, and with tabs as one
// column: where the two disagree about an order, Python refuses the script.
type indentation struct{ wide, narrow int }

// tokenize splits source. depth bounds brackets, f-strings and indentation.
//
// The tokens are appended to those of into, which has none.
func tokenize(source string, depth int, into []token) ([]token, *syntaxError) {
	t := &tokenizer{source: source, line: 1, indents: []indentation{{}}, depth: depth, tokens: into}
	if err := t.run(); err != nil {
		return nil, err
	}
	return t.tokens, nil
}

func (t *tokenizer) fail(message string) *syntaxError {
	return &syntaxError{line: t.line, message: message}
}

func (t *tokenizer) emit(kind tokenKind, text string) {
	t.tokens = append(t.tokens, token{kind: kind, text: text, line: t.tokenLine()})
}

func (t *tokenizer) tokenLine() int32 { return int32(t.line) } //nolint:gosec // a source has MaxBytes

func (t *tokenizer) peek(n int) byte {
	if t.at+n < len(t.source) {
		return t.source[t.at+n]
	}
	return 0
}

func (t *tokenizer) run() *syntaxError {
	newLine := true
	for t.at < len(t.source) || len(t.fstrings) > 0 {
		if t.inLiteral() {
			if err := t.fstringText(); err != nil {
				return err
			}
			continue
		}
		if t.at >= len(t.source) {
			return t.fail("an f-string is not closed")
		}
		if newLine && len(t.brackets) == 0 && len(t.fstrings) == 0 {
			blank, err := t.indent()
			if err != nil {
				return err
			}
			newLine = false
			if blank {
				newLine = true
				continue
			}
		}
		ended, err := t.next()
		if err != nil {
			return err
		}
		newLine = newLine || ended
	}
	return t.end()
}

func (t *tokenizer) end() *syntaxError {
	if len(t.brackets) > 0 {
		return t.fail("a bracket is not closed")
	}
	if n := len(t.tokens); n > 0 && t.tokens[n-1].kind != tokenNewline {
		t.emit(tokenNewline, "")
	}
	for range t.indents[1:] {
		t.emit(tokenDedent, "")
	}
	t.emit(tokenEnd, "")
	return nil
}

// indent reads the white space that begins a line, and reports whether the line
// has nothing else.
func (t *tokenizer) indent() (blank bool, err *syntaxError) {
	var width indentation
	for ; ; t.at++ {
		switch t.peek(0) {
		case ' ':
			width.wide++
			width.narrow++
			continue
		case '\t':
			width.wide = (width.wide/tabStop + 1) * tabStop
			width.narrow++
			continue
		case '\f':
			width = indentation{}
			continue
		}
		break
	}
	switch {
	case t.at >= len(t.source):
		return true, nil
	case t.peek(0) == '#':
		t.comment()
		if t.at < len(t.source) {
			t.at++
			t.line++
		}
		return true, nil
	case t.peek(0) == '\n':
		t.at++
		t.line++
		return true, nil
	case t.peek(0) == '\\':
		return false, t.fail("a line is joined before its first token, which this reader does not follow")
	}
	return false, t.align(width)
}

func (t *tokenizer) align(width indentation) *syntaxError {
	top := t.indents[len(t.indents)-1]
	switch {
	case width.wide == top.wide:
		if width.narrow != top.narrow {
			return t.fail("tabs and spaces are mixed in indentation")
		}
		return nil
	case width.wide > top.wide:
		if width.narrow <= top.narrow {
			return t.fail("tabs and spaces are mixed in indentation")
		}
		if len(t.indents) >= min(t.depth, maxIndents) {
			return t.fail("too many levels of indentation")
		}
		t.indents = append(t.indents, width)
		t.emit(tokenIndent, "")
		return nil
	}
	for width.wide < t.indents[len(t.indents)-1].wide {
		t.indents = t.indents[:len(t.indents)-1]
		t.emit(tokenDedent, "")
	}
	if t.indents[len(t.indents)-1] != width {
		return t.fail("the indentation matches no outer level")
	}
	return nil
}

// maxIndents is CPython's own bound (MAXINDENT).
const maxIndents = 100

func (t *tokenizer) comment() {
	if end := strings.IndexByte(t.source[t.at:], '\n'); end >= 0 {
		t.at += end
		return
	}
	t.at = len(t.source)
}

// next reads one token, and reports whether it ended a logical line.
func (t *tokenizer) next() (ended bool, err *syntaxError) {
	c := t.peek(0)
	switch {
	case c == ' ' || c == '\t' || c == '\f':
		for t.at++; t.peek(0) == ' '; t.at++ {
		}
	case c == '#':
		t.comment()
	case c == '\n':
		if len(t.brackets) == 0 && len(t.fstrings) == 0 {
			t.emit(tokenNewline, "")
			ended = true
		}
		t.at++
		t.line++
	case c == '\\':
		if t.peek(1) != '\n' || t.at+2 >= len(t.source) {
			return false, t.fail("a backslash does not end a line")
		}
		t.at += 2
		t.line++
	case c >= '0' && c <= '9' || c == '.' && isDigit(t.peek(1)):
		return false, t.number()
	case c == '"' || c == '\'':
		return false, t.stringLiteral("")
	case c == '_' || c >= utf8.RuneSelf || isLetter(c):
		return false, t.name()
	default:
		return false, t.operator()
	}
	return ended, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// name reads a name, a keyword, or a string literal with a prefix.
func (t *tokenizer) name() *syntaxError {
	start, ascii := t.at, true
	for t.at < len(t.source) && isNameByte[t.source[t.at]] {
		t.at++
	}
	if t.at < len(t.source) && t.source[t.at] >= utf8.RuneSelf {
		ascii = t.unicodeName(start)
	}
	text := t.source[start:t.at]
	if text == "" {
		return t.fail("a character that no token begins with")
	}
	if q := t.peek(0); (q == '"' || q == '\'') && isStringPrefix(text) {
		return t.stringLiteral(strings.ToLower(text))
	}
	if ascii {
		if len(text) <= maxKeyword && keywords[text] {
			t.emit(tokenKeyword, text)
			return nil
		}
		t.emit(tokenName, text)
		return nil
	}
	// https://docs.python.org/3.12/reference/lexical_analysis.html#identifiers
	text = norm.NFKC.String(text)
	for n, r := range text {
		if !isIdentifier(r, n == 0) {
			return t.fail("a name that is none in NFKC")
		}
	}
	t.emit(tokenName, text)
	return nil
}

// unicodeName reads a name that begins at start and may have runes beyond ASCII, and
// reports whether it has none.
func (t *tokenizer) unicodeName(start int) (ascii bool) {
	ascii = true
	for t.at = start; t.at < len(t.source); {
		r, size := utf8.DecodeRuneInString(t.source[t.at:])
		if !isIdentifier(r, t.at == start) {
			break
		}
		ascii = ascii && r < utf8.RuneSelf
		t.at += size
	}
	return ascii
}

// isNameByte has the bytes of ASCII that a name may have.
var isNameByte = func() (is [256]bool) {
	for c := range is {
		is[c] = c == '_' || isDigit(byte(c)) || isLetter(byte(c))
	}
	return is
}()

// isIdentifier reports whether a name may have r, as its first rune or later.
// https://peps.python.org/pep-3131/
func isIdentifier(r rune, first bool) bool {
	switch {
	case r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) || unicode.Is(unicode.Other_ID_Start, r):
		return !unicode.Is(unicode.Pattern_Syntax, r) && !unicode.Is(unicode.Pattern_White_Space, r)
	case first:
		return false
	}
	return unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
}

func isStringPrefix(text string) bool {
	switch strings.ToLower(text) {
	case "r", "u", "b", "f", "br", "rb", "fr", "rf":
		return true
	}
	return false
}

func (t *tokenizer) operator() *syntaxError {
	if len(t.fstrings) > 0 {
		if done := t.fieldOperator(); done {
			return nil
		}
	}
	rest := t.source[t.at:]
	for _, operator := range operatorsFrom[rest[0]] {
		if !strings.HasPrefix(rest, operator) {
			continue
		}
		if err := t.bracket(operator[0], len(operator) == 1); err != nil {
			return err
		}
		t.at += len(operator)
		t.emit(tokenOperator, operator)
		return nil
	}
	return t.fail("a character that no token begins with")
}

// fieldOperator reads what has a meaning of its own in an f-string's field, on
// its outermost level: ! before a conversion, : before the format
// specification, } that ends it.
func (t *tokenizer) fieldOperator() bool {
	f := &t.fstrings[len(t.fstrings)-1]
	in := &f.fields[len(f.fields)-1]
	if len(t.brackets) != in.brackets {
		return false
	}
	switch c := t.peek(0); {
	case c == '!' && t.peek(1) != '=':
		t.emit(tokenOperator, "!")
	case c == ':':
		t.emit(tokenOperator, ":")
		in.spec = true
	case c == '}':
		t.emit(tokenOperator, "}")
		f.fields = f.fields[:len(f.fields)-1]
	default:
		return false
	}
	t.at++
	return true
}

func (t *tokenizer) bracket(c byte, alone bool) *syntaxError {
	if !alone {
		return nil
	}
	switch c {
	case '(', '[', '{':
		if len(t.brackets) >= t.depth {
			return t.fail("too many brackets in each other")
		}
		t.brackets = append(t.brackets, c)
	case ')', ']', '}':
		n := len(t.brackets)
		if n == 0 || t.brackets[n-1]+1 != c && t.brackets[n-1]+2 != c {
			return t.fail("a bracket closes that did not open")
		}
		if f := len(t.fstrings); f > 0 {
			fields := t.fstrings[f-1].fields
			if n <= fields[len(fields)-1].brackets {
				return t.fail("a bracket closes that did not open")
			}
		}
		t.brackets = t.brackets[:n-1]
	}
	return nil
}
