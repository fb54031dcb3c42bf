package mcp

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what is looked at of an answer. What is only passed has none.
const (
	// maxAnswerDepth is the deepest nesting of an answer, jsontext's own bound.
	maxAnswerDepth = 10_000
	// maxAnswerName is the longest member name of a message or a result.
	maxAnswerName = 4 << 10
	// maxCaptured is the longest task, capabilities or params that is looked at;
	// a longer one passes unseen.
	maxCaptured = 64 << 10
	// maxToolResult is the longest part of a tool's result that is looked at.
	maxToolResult = 256 << 10
)

// ErrUnreadable says that a message of the upstream cannot be parsed or could
// be read in two ways, so that nobody can say what it would show.
var ErrUnreadable = errors.New("the upstream's message cannot be read")

// TooLargeError says that something of the upstream which has to be held is
// longer than its bound.
type TooLargeError struct {
	// What is held: a list, a line of an event.
	What string
	// Limit is in bytes.
	Limit int64
	// Field is the setting that moves the limit; empty where none does.
	Field string
}

func (e *TooLargeError) Error() string {
	text := fmt.Sprintf("the upstream's %s is longer than %d bytes", e.What, e.Limit)
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	return text
}

// ErrNoRoom says that too many lists are held at this moment.
var ErrNoRoom = errors.New("too many lists are being filtered at once")

// HoldBudget bounds the bytes of all lists that are held at once.
type HoldBudget struct{ left atomic.Int64 }

// NewHoldBudget makes a budget of that many bytes.
func NewHoldBudget(bytes int64) *HoldBudget {
	b := &HoldBudget{}
	b.left.Store(bytes)
	return b
}

func (b *HoldBudget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *HoldBudget) give(n int64) {
	if b != nil {
		b.left.Add(n)
	}
}

// Answers say what happens to the messages of an upstream on their way to one
// caller.
type Answers struct {
	// Filter says what the caller may see.
	Filter ListFilter
	// Private marks results that may be cached as this caller's own.
	Private bool
	// ShowsAll: the filter cuts nothing but tasks, so that a list that is too large
	// to be held goes on as it is.
	ShowsAll bool
	// MaxHeld bounds one list, in bytes; 0 is without bound.
	MaxHeld int64
	// Budget bounds all lists that are held at once; nil is without bound.
	Budget *HoldBudget
	// Notes receives what is learned of the messages; it may be nil.
	Notes AnswerNotes
	// ToolResult is given the parts of tools' results, content and structuredContent,
	// as JSON; nil for one that is longer than is looked at. It may be nil.
	ToolResult func(part jsontext.Value)
	// Failed is told of an answer that is an error, by its JSON-RPC code, and of a tool's
	// result that says isError, with the code 0. It may be nil.
	Failed func(code int)
}

// AnswerNotes is told what an intermediary wants to know of a server's messages.
type AnswerNotes interface {
	// Capabilities are those of a result, as JSON.
	Capabilities(jsontext.Value)
	// Message is a request or notification of the server; params is JSON, or empty.
	Message(method string, params jsontext.Value)
}

// scanState is what the scanner expects next.
type scanState uint8

const (
	expectValue scanState = iota
	expectValueOrEnd
	expectKeyOrEnd
	expectKey
	expectColon
	expectCommaOrEnd
	inString
	inEscape
	inHex
	inNumber
	inLiteral
	atEnd
)

// capture is what is copied of a value that passes.
type capture struct {
	active bool
	depth  int
	limit  int
	text   []byte
	over   bool
}

// scanner passes one message of a server, or a batch, byte by byte. Only lists
// of a result are held until they are whole; the rest goes on as it came, but
// for line separators inside strings, which become escapes, and cacheScope.
type scanner struct {
	Answers
	// oneLine writes line ends between tokens as spaces.
	oneLine bool

	state scanState
	// stack has '{' or '[' for every open container.
	stack []byte
	// number is the state within a number; see numberNext.
	number byte
	// literal is what is left to come of true, false or null.
	literal string
	hex     int
	isKey   bool
	// split holds the first bytes of what may be a line separator.
	split []byte

	// base is the depth of messages: 1 in a batch.
	base     int
	inResult bool
	// name collects a member name that is looked at.
	naming bool
	name   []byte
	// member is the last name at the level that is looked at.
	member string
	// seen has the known members of the message and of its result.
	seenEnvelope, seenResult uint64

	holding   bool
	holdDepth int
	held      []byte
	reserved  int64
	captured  capture

	hasTTL, hasScope bool
	method           string
	params           []byte
}

func (s *scanner) reset() {
	s.Budget.give(s.reserved)
	*s = scanner{Answers: s.Answers, oneLine: s.oneLine, stack: s.stack[:0], name: s.name[:0], split: s.split[:0]}
}

// write takes the next bytes and appends to dst what may go on.
func (s *scanner) write(dst, chunk []byte) ([]byte, error) {
	for i := 0; i < len(chunk); {
		if n := s.deepRun(chunk[i:]); n > 0 {
			var err error
			if dst, err = s.emit(dst, chunk[i:i+n]); err != nil {
				return dst, err
			}
			i += n
			continue
		}
		if s.state == inString && len(s.split) == 0 {
			if n := plainRun(chunk[i:]); n > 0 {
				var err error
				if dst, err = s.emitPlain(dst, chunk[i:i+n]); err != nil {
					return dst, err
				}
				i += n
				continue
			}
		}
		var err error
		if dst, err = s.step(dst, chunk[i]); err != nil {
			return dst, err
		}
		i++
	}
	return dst, nil
}

// emitPlain is emit for bytes of a string that need no look.
func (s *scanner) emitPlain(dst, b []byte) ([]byte, error) {
	if s.naming {
		if len(s.name)+len(b) > maxAnswerName {
			return dst, ErrUnreadable
		}
		s.name = append(s.name, b...)
	}
	return s.emit(dst, b)
}

// finish says that no more bytes come.
func (s *scanner) finish(dst []byte) ([]byte, error) {
	if s.state != atEnd {
		return dst, ErrUnreadable
	}
	return dst, nil
}

func (s *scanner) emit(dst []byte, b []byte) ([]byte, error) {
	if s.captured.active && !s.captured.over {
		if s.captured.over = len(s.captured.text)+len(b) > s.captured.limit; !s.captured.over {
			s.captured.text = append(s.captured.text, b...)
		}
	}
	if !s.holding {
		return append(dst, b...), nil
	}
	if s.MaxHeld > 0 && int64(len(s.held)+len(b)) > s.MaxHeld {
		if s.passesUncut() {
			return s.letGo(dst, b), nil
		}
		return dst, &TooLargeError{What: "list", Limit: s.MaxHeld, Field: "spec.limits.maxFilteredBytes"}
	}
	if more := len(s.held) + len(b); more > cap(s.held) {
		// To twice what it is: append grows what is large by a quarter, and copies it each time.
		s.held = slices.Grow(s.held, max(more, 2*cap(s.held))-len(s.held))
	}
	s.held = append(s.held, b...)
	if grown := int64(cap(s.held)) - s.reserved; grown > 0 {
		if !s.Budget.take(grown) {
			if s.passesUncut() {
				return s.letGo(dst, nil), nil
			}
			return dst, ErrNoRoom
		}
		s.reserved += grown
	}
	return dst, nil
}

// emitByte is emit for one byte, of which most need none of its checks.
func (s *scanner) emitByte(dst []byte, c byte) ([]byte, error) {
	switch {
	case s.captured.active:
	case !s.holding:
		return append(dst, c), nil
	case len(s.held) < cap(s.held) && (s.MaxHeld <= 0 || int64(len(s.held)) < s.MaxHeld):
		s.held = append(s.held, c)
		return dst, nil
	}
	one := [1]byte{c}
	return s.emit(dst, one[:])
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// step takes one byte.
func (s *scanner) step(dst []byte, c byte) ([]byte, error) {
	switch s.state {
	case inString, inEscape, inHex:
		return s.stepString(dst, c)
	case inNumber:
		if next, ok := numberNext(s.number, c); ok {
			s.number = next
			return s.emitByte(dst, c)
		}
		if !numberMayEnd(s.number) {
			return dst, ErrUnreadable
		}
		var err error
		if dst, err = s.valueEnd(dst); err != nil {
			return dst, err
		}
		return s.step(dst, c)
	case inLiteral:
		if c != s.literal[0] {
			return dst, ErrUnreadable
		}
		s.literal = s.literal[1:]
		dst, err := s.emitByte(dst, c)
		if err == nil && s.literal == "" {
			return s.valueEnd(dst)
		}
		return dst, err
	}
	if isSpace(c) {
		if s.oneLine && (c == '\n' || c == '\r') {
			c = ' '
		}
		return s.emitByte(dst, c)
	}
	return s.stepToken(dst, c)
}

// stepToken takes the first byte of a token.
func (s *scanner) stepToken(dst []byte, c byte) ([]byte, error) {
	switch s.state {
	case expectKeyOrEnd, expectKey:
		if c == '"' {
			s.state, s.isKey = inString, true
			s.naming = s.looksAtNames()
			s.name = s.name[:0]
			return s.emitByte(dst, c)
		}
		if c == '}' && s.state == expectKeyOrEnd {
			return s.close(dst, c)
		}
		return dst, ErrUnreadable
	case expectColon:
		if c != ':' {
			return dst, ErrUnreadable
		}
		s.state = expectValue
		return s.emitByte(dst, c)
	case expectCommaOrEnd:
		if c != ',' {
			return s.close(dst, c)
		}
		s.state = expectValue
		if s.stack[len(s.stack)-1] == '{' {
			s.state = expectKey
		}
		return s.emitByte(dst, c)
	case expectValueOrEnd:
		if c == ']' {
			return s.close(dst, c)
		}
		return s.valueStart(dst, c)
	case expectValue:
		return s.valueStart(dst, c)
	}
	return dst, ErrUnreadable // something follows the message
}

// looksAtNames reports whether the open object is a message or its result.
func (s *scanner) looksAtNames() bool {
	return len(s.stack) == s.base+1 || s.inResult && len(s.stack) == s.base+2
}

func (s *scanner) valueStart(dst []byte, c byte) ([]byte, error) {
	switch depth := len(s.stack); {
	case depth == 0 && c == '[':
		s.base = 1
	case depth <= s.base && c != '{':
		return dst, ErrUnreadable // neither a message nor a batch of them
	case depth == s.base:
		s.seenEnvelope, s.method, s.params = 0, "", nil
	case s.inResult && depth == s.base+2:
		s.resultValueStart(depth)
	case !s.inResult && depth == s.base+1:
		s.envelopeValueStart(depth, c)
	}
	switch c {
	case '{', '[':
		if len(s.stack) == maxAnswerDepth {
			return dst, ErrUnreadable
		}
		s.stack = append(s.stack, c)
		s.state = expectKeyOrEnd
		if c == '[' {
			s.state = expectValueOrEnd
		}
	case '"':
		s.state, s.isKey, s.naming = inString, false, false
	case 't':
		s.state, s.literal = inLiteral, "true"[1:]
	case 'f':
		s.state, s.literal = inLiteral, "false"[1:]
	case 'n':
		s.state, s.literal = inLiteral, "null"[1:]
	default:
		next, ok := numberNext(0, c)
		if !ok {
			return dst, ErrUnreadable
		}
		s.state, s.number = inNumber, next
	}
	return s.emitByte(dst, c)
}

func (s *scanner) envelopeValueStart(depth int, c byte) {
	switch s.member {
	case "result":
		if c == '{' {
			s.inResult, s.seenResult, s.hasTTL, s.hasScope = true, 0, false, false
		}
	case "error":
		s.captured = capture{active: s.Failed != nil, depth: depth, limit: maxCaptured, text: s.captured.text[:0]}
	case "method", "params":
		s.captured = capture{active: s.Notes != nil, depth: depth, limit: maxCaptured, text: s.captured.text[:0]}
	}
}

func (s *scanner) resultValueStart(depth int) {
	switch s.member {
	case "cacheScope":
		s.hasScope = true
		s.holding, s.holdDepth = s.Private, depth
	case "ttlMs":
		s.hasTTL = true
	case "isError":
		s.captured = capture{active: s.Failed != nil, depth: depth, limit: maxCaptured, text: s.captured.text[:0]}
	case "task", "taskId", "capabilities":
		s.captured = capture{active: true, depth: depth, limit: maxCaptured, text: s.captured.text[:0]}
	case "content", "structuredContent":
		s.captured = capture{
			active: s.ToolResult != nil, depth: depth, limit: maxToolResult, text: s.captured.text[:0],
		}
	default:
		if listOf(s.member) >= 0 {
			s.holding, s.holdDepth = true, depth
		}
	}
}

// close ends the open container.
func (s *scanner) close(dst []byte, c byte) ([]byte, error) {
	open := s.stack[len(s.stack)-1]
	if open == '{' && c != '}' || open == '[' && c != ']' {
		return dst, ErrUnreadable
	}
	if s.inResult && len(s.stack) == s.base+2 {
		s.inResult = false
		if s.Private && s.hasTTL && !s.hasScope {
			// A result that may be kept but does not say by whom.
			dst = append(dst, `,"cacheScope":"private"`...)
		}
	}
	s.stack = s.stack[:len(s.stack)-1]
	dst, err := s.emitByte(dst, c)
	if err != nil {
		return dst, err
	}
	return s.valueEnd(dst)
}

// valueEnd is called behind the last byte of every value.
func (s *scanner) valueEnd(dst []byte) ([]byte, error) {
	depth := len(s.stack)
	s.state = expectCommaOrEnd
	if depth == 0 {
		s.state = atEnd
	}
	if s.captured.active && depth == s.captured.depth {
		if err := s.captureEnd(); err != nil {
			return dst, err
		}
	}
	if s.holding && depth == s.holdDepth {
		return s.holdEnd(dst)
	}
	if depth == s.base && s.method != "" && s.Notes != nil {
		s.Notes.Message(s.method, s.params)
	}
	return dst, nil
}
