package authconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place inside a text, both numbers starting at 1. The zero
// Position means that the place is not known.
type Position struct {
	Line   int
	Column int
}

// Error is one thing that is wrong with an auth-config.
type Error struct {
	// Path names the field (spec.awsSts.roleMappings[1].matcher) or, for keys
	// other than auth-config.yaml, the key (tools.cedar).
	Path string
	// Position lies inside the field's own text for CEL, Cedar and JSON, and
	// inside auth-config.yaml where the YAML itself is at fault.
	Position Position
	// Message says what is wrong, in lower case, without the path.
	Message string
}

// Error renders "path: line:column: message".
func (e Error) Error() string {
	if e.Position.Line == 0 {
		return e.Path + ": " + e.Message
	}
	return fmt.Sprintf("%s: %d:%d: %s", e.Path, e.Position.Line, e.Position.Column, e.Message)
}

// Errors is every thing that is wrong with an auth-config.
type Errors []Error

// Error renders one error a line.
func (l Errors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// AsError is nil when the list is empty, so that a nil Errors never becomes a
// non-nil error.
func (l Errors) AsError() error {
	if len(l) == 0 {
		return nil
	}
	sorted := slices.Clone(l)
	slices.SortStableFunc(sorted, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column))
	})
	return sorted
}

// Addf appends an error without a position.
func (l *Errors) Addf(path, format string, args ...any) {
	*l = append(*l, Error{Path: path, Message: fmt.Sprintf(format, args...)})
}

// AddAt appends an error with a position.
func (l *Errors) AddAt(path string, at Position, format string, args ...any) {
	*l = append(*l, Error{Path: path, Position: at, Message: fmt.Sprintf(format, args...)})
}

// OffsetPosition turns a byte offset into text to a line and a column. Columns
// count bytes.
func OffsetPosition(text string, offset int) Position {
	offset = max(0, min(offset, len(text)))
	before := text[:offset]
	return Position{
		Line:   strings.Count(before, "\n") + 1,
		Column: offset - (strings.LastIndexByte(before, '\n') + 1) + 1,
	}
}
