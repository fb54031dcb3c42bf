package proxy

import (
	"reflect"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// answerNotes learns from a call's answer which lists the upstream announces
// changes for.
type answerNotes struct{ *call }

// Capabilities implements mcp.AnswerNotes.
func (n answerNotes) Capabilities(capabilities jsontext.Value) {
	// Only the answers that say what the server can do; a tool's result may have a
	// member of that name.
	if n.messages == nil || n.messages.Batch || !mcp.AsksForCapabilities(n.messages.Messages[0].Method) {
		return
	}
	n.server.listeners.declare(n.upstream.Key, mcp.DeclaredLists(capabilities))
}

// Message implements mcp.AnswerNotes.
func (n answerNotes) Message(method string, params jsontext.Value) {
	if lists, ok := mcp.AcknowledgedLists(method, params); ok && n.messages != nil && !n.messages.Batch {
		n.listens.Store(lists & n.messages.Messages[0].Params.Lists)
	}
}

// listeners are the open streams on which clients hear that lists changed, and
// what upstreams declared of it. Its size is bounded by that of open streams.
type listeners struct {
	mu       sync.Mutex
	open     map[*call]struct{}
	declared map[string]mcp.ListKinds
}

func newListeners() *listeners {
	return &listeners{open: map[*call]struct{}{}, declared: map[string]mcp.ListKinds{}}
}

func (l *listeners) declare(upstream string, lists mcp.ListKinds) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.declared[upstream] = lists
}

// add registers a stream until the result is called.
func (l *listeners) add(c *call) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, c)
	}
}

// heard is the session of a caller that hears of a change; a stream outside any
// session is one of its own.
type heard struct {
	upstream, issuer, subject, session string
	stream                             *call
}

// tell writes to one stream of each session that lists may have changed, and to
// every subscription that asked for it and was acknowledged.
func (l *listeners) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := map[heard]*call{}
	for c := range l.open {
		if c.messages != nil {
			if lists, _ := c.listens.Load().(mcp.ListKinds); lists != 0 {
				go c.events.insert(mcp.AppendListChanged(nil, lists, c.messages.Messages[0].ID))
			}
			continue
		}
		key := heard{
			upstream: c.upstream.Key,
			issuer:   c.caller.Issuer,
			subject:  c.caller.Subject,
			session:  c.session.upstream,
		}
		if key.session == "" {
			key.stream = c
		}
		if other := newest[key]; other == nil || other.started.Before(c.started) {
			newest[key] = c
		}
	}
	for _, c := range newest {
		lists, known := l.declared[c.upstream.Key]
		if !known {
			// The session is older than this process: a client passes over a notice
			// that it does not expect.
			lists = mcp.AllLists
		}
		if lists != 0 {
			go c.events.insert(mcp.AppendListChanged(nil, lists, nil))
		}
	}
}

// viewsMayDiffer reports whether some caller could see other lists with the next
// auth-config than with the one before.
func viewsMayDiffer(before, next *compile.Compiled) bool {
	type view struct {
		policies, entities, tools, authorization, mappings any
	}
	of := func(c *compile.Compiled) view {
		return view{c.PolicyFiles, c.Entities, c.Tools, c.Authorization, c.AWSSTS}
	}
	return !reflect.DeepEqual(of(before), of(next))
}

// configChanged is told of every auth-config that is swapped in.
func (s *Server) configChanged(before, next *liveconfig.Snapshot) {
	if before != nil && viewsMayDiffer(before.Config, next.Config) {
		s.listeners.tell()
	}
}
