package mcp

import (
	"bytes"
	"errors"
	"io"

	"github.com/countersign-io/countersign/pkg/jsonread"
	"github.com/go-json-experiment/json/jsontext"
)

// MessageRewriter passes one JSON message of a server, or a batch, piece by
// piece.
type MessageRewriter struct{ scanner scanner }

// NewMessageRewriter makes a rewriter for one message.
func NewMessageRewriter(answers Answers) *MessageRewriter {
	space := make([]byte, 48) // for stack and names, as most messages have them
	return &MessageRewriter{scanner{Answers: answers, stack: space[:0:16], name: space[16:16]}}
}

// Write takes the next bytes of the message and appends to dst what may go on.
// The error is ErrUnreadable, ErrNoRoom or a *TooLargeError.
func (r *MessageRewriter) Write(dst, chunk []byte) ([]byte, error) {
	return r.scanner.write(dst, chunk)
}

// Finish says that no more bytes come; the error is that of Write.
func (r *MessageRewriter) Finish(dst []byte) ([]byte, error) { return r.scanner.finish(dst) }

// Release gives back what the rewriter holds of its budget.
func (r *MessageRewriter) Release() { r.scanner.reset() }

// FilterMessage passes a message that is there as a whole.
func FilterMessage(message []byte, answers Answers) ([]byte, error) {
	r := NewMessageRewriter(answers)
	defer r.Release()
	out, err := r.Write(make([]byte, 0, len(message)), message)
	if err != nil {
		return nil, err
	}
	return r.Finish(out)
}

// scanOptions: what lies deep in an answer may repeat names and hold text that is cut
// within a character; it is not looked at.
var scanOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// IsMessage reports whether a server's body is a JSON-RPC message, or a batch of
// them, and not just any JSON.
func IsMessage(body []byte) bool {
	err := jsonread.WithDecoder(body, func(d *jsontext.Decoder) error {
		if d.PeekKind() != '[' {
			return checkMessage(d)
		}
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			if err := checkMessage(d); err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	}, scanOptions...)
	return err == nil
}

var errNoMessage = errors.New("not a JSON-RPC message")

// checkMessage reads one object that says jsonrpc 2.0 and has a method, a result
// or an error.
func checkMessage(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var version, content bool
	err = jsonread.WithDecoder(bytes.Clone(value), func(inner *jsontext.Decoder) error {
		return readObject(inner, "a message", envelopeMembers, func(name string) error {
			member, err := inner.ReadValue()
			switch name {
			case "jsonrpc":
				version = string(member) == `"2.0"`
			case "method", "result", "error":
				content = true
			}
			return err
		})
	}, scanOptions...)
	if err == nil && (!version || !content) {
		return errNoMessage
	}
	return err
}
