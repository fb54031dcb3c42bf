package mcp

import (
	"bytes"
	"math/big"
	"net/textproto"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ParamHeader is an argument of a tool that a header repeats, as x-mcp-header in
// the tool's input schema says (revision 2026-07-28).
type ParamHeader struct {
	// Header is the whole name in canonical form: Mcp-Param-Region.
	Header string
	// Path leads to the argument through nested objects.
	Path []string
}

// paramHeaderSchema is what of a JSON Schema matters here.
type paramHeaderSchema struct {
	Header     jsontext.Value               `json:"x-mcp-header"`
	Properties map[string]paramHeaderSchema `json:"properties"`
}

// ParamHeaders reads the headers out of a tool's input schema.
func ParamHeaders(inputSchema jsontext.Value) []ParamHeader {
	var schema paramHeaderSchema
	if json.Unmarshal(inputSchema, &schema) != nil {
		return nil
	}
	return schema.collect(nil, nil)
}

func (s *paramHeaderSchema) collect(path []string, found []ParamHeader) []ParamHeader {
	for name, property := range s.Properties {
		at := append(path[:len(path):len(path)], name)
		var header string
		if property.Header.Kind() == '"' && json.Unmarshal(property.Header, &header) == nil && header != "" {
			found = append(
				found,
				ParamHeader{Header: textproto.CanonicalMIMEHeaderKey("Mcp-Param-" + header), Path: at},
			)
		}
		found = property.collect(at, found)
	}
	return found
}

// Agrees reports whether the header, as the request has it, says what the
// arguments say. A null or missing argument has no header.
func (h *ParamHeader) Agrees(values []string, arguments jsontext.Value) bool {
	argument := lookUp(arguments, h.Path)
	if len(argument) == 0 || argument.Kind() == 'n' {
		return len(values) == 0
	}
	if len(values) != 1 {
		return false
	}
	said, ok := DecodeHeader(strings.Trim(values[0], " \t"))
	if !ok {
		return false
	}
	switch argument.Kind() {
	case '"':
		return unquoted(argument) == said
	case 't', 'f':
		return string(argument) == said
	case '0':
		return sameNumber(string(argument), said)
	}
	return false
}

func lookUp(object jsontext.Value, path []string) jsontext.Value {
	for _, name := range path {
		if object.Kind() != '{' {
			return nil
		}
		var found jsontext.Value
		d := jsontext.NewDecoder(bytes.NewReader(object))
		_, _ = d.ReadToken() // its kind was checked above
		for d.PeekKind() == '"' {
			member, err := d.ReadToken()
			if err != nil {
				return nil
			}
			key := member.String()
			value, err := d.ReadValue()
			if err != nil {
				return nil
			}
			if key == name {
				found = value.Clone()
			}
		}
		object = found
	}
	return object
}

// maxHeaderNumber bounds the text of a number that is compared by value.
const maxHeaderNumber = 64

// sameNumber compares by value: 22, 22.0 and 2.2e1 are one number.
func sameNumber(argument, header string) bool {
	if argument == header {
		return true
	}
	a, okA := numberOf(argument)
	b, okB := numberOf(header)
	return okA && okB && a.Cmp(b) == 0
}

// numberOf reads what JSON has for a number, and nothing else that Go takes for
// one: 0x16 and +22 are none.
func numberOf(text string) (*big.Rat, bool) {
	if value := jsontext.Value(text); len(text) > maxHeaderNumber || value.Kind() != '0' || !value.IsValid() ||
		strings.TrimSpace(text) != text {
		return nil, false
	}
	if _, exponent, found := strings.Cut(strings.ToLower(text), "e"); found &&
		len(strings.Trim(exponent, "+-")) > maxExponentDigits {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// maxExponentDigits bounds the exponent of a number that is compared by value.
const maxExponentDigits = 3
