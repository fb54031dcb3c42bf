package mcp

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Bounds of an event, beside those of the message that it carries.
const (
	// maxEventField is the longest line that is not data: an id, an event's name.
	maxEventField = 64 << 10
	// maxEventText is the most data of an event that carries no message.
	maxEventText = 1 << 20
	// maxInserted is how much of an intermediary's own waits for the end of an
	// event; a client that does not read gets no more.
	maxInserted = 16 << 10
	// maxEventFields bounds what has to wait behind data that is on its way.
	maxEventFields = 128 << 10
)

// EventRewriter writes a stream of Server-Sent Events anew from what was
// understood of it: known fields, one line of data for a message, LF at every
// line's end, a bare ":" for a comment. What a program that ends lines elsewhere
// (at every LF, at every separator of Unicode) reads is then the same.
//
// The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html
type EventRewriter struct {
	scanner scanner
	// dropped counts fields that were left out because they hold a line end of
	// some program, or NUL.
	dropped int

	started bool
	// bom holds the first bytes of what may be a byte order mark.
	bom []byte
	// afterCR is set when the last line ended in CR, so that a LF that comes
	// first in the next chunk belongs to that end.
	afterCR bool

	line  lineKind
	field []byte
	// lines counts the data lines of the event.
	lines int
	data  dataMode
	// text holds data that is not known to be a message; fields wait for the end
	// of a message that is on its way.
	text   []byte
	fields []byte
	// wrote is set when something of the event went on.
	wrote bool
	// inserted are whole events that go out behind this one.
	inserted []byte
}

// lineKind is what the line that is being read is.
type lineKind uint8

const (
	lineName    lineKind = iota // its field name, or nothing yet
	lineData                    // data, behind the optional space
	lineSpace                   // data, where the optional space may stand
	lineField                   // the value of a known field, collected whole
	lineIgnored                 // an unknown field or a comment
)

// dataMode is what the event's data is taken for.
type dataMode uint8

const (
	dataNone    dataMode = iota
	dataOpening          // white space and "[" only: nobody can tell yet
	dataMessage
	dataText
)

// NewEventRewriter makes a rewriter for one stream.
func NewEventRewriter(answers Answers) *EventRewriter {
	return &EventRewriter{scanner: scanner{Answers: answers, oneLine: true}}
}

// Dropped is the number of fields that were left out.
func (r *EventRewriter) Dropped() int { return r.dropped }

// AtBoundary reports whether the output stands between two events, where another
// one may be put.
func (r *EventRewriter) AtBoundary() bool { return !r.wrote }

// InsertAfterEvent puts a whole event behind the one that is on its way. It is
// dropped where too many wait already.
func (r *EventRewriter) InsertAfterEvent(event []byte) {
	if len(r.inserted)+len(event) <= maxInserted {
		r.inserted = append(r.inserted, event...)
	}
}

// Release gives back what the rewriter holds of its budget.
func (r *EventRewriter) Release() { r.scanner.reset() }

// Cut appends what ends an event that is on its way so that no client takes it
// for a message.
func (r *EventRewriter) Cut(dst []byte) []byte {
	switch {
	case !r.wrote:
		return dst
	case r.data == dataMessage:
		dst = append(dst, '\n')
	}
	return append(dst, "event: broken\n\n"...)
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

// Write takes the next bytes of the stream and appends to dst what may go on.
// After an error the stream must end, see Cut; dst holds what came before it.
func (r *EventRewriter) Write(dst, chunk []byte) ([]byte, error) {
	if !r.started {
		chunk = r.skipMark(chunk)
	}
	for len(chunk) > 0 {
		if r.afterCR {
			r.afterCR = false
			if chunk[0] == '\n' {
				chunk = chunk[1:]
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		var err error
		if dst, err = r.content(dst, part); err != nil {
			return dst, err
		}
		if end < 0 {
			return dst, nil
		}
		r.afterCR = chunk[end] == '\r'
		chunk = chunk[end+1:]
		if dst, err = r.lineEnd(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// skipMark drops a byte order mark, which may open the stream.
func (r *EventRewriter) skipMark(chunk []byte) []byte {
	joined := append(r.bom, chunk...)
	if len(joined) < len(byteOrderMark) && bytes.HasPrefix(byteOrderMark, joined) {
		r.bom = joined
		return nil
	}
	r.started, r.bom = true, nil
	return bytes.TrimPrefix(joined, byteOrderMark)
}

// content takes a part of a line.
func (r *EventRewriter) content(dst, part []byte) ([]byte, error) {
	for len(part) > 0 {
		switch r.line {
		case lineIgnored:
			return dst, nil
		case lineSpace:
			r.line = lineData
			if part[0] == ' ' {
				part = part[1:]
			}
		case lineData:
			return r.dataBytes(dst, part)
		case lineField:
			return dst, r.collect(part)
		case lineName:
			colon := bytes.IndexByte(part, ':')
			if colon < 0 {
				return dst, r.collect(part)
			}
			if err := r.collect(part[:colon]); err != nil {
				return dst, err
			}
			part = part[colon+1:]
			var err error
			if dst, err = r.nameEnd(dst); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// collect keeps a part of a name or of a field's value; of a name, no more than
// tells it from the known ones.
func (r *EventRewriter) collect(part []byte) error {
	if r.line == lineName && len(r.field)+len(part) > len("event") {
		r.field = append(r.field[:0], "unknown"...)
		return nil
	}
	if len(r.field)+len(part) > maxEventField {
		return &TooLargeError{What: "event has a line that", Limit: maxEventField}
	}
	r.field = append(r.field, part...)
	return nil
}

// nameEnd decides what the line is by its field name.
func (r *EventRewriter) nameEnd(dst []byte) ([]byte, error) {
	name := string(r.field)
	switch name {
	case "data":
		r.line, r.field = lineSpace, r.field[:0]
		return r.dataLineStart(dst)
	case "event", "id", "retry":
		r.line = lineField
		r.field = append(r.field, ':')
	case "":
		r.line, r.field = lineIgnored, r.field[:0]
		if r.data == dataNone {
			// Between events it keeps the connection alive: it must not wait.
			dst = append(dst, ":\n"...)
		}
	default:
		r.line, r.field = lineIgnored, r.field[:0]
	}
	return dst, nil
}

// lineEnd handles the end of a line.
func (r *EventRewriter) lineEnd(dst []byte) ([]byte, error) {
	var err error
	switch r.line {
	case lineName:
		if len(r.field) == 0 {
			return r.dispatch(dst)
		}
		// A field without a colon has an empty value.
		switch string(r.field) {
		case "data":
			dst, err = r.dataLineStart(dst)
		case "id", "event":
			r.field = append(r.field, ':')
			dst, err = r.fieldEnd(dst)
		}
	case lineField:
		dst, err = r.fieldEnd(dst)
	}
	r.line, r.field = lineName, r.field[:0]
	return dst, err
}

// fieldEnd passes a field on, or drops it where some program would see the end
// of a line in it.
func (r *EventRewriter) fieldEnd(dst []byte) ([]byte, error) {
	name, value, _ := bytes.Cut(r.field, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	digits := len(bytes.Trim(value, "0123456789")) == 0 && len(value) > 0
	if bytes.ContainsFunc(value, isControl) || !utf8.Valid(value) || mayHoldMessage(value) ||
		string(name) == "retry" && !digits {
		r.dropped++
		return dst, nil
	}
	into := &dst
	if r.data != dataNone {
		if into = &r.fields; len(r.fields)+len(r.field) > maxEventFields {
			return dst, &TooLargeError{What: "event has fields behind its data that", Limit: maxEventFields}
		}
	} else {
		r.wrote = true
	}
	*into = append(*into, name...)
	*into = append(*into, ": "...)
	*into = append(*into, value...)
	*into = append(*into, '\n')
	return dst, nil
}

// isControl reports whether some program takes the character for a line's end:
// ASCII's control characters and the separators of Unicode.
func isControl(c rune) bool {
	return c < 0x20 && c != '\t' || c == 0x7F || c == 0x85 || c == 0x2028 || c == 0x2029
}

// dataLineStart begins a line of data: lines after the first are joined.
func (r *EventRewriter) dataLineStart(dst []byte) ([]byte, error) {
	if r.lines++; r.lines == 1 {
		r.data = dataOpening
		return dst, nil
	}
	return r.dataBytes(dst, []byte{'\n'})
}

func (r *EventRewriter) dataBytes(dst, part []byte) ([]byte, error) {
	switch r.data {
	case dataMessage:
		return r.scanner.write(dst, part)
	case dataText:
		return dst, r.keepText(part)
	}
	for i, c := range part {
		if isSpace(c) || c == '[' && !bytes.ContainsRune(r.text, '[') {
			if err := r.keepText(part[i : i+1]); err != nil {
				return dst, err
			}
			continue
		}
		if c != '{' {
			r.data = dataText
			return dst, r.keepText(part[i:])
		}
		r.data, r.wrote = dataMessage, true
		dst = append(dst, "data: "...)
		opening := r.text
		r.text = nil
		var err error
		if dst, err = r.scanner.write(dst, opening); err != nil {
			return dst, err
		}
		return r.scanner.write(dst, part[i:])
	}
	return dst, nil
}

func (r *EventRewriter) keepText(part []byte) error {
	if len(r.text)+len(part) > maxEventText {
		return &TooLargeError{What: "event without a message", Limit: maxEventText}
	}
	r.text = append(r.text, part...)
	return nil
}

// dispatch handles a whole event at its blank line.
func (r *EventRewriter) dispatch(dst []byte) ([]byte, error) {
	var err error
	switch r.data {
	case dataMessage:
		if dst, err = r.scanner.finish(dst); err == nil {
			r.scanner.reset()
			dst = append(dst, '\n')
		}
	case dataOpening, dataText:
		dst, err = r.appendText(dst)
	}
	if err != nil {
		return dst, err
	}
	dst = append(append(dst, r.fields...), '\n')
	dst = append(dst, r.inserted...)
	r.inserted = nil
	r.endEvent()
	return dst, nil
}

func (r *EventRewriter) endEvent() {
	const keep = 4 << 10
	if cap(r.text) > keep {
		r.text = nil
	}
	if cap(r.field) > keep {
		r.field = nil
	}
	if cap(r.fields) > keep {
		r.fields = nil
	}
	r.text, r.fields, r.field = r.text[:0], r.fields[:0], r.field[:0]
	r.data, r.lines, r.wrote, r.line = dataNone, 0, false, lineName
}

// appendText writes data that is no message. What some parser could take for one
// is refused.
func (r *EventRewriter) appendText(dst []byte) ([]byte, error) {
	if mayHoldMessage(r.text) {
		return dst, ErrUnreadable
	}
	for line := range strings.SplitSeq(string(r.text), "\n") {
		line = strings.Map(func(c rune) rune {
			if isControl(c) || c == utf8.RuneError {
				return ' '
			}
			return c
		}, line)
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return dst, nil
}

// mayHoldMessage reports whether text has what begins an object. Nothing in front
// of it makes it harmless: parsers pass over comments, byte order marks and tags,
// clients strip "data: " more than once, and one that takes the stream for
// ISO-8859-1 ends a line inside a character of UTF-8.
func mayHoldMessage(text []byte) bool { return bytes.IndexByte(text, '{') >= 0 }
