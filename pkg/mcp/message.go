package mcp

import (
	"errors"
	"fmt"
	"io"

	"github.com/countersign-io/countersign/pkg/jsonread"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a request beside its length.
const (
	// MaxDepth is the deepest nesting of arrays and objects.
	MaxDepth = 128
	// MaxBatch is the largest number of messages in one batch.
	MaxBatch = 64
)

// Message is one JSON-RPC message of a client.
type Message struct {
	// ID is the id as it was written; empty for notifications.
	ID jsontext.Value
	// Method is empty for responses.
	Method string
	Params Params

	// subjects are what the message is about, once asked for.
	subjects []Subject
}

// IsResponse tells the client's answer to a request of the server.
func (m *Message) IsResponse() bool { return m.Method == "" }

// IsNotification tells a message that gets no answer.
func (m *Message) IsNotification() bool { return m.Method != "" && len(m.ID) == 0 }

// Params holds the members of params that an intermediary decides on.
type Params struct {
	// Name is of tools/call and prompts/get.
	Name string
	// URI is of resources/read, resources/subscribe and resources/unsubscribe.
	URI string
	// Arguments is a JSON object, or empty.
	Arguments jsontext.Value
	// Ref is of completion/complete.
	Ref Ref
	// TaskID is of tasks/*.
	TaskID string
	// Subscriptions are the resource URIs of subscriptions/listen.
	Subscriptions []string
	// ListenTaskIDs are the tasks of subscriptions/listen, Lists the lists of
	// whose changes it asks to be told.
	ListenTaskIDs []string
	Lists         ListKinds
	// HasCursor is set where a list is asked for from a page on.
	HasCursor bool
	// Meta is what _meta says that a header says too, and the trace context.
	Meta Meta
}

// Ref is what a completion is for.
type Ref struct {
	Type string
	Name string
	URI  string
}

// Meta are the members of _meta that an intermediary reads.
type Meta struct {
	ProtocolVersion string
	TraceParent     string
	TraceState      string
}

// InvalidMessageError says why a body is not what the protocol allows.
type InvalidMessageError struct {
	// Code is CodeParse or CodeInvalidRequest.
	Code int
	// ID is the message's id as far as it was read.
	ID jsontext.Value
	// Reason is for the client; it holds nothing of the body but member names.
	Reason string
}

func (e *InvalidMessageError) Error() string { return e.Reason }

func invalidf(format string, args ...any) error {
	return &InvalidMessageError{Code: CodeInvalidRequest, Reason: fmt.Sprintf(format, args...)}
}

// Body is a parsed request body.
type Body struct {
	Messages []Message
	// Batch is set when the body was an array.
	Batch bool
}

// Parse reads a request body, of which the messages keep parts: it must not change. Duplicate
// member names, invalid UTF-8, lone surrogates, trailing data, deep nesting and members that
// differ from a known one only by case are errors, always *InvalidMessageError.
func Parse(body []byte) (*Body, error) {
	if depthExceeds(body, MaxDepth) {
		return nil, invalidf("the message is nested more than %d deep", MaxDepth)
	}
	parsed := &Body{}
	err := jsonread.WithDecoder(body, func(d *jsontext.Decoder) error {
		if err := parsed.read(d, body); err != nil {
			return err
		}
		if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
			return &InvalidMessageError{Code: CodeParse, Reason: "data follows the message"}
		}
		return nil
	})
	if err == nil {
		return parsed, nil
	}
	var invalid *InvalidMessageError
	if errors.As(err, &invalid) {
		return nil, invalid
	}
	return nil, &InvalidMessageError{Code: CodeParse, Reason: syntaxReason(err)}
}

// syntaxReason never repeats the input: it may hold anything.
func syntaxReason(err error) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return "the body has a duplicate member name"
	}
	return "the body is not valid JSON"
}

func (b *Body) read(d *jsontext.Decoder, text []byte) error {
	if d.PeekKind() != '[' {
		b.Messages = make([]Message, 1)
		return b.Messages[0].read(d, text)
	}
	b.Batch = true
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if len(b.Messages) == MaxBatch {
			return invalidf("a batch has more than %d messages", MaxBatch)
		}
		var m Message
		if err := m.read(d, text); err != nil {
			return err
		}
		b.Messages = append(b.Messages, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if len(b.Messages) == 0 {
		return invalidf("the batch is empty")
	}
	return nil
}

var envelopeMembers = []string{"jsonrpc", "id", "method", "params", "result", "error"}

func (m *Message) read(d *jsontext.Decoder, text []byte) error {
	var hasVersion, hasMethod, hasOutcome, hasError, nullID bool
	err := readObject(d, "a message", envelopeMembers, func(name string) (err error) {
		var value jsontext.Value
		switch name {
		case "jsonrpc":
			value, err = d.ReadValue()
			hasVersion = string(value) == `"2.0"`
		case "id":
			value, err = d.ReadValue()
			m.ID = justRead(d, text, value)
			switch value.Kind() {
			case '"', '0':
			case 'n':
				nullID, m.ID = true, nil
			default:
				m.ID = nil
				if err == nil {
					return invalidf("id must be a string or a number")
				}
			}
		case "method":
			m.Method, err = readMethod(d)
			hasMethod = true
		case "params":
			err = m.Params.read(d, text)
		case "result", "error":
			hasOutcome, hasError = true, hasError || name == "error"
			err = d.SkipValue()
		default:
			err = d.SkipValue()
		}
		return err
	})
	if err == nil && (!nullID || !hasError) {
		// JSON-RPC lets an error answer a request whose id could not be read.
		err = m.check(hasVersion, hasMethod, hasOutcome)
	} else if err == nil && (!hasVersion || hasMethod) {
		err = invalidf("not a JSON-RPC 2.0 message")
	}
	var invalid *InvalidMessageError
	if errors.As(err, &invalid) {
		invalid.ID = m.ID
	}
	return err
}

func (m *Message) check(hasVersion, hasMethod, hasOutcome bool) error {
	switch {
	case !hasVersion:
		return invalidf(`jsonrpc must be "2.0"`)
	case hasMethod == hasOutcome:
		return invalidf("a message has either a method or a result or error")
	case hasMethod && m.Method == "":
		return invalidf("method is empty")
	}
	method := MethodOf(m.Method)
	switch {
	case len(m.ID) > 0 && method.notification:
		return invalidf("a notification has no id")
	case len(m.ID) == 0 && !method.notification:
		return invalidf("a request or response needs an id")
	case method.required.of != nil && method.required.of(&m.Params) == "":
		return invalidf("params.%s is missing", method.required.name)
	}
	return nil
}

// The known members of params, of all methods: one that differs only by case
// could be read as the known one by another parser.
var paramsMembers = []string{
	"name", "arguments", "uri", "ref", "argument", "context", "taskId", "task", "notifications", "_meta", "cursor",
	"level",
	"protocolVersion", "capabilities", "clientInfo", "requestId", "reason", "progressToken", "progress",
	"inputResponses", "requestState",
}

func (p *Params) read(d *jsontext.Decoder, text []byte) error {
	if d.PeekKind() == 'n' {
		// Some clients send null for members that they omit.
		return d.SkipValue()
	}
	return readObject(d, "params", paramsMembers, func(name string) (err error) {
		switch name {
		case "name":
			p.Name, err = readString(d, "params.name")
		case "uri":
			p.URI, err = readString(d, "params.uri")
		case "taskId":
			p.TaskID, err = readString(d, "params.taskId")
		case "arguments":
			if k := d.PeekKind(); k != '{' && k != 'n' && k != 0 {
				return invalidf("params.arguments must be an object")
			}
			var value jsontext.Value
			value, err = d.ReadValue()
			if err == nil && value.Kind() == '{' {
				p.Arguments = justRead(d, text, value)
			}
		case "ref":
			err = p.Ref.read(d)
		case "notifications":
			err = p.readSubscriptions(d)
		case "_meta":
			err = p.Meta.read(d)
		case "cursor":
			p.HasCursor = true
			err = d.SkipValue()
		default:
			err = d.SkipValue()
		}
		return err
	})
}

func (r *Ref) read(d *jsontext.Decoder) error {
	return readObject(d, "params.ref", []string{"type", "name", "uri"}, func(name string) (err error) {
		switch name {
		case "type":
			r.Type, err = readString(d, "params.ref.type")
		case "name":
			r.Name, err = readString(d, "params.ref.name")
		case "uri":
			r.URI, err = readString(d, "params.ref.uri")
		default:
			err = d.SkipValue()
		}
		return err
	})
}

// readSubscriptions reads params.notifications of subscriptions/listen.
func (p *Params) readSubscriptions(d *jsontext.Decoder) error {
	members := []string{
		"toolsListChanged",
		"promptsListChanged",
		"resourcesListChanged",
		"resourceSubscriptions",
		"taskIds",
	}
	return readObject(d, "params.notifications", members, func(name string) error {
		switch name {
		case "resourceSubscriptions":
			return readStrings(d, "params.notifications.resourceSubscriptions", &p.Subscriptions)
		case "taskIds":
			return readStrings(d, "params.notifications.taskIds", &p.ListenTaskIDs)
		case "toolsListChanged":
			return p.readList(d, ListOfTools)
		case "promptsListChanged":
			return p.readList(d, ListOfPrompts)
		case "resourcesListChanged":
			return p.readList(d, ListOfResources)
		}
		return d.SkipValue()
	})
}

func (p *Params) readList(d *jsontext.Decoder, kind ListKinds) error {
	if d.PeekKind() == 't' {
		p.Lists |= kind
	}
	return d.SkipValue()
}

func readStrings(d *jsontext.Decoder, what string, into *[]string) error {
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '[' {
		return invalidf("%s must be a list", what)
	}
	for d.PeekKind() != ']' {
		text, err := readString(d, what)
		if err != nil {
			return err
		}
		*into = append(*into, text)
	}
	_, err = d.ReadToken()
	return err
}

func (m *Meta) read(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	return readObject(d, "params._meta", nil, func(name string) error {
		var target *string
		switch name {
		case "io.modelcontextprotocol/protocolVersion":
			target = &m.ProtocolVersion
		case "traceparent":
			target = &m.TraceParent
		case "tracestate":
			target = &m.TraceState
		}
		if target == nil || d.PeekKind() != '"' {
			return d.SkipValue()
		}
		value, err := readString(d, "params._meta")
		*target = value
		return err
	})
}
