package policy

import (
	"fmt"
	"strings"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// Bounds of one *.cedar key. cedar-go's parser, its validator and its evaluator recurse
// as deep as the text is nested, with no bound of their own: a stack that overflows ends
// the process.
const (
	maxPolicyBytes = 128 << 10
	// maxPolicyDepth bounds brackets within each other, and the ifs of one policy.
	maxPolicyDepth = 100
	// maxPolicyTokens bounds one policy: a chain of operators is a tree of that depth.
	maxPolicyTokens = 8192
	// maxUnary bounds the ! and - before one operand; Cedar itself has 4.
	maxUnary = 4
	// maxAttributePath bounds the attributes of one path: a.b.c has 3.
	maxAttributePath = 64
)

// policyText measures a *.cedar key before it is parsed, token by token as cedar-go's
// scanner reads it.
type policyText struct {
	text string
	at   int

	depth, tokens, ifs, unary, path int
}

// checkPolicyText bounds a key before it is parsed; it tells where too much begins.
func checkPolicyText(text string) (authconfig.Position, error) {
	if len(text) > maxPolicyBytes {
		return authconfig.Position{}, fmt.Errorf("is longer than %d bytes; split it into several keys", maxPolicyBytes)
	}
	t := &policyText{text: text}
	for {
		token := t.next()
		if token == "" {
			return authconfig.Position{}, nil
		}
		if err := t.count(token); err != nil {
			return authconfig.OffsetPosition(text, t.at), err
		}
	}
}

func (t *policyText) count(token string) error {
	t.tokens++
	switch token {
	case ";":
		*t = policyText{text: t.text, at: t.at, depth: t.depth}
	case "(", "[", "{":
		t.depth++
	case ")", "]", "}":
		t.depth = max(0, t.depth-1)
	case "if":
		t.ifs++
	}
	if token == "!" || token == "-" {
		t.unary++
	} else {
		t.unary = 0
	}
	switch {
	case token == ".":
		t.path++
	case !isWord(token[0]):
		t.path = 0
	}
	switch {
	case t.tokens > maxPolicyTokens:
		return fmt.Errorf("a policy has more than %d words and signs; split it", maxPolicyTokens)
	case t.depth > maxPolicyDepth:
		return fmt.Errorf("is nested more than %d deep", maxPolicyDepth)
	case t.ifs > maxPolicyDepth:
		return fmt.Errorf("a policy has more than %d ifs", maxPolicyDepth)
	case t.unary > maxUnary:
		return fmt.Errorf("more than %d of ! and - follow each other", maxUnary)
	case t.path > maxAttributePath:
		return fmt.Errorf("a path of attributes has more than %d", maxAttributePath)
	}
	return nil
}

// next gives the next token, or nothing at the end. What cedar-go takes for an error is
// a token here, too: it parses the text behind us and says so.
func (t *policyText) next() string {
	for t.at < len(t.text) {
		rest := t.text[t.at:]
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "//"):
			t.skipPast("\n", 2)
		case strings.HasPrefix(rest, "/*"):
			t.skipPast("*/", 2)
		case c == '"':
			return t.take(stringLength(rest))
		case isWord(c):
			n := 1
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
			return t.take(n)
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			t.at++
		default:
			return t.take(1)
		}
	}
	return ""
}

func (t *policyText) take(n int) string {
	token := t.text[t.at : t.at+n]
	t.at += n
	return token
}

// skipPast goes behind the end of a comment that begins with so many bytes.
func (t *policyText) skipPast(end string, begin int) {
	n := strings.Index(t.text[t.at+begin:], end)
	if n < 0 {
		t.at = len(t.text)
		return
	}
	t.at += begin + n + len(end)
}

// stringLength is that of a string literal with its quotes. A line's end ends none that
// cedar-go accepts.
func stringLength(text string) int {
	for n := 1; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case '"', '\n':
			return n + 1
		}
	}
	return len(text)
}

// isWord reports whether a byte is part of a name or a number; those of other letters
// are, since cedar-go refuses them.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
