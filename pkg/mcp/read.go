package mcp

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// readObject calls member for each name; member must read exactly the value.
func readObject(d *jsontext.Decoder, what string, known []string, member func(name string) error) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '{' {
		return invalidf("%s must be an object", what)
	}
	for d.PeekKind() != '}' {
		name, confusable, err := readName(d, known)
		if err != nil {
			return err
		}
		if confusable {
			return invalidf("%s has a member that differs from %q only by case", what, name)
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

// readName reads a member's name; see canonicalName.
func readName(d *jsontext.Decoder, known []string) (name string, confusable bool, err error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return "", false, err
	}
	for _, k := range known {
		if string(quoted[1:len(quoted)-1]) == k {
			return k, false, nil
		}
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // what is wrong with it the decoder was told to allow
	name, confusable = canonicalName(string(text), known)
	return name, confusable, nil
}

// canonicalName finds names that a parser which ignores case, or what follows a
// control character, would take for a known one; it returns that one.
func canonicalName(name string, known []string) (string, bool) {
	for _, k := range known {
		if name == k {
			return k, false
		}
	}
	// A reader that ends strings at NUL, or passes over controls, sees less.
	bare := name
	if i := strings.IndexFunc(bare, isControl); i >= 0 {
		bare = bare[:i]
	}
	for _, k := range known {
		if strings.EqualFold(bare, k) {
			return k, true
		}
	}
	return name, false
}

func readString(d *jsontext.Decoder, what string) (string, error) {
	token, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	if token.Kind() != '"' {
		return "", invalidf("%s must be a string", what)
	}
	return token.String(), nil
}

// readMethod is readString for a method, whose name is there as a rule.
func readMethod(d *jsontext.Decoder) (string, error) {
	if d.PeekKind() != '"' {
		return readString(d, "method")
	}
	quoted, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	if known := methodsByName[string(quoted[1:len(quoted)-1])]; known != nil {
		return known.Name, nil
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	return string(text), err
}

// justRead is the part of the text that the decoder read last and gave as value, which it takes
// back when it reads on.
func justRead(d *jsontext.Decoder, text []byte, value jsontext.Value) jsontext.Value {
	end := d.InputOffset()
	return text[end-int64(len(value)) : end : end]
}

// depthExceeds looks for deep nesting without parsing, so that no recursive
// code sees it.
func depthExceeds(text []byte, limit int) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= limit {
		return false
	}
	depth, inString, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
