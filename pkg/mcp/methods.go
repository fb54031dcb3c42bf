package mcp

import "strings"

// Method is what an intermediary has to know of one MCP method. The table
// below is the only place of the project that tells methods apart: to add one,
// add a row.
type Method struct {
	// Name is the method as messages have it; for the last rows, which stand
	// for many methods, it is their common prefix.
	Name string
	// Label is the method in metrics, from a bounded set.
	Label string
	// Known is false for methods of which policies know nothing.
	Known bool
	// Lasts is set where the answer is a stream without an end of its own.
	Lasts bool
	// Response is set for the client's answers to the server, which name no method.
	Response bool
	// notification is set where messages have no id and get no answer.
	notification bool
	// required is the member of params without which there is nothing to
	// decide on.
	required parameter
	// subjects is nil where a message is about nothing that anybody decides on.
	subjects func(*Params) []Subject
	// needsSubject is set where nobody can decide on a message without a subject.
	needsSubject bool
}

// parameter is a member of params and how to read it.
type parameter struct {
	name string
	of   func(*Params) string
}

var (
	nameParameter = parameter{"name", func(p *Params) string { return p.Name }}
	uriParameter  = parameter{"uri", func(p *Params) string { return p.URI }}
)

// SubjectKind is the kind of thing that a message is about.
type SubjectKind string

// The kinds of subjects. The first three are decided on by policies; a task
// belongs to the caller that it was issued to.
const (
	SubjectTool     SubjectKind = "tool"
	SubjectResource SubjectKind = "resource"
	SubjectPrompt   SubjectKind = "prompt"
	SubjectTask     SubjectKind = "task"
)

// Subject is one thing that a message is about. Decision, audit, headers and
// metrics all read it from here.
type Subject struct {
	Kind SubjectKind
	// Name is what is decided on: a tool's or prompt's name, a resource's URI, a
	// task's id.
	Name string
	// Written is the name as the message has it. It differs from Name for the
	// URI template of a completion only.
	Written string
	// AnyArguments is set where the arguments are not known yet, so that what
	// could be allowed with some is allowed.
	AnyArguments bool
}

func one(kind SubjectKind, name string) []Subject {
	return []Subject{{Kind: kind, Name: name, Written: name}}
}

func many(kind SubjectKind, names []string) []Subject {
	subjects := make([]Subject, 0, len(names))
	for _, name := range names {
		subjects = append(subjects, Subject{Kind: kind, Name: name, Written: name})
	}
	return subjects
}

func aboutTool(p *Params) []Subject     { return one(SubjectTool, p.Name) }
func aboutPrompt(p *Params) []Subject   { return one(SubjectPrompt, p.Name) }
func aboutResource(p *Params) []Subject { return one(SubjectResource, p.URI) }
func aboutTask(p *Params) []Subject     { return one(SubjectTask, p.TaskID) }

func aboutSubscriptions(p *Params) []Subject {
	return append(many(SubjectResource, p.Subscriptions), many(SubjectTask, p.ListenTaskIDs)...)
}

// aboutRef reads the ref of completion/complete. Of a URI template only the
// literal text before the first expression is certain; it is decided on as if
// it were the whole URI.
func aboutRef(p *Params) []Subject {
	switch {
	case p.Ref.Type == "ref/prompt" && p.Ref.Name != "":
		return []Subject{{Kind: SubjectPrompt, Name: p.Ref.Name, Written: p.Ref.Name, AnyArguments: true}}
	case p.Ref.Type == "ref/resource" && p.Ref.URI != "":
		literal, _, _ := strings.Cut(p.Ref.URI, "{")
		return []Subject{{Kind: SubjectResource, Name: literal, Written: p.Ref.URI, AnyArguments: true}}
	}
	return nil
}

// methods are the rows for whole names.
// https://modelcontextprotocol.io/specification (schema of each revision)
var methods = []Method{
	{Name: "initialize", Known: true},
	{Name: "ping", Known: true},
	{Name: "server/discover", Known: true},
	{Name: "logging/setLevel", Known: true},
	{Name: "tools/list", Known: true},
	{Name: "tools/call", Known: true, required: nameParameter, subjects: aboutTool},
	{Name: "resources/list", Known: true},
	{Name: "resources/templates/list", Known: true},
	{Name: "resources/read", Known: true, required: uriParameter, subjects: aboutResource},
	// These two are gone in 2026-07-28, where the upstream has to say so whatever
	// their params are: nothing is required of them.
	{Name: "resources/subscribe", Known: true, subjects: aboutResource},
	{Name: "resources/unsubscribe", Known: true, subjects: aboutResource},
	{Name: "prompts/list", Known: true},
	{Name: "prompts/get", Known: true, required: nameParameter, subjects: aboutPrompt},
	{Name: "completion/complete", Known: true, subjects: aboutRef, needsSubject: true},
	{Name: "subscriptions/listen", Known: true, Lasts: true, subjects: aboutSubscriptions},
	{Name: "tasks/list", Known: true},
	{Name: "tasks/get", Known: true, subjects: aboutTask},
	{Name: "tasks/result", Known: true, subjects: aboutTask},
	{Name: "tasks/cancel", Known: true, subjects: aboutTask},
	{Name: "tasks/update", Known: true, subjects: aboutTask},
	{Name: "notifications/initialized", Known: true, notification: true},
	{Name: "notifications/cancelled", Known: true, notification: true},
	{Name: "notifications/progress", Known: true, notification: true},
	{Name: "notifications/roots/list_changed", Known: true, notification: true},
}

// families are the rows for every other method with a prefix, tried in order.
var families = []Method{
	{Name: "notifications/", Label: LabelOther, Known: true, notification: true},
	{Name: "tasks/", Label: LabelOther, Known: true, subjects: aboutTask},
	{Name: "", Label: LabelOther},
}

// Labels of what is no single method of the protocol.
const (
	LabelOther    = "other"
	LabelBatch    = "batch"
	LabelResponse = "response"
)

var responses = Method{Label: LabelResponse, Known: true, Response: true}

var methodsByName = func() map[string]*Method {
	byName := make(map[string]*Method, len(methods))
	for i := range methods {
		methods[i].Label = methods[i].Name
		byName[methods[i].Name] = &methods[i]
	}
	return byName
}()

// MethodOf is the row for the method of a message; the empty one is that of
// responses. It is never nil.
func MethodOf(name string) *Method {
	if name == "" {
		return &responses
	}
	if known := methodsByName[name]; known != nil {
		return known
	}
	for i := range families {
		if strings.HasPrefix(name, families[i].Name) {
			return &families[i]
		}
	}
	return &families[len(families)-1] // not reached: the last prefix is empty
}

// Subjects are the things that the message is about.
func (m *Message) Subjects() []Subject {
	if subjects := MethodOf(m.Method).subjects; subjects != nil && m.subjects == nil {
		m.subjects = subjects(&m.Params)
	}
	return m.subjects
}

// IsKnown reports whether policies can decide on the message: its method is
// known, and what it has to be about is there.
func (m *Message) IsKnown() bool {
	method := MethodOf(m.Method)
	return method.Known && (!method.needsSubject || len(m.Subjects()) > 0)
}

// AsksForFirstTools reports whether the message asks for the list of tools from
// its beginning.
func AsksForFirstTools(m *Message) bool { return m.Method == "tools/list" && !m.Params.HasCursor }
