package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrTooLarge says that one event or message of the upstream is longer than
// the bound.
var ErrTooLarge = errors.New("the upstream's message is too large")

// maxEventLines bounds the lines of one event: what is kept of each is more than
// a short line.
const maxEventLines = 1 << 16

// EventRewriter passes a stream of Server-Sent Events on, event by event, with
// the data of each changed by rewrite. What is not data (ids, retry, comments,
// unknown fields, line ends, a BOM) passes byte for byte, and an event whose
// data rewrite returns as it is passes wholly so.
//
// The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html
type EventRewriter struct {
	limit   int
	rewrite func(data []byte) ([]byte, error)

	// pending holds the lines of the event that is being read.
	pending []byte
	lines   []eventLine
	// partial is where the unfinished line begins in pending.
	partial int
	hasData bool
	started bool
	// afterCR is set when the last line ended in CR, so that a LF that comes
	// first in the next chunk belongs to that end.
	afterCR bool
}

// eventLine is one line of pending: its content without the line end, and where
// the next line begins.
type eventLine struct {
	from, to, next int
	data           bool
}

// NewEventRewriter bounds one event to limit bytes.
func NewEventRewriter(limit int, rewrite func(data []byte) ([]byte, error)) *EventRewriter {
	return &EventRewriter{limit: limit, rewrite: rewrite}
}

// Write takes the next bytes of the stream and appends to dst what may go on.
// After an error the stream must end: dst then holds what came before it.
func (r *EventRewriter) Write(dst, chunk []byte) ([]byte, error) {
	if r.afterCR && len(chunk) > 0 {
		r.afterCR = false
		if chunk[0] == '\n' {
			dst, chunk = r.lateLF(dst), chunk[1:]
		}
	}
	for len(chunk) > 0 {
		end := bytes.IndexAny(chunk, "\r\n")
		if end < 0 {
			r.pending = append(r.pending, chunk...)
			break
		}
		next := end + 1
		if chunk[end] == '\r' {
			if next < len(chunk) && chunk[next] == '\n' {
				next++
			} else {
				r.afterCR = next == len(chunk)
			}
		}
		from := r.partial
		r.pending = append(r.pending, chunk[:next]...)
		line := eventLine{from: from, to: len(r.pending) - (next - end), next: len(r.pending)}
		chunk = chunk[next:]
		r.partial = len(r.pending)
		var err error
		if dst, err = r.line(dst, line); err != nil {
			return dst, err
		}
		if len(r.pending) > r.limit {
			return dst, ErrTooLarge
		}
	}
	if len(r.pending) > r.limit {
		return dst, ErrTooLarge
	}
	return dst, nil
}

// lateLF puts a LF where the CR before it went: on, when that event has gone on
// already, else behind its line.
func (r *EventRewriter) lateLF(dst []byte) []byte {
	if len(r.lines) == 0 {
		return append(dst, '\n')
	}
	r.pending = append(r.pending, '\n')
	r.lines[len(r.lines)-1].next++
	r.partial++
	return dst
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

func (r *EventRewriter) line(dst []byte, line eventLine) ([]byte, error) {
	content := r.pending[line.from:line.to]
	if !r.started {
		r.started = true
		content = bytes.TrimPrefix(content, byteOrderMark)
	}
	switch {
	case len(content) == 0:
		return r.dispatch(dst)
	case content[0] == ':' && len(r.lines) == 0:
		// A comment between events keeps the connection alive: do not hold it.
		dst = append(dst, r.pending[line.from:line.next]...)
		r.reset()
		return dst, nil
	}
	field, _, _ := bytes.Cut(content, []byte(":"))
	line.data = string(field) == "data"
	// A BOM is no part of the field; the line is written anew only when it is
	// data and changes, so from may move.
	line.from = line.to - len(content)
	r.hasData = r.hasData || line.data
	if len(r.lines) == maxEventLines {
		return dst, ErrTooLarge
	}
	r.lines = append(r.lines, line)
	return dst, nil
}

func (r *EventRewriter) reset() {
	const keep = 64 << 10
	if cap(r.pending) > keep {
		r.pending, r.lines = nil, nil
	}
	r.pending, r.lines, r.partial, r.hasData = r.pending[:0], r.lines[:0], 0, false
}

// dispatch handles a whole event; pending ends in its blank line.
func (r *EventRewriter) dispatch(dst []byte) ([]byte, error) {
	defer r.reset()
	data := r.data()
	if len(bytes.TrimSpace(data)) == 0 {
		return append(dst, r.pending...), nil
	}
	rewritten, err := r.rewrite(data)
	if err != nil {
		return dst, err
	}
	if bytes.Equal(rewritten, data) {
		return append(dst, r.pending...), nil
	}
	return r.appendRewritten(dst, rewritten), nil
}

// data joins the event's data lines as a client would.
func (r *EventRewriter) data() []byte {
	var joined []byte
	count := 0
	for _, line := range r.lines {
		if !line.data {
			continue
		}
		_, value, _ := bytes.Cut(r.pending[line.from:line.to], []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		if count++; count == 1 {
			joined = value
			continue
		}
		if count == 2 {
			joined = bytes.Clone(joined)
		}
		joined = append(append(joined, '\n'), value...)
	}
	return joined
}

// appendRewritten writes the new data where the first data line was and leaves
// the other data lines out.
func (r *EventRewriter) appendRewritten(dst, data []byte) []byte {
	at, written := 0, false
	for _, line := range r.lines {
		if !line.data {
			continue
		}
		dst = append(dst, r.pending[at:line.from]...)
		at = line.next
		if written {
			continue
		}
		written = true
		for part := range bytes.FieldsFuncSeq(data, func(c rune) bool { return c == '\n' || c == '\r' }) {
			dst = append(dst, "data: "...)
			dst = append(dst, part...)
			dst = append(dst, r.pending[line.to:line.next]...)
		}
	}
	return append(dst, r.pending[at:]...)
}

// streamBuffer is what one stream needs at a time; most streams are one short
// event, so a buffer of their own would be most of their garbage.
type streamBuffer struct {
	in  []byte
	out []byte
}

const streamBufferSize = 16 << 10

var streamBuffers = sync.Pool{New: func() any { return &streamBuffer{in: make([]byte, streamBufferSize)} }}

func (b *streamBuffer) release() {
	if cap(b.out) <= 4*streamBufferSize {
		streamBuffers.Put(b)
	}
}

// RewriteEvents reads src until its end and writes events on as they complete;
// flush is called after each write. An event that the stream breaks off in is
// dropped, as a client has to.
func RewriteEvents(dst io.Writer, flush func() error, src io.Reader, r *EventRewriter) error {
	buffers, _ := streamBuffers.Get().(*streamBuffer)
	defer buffers.release()
	for {
		n, readErr := src.Read(buffers.in)
		out, err := r.Write(buffers.out[:0], buffers.in[:n])
		buffers.out = out
		if len(out) > 0 {
			if _, writeErr := dst.Write(out); writeErr != nil {
				return fmt.Errorf("write events: %w", writeErr)
			}
			if flushErr := flush(); flushErr != nil {
				return fmt.Errorf("flush events: %w", flushErr)
			}
		}
		switch {
		case err != nil:
			return err
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return fmt.Errorf("read events: %w", readErr)
		}
	}
}
