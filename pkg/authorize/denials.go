package authorize

import (
	"context"
	"strings"
	"sync"

	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
)

const (
	// maxDenials bounds the denials that are remembered.
	maxDenials = 64
	// maxDenialName bounds the name of what it was about; one with a longer is not remembered.
	maxDenialName = 1024
	// maxDenialBytes bounds the arguments that are remembered of one; one with more can be
	// asked about with its arguments at hand only.
	maxDenialBytes = 16 << 10
)

// Denial is a message that was denied.
type Denial struct {
	Request
	// Cut is set where the arguments were too long to be remembered.
	Cut bool
}

// Denials remembers the newest denials, so that somebody can ask why. It is safe for
// concurrent use; the zero value is ready.
type Denials struct {
	mu   sync.Mutex
	ring [maxDenials]struct {
		id string
		Denial
	}
	next int
}

// Add remembers a message that is about one thing; id names the request. Nothing of the body
// that the message was read from is kept.
func (d *Denials) Add(id string, caller Caller, m *mcp.Message) {
	subjects := m.Subjects()
	if len(subjects) != 1 ||
		len(m.Params.Name)+len(m.Params.URI)+len(m.Params.Ref.Name)+len(m.Params.Ref.URI) > maxDenialName {
		return
	}
	kept := Denial{Request: Request{Caller: caller, Message: &mcp.Message{
		Method: m.Method,
		Params: mcp.Params{Name: strings.Clone(m.Params.Name), URI: strings.Clone(m.Params.URI), Ref: mcp.Ref{
			Type: strings.Clone(
				m.Params.Ref.Type,
			), Name: strings.Clone(m.Params.Ref.Name), URI: strings.Clone(m.Params.Ref.URI),
		}},
	}}}
	kept.Message.Subjects() // worked out once, since several may ask at once
	if kept.Cut = len(m.Params.Arguments) > maxDenialBytes; !kept.Cut {
		kept.Message.Params.Arguments = m.Params.Arguments.Clone()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ring[d.next].id, d.ring[d.next].Denial = id, kept
	d.next = (d.next + 1) % maxDenials
}

// Find gives the denial of the request.
func (d *Denials) Find(id string) (Denial, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.ring {
		if d.ring[i].id == id && id != "" {
			return d.ring[i].Denial, true
		}
	}
	return Denial{}, false
}

// Changes are the small changes of the policies after which the message would be allowed;
// see policy.Set.Changes.
func (a *Authorizer) Changes(ctx context.Context, r Request) []policy.Change {
	subjects := r.Message.Subjects()
	if a.policies == nil || len(subjects) != 1 || actions[subjects[0].Kind] == "" || subjects[0].AnyArguments {
		return nil
	}
	question := r.question(actions[subjects[0].Kind], subjects[0].Name)
	question.Arguments = r.Message.Params.Arguments
	if script := a.scripts.of(r.Server, subjects); script != nil {
		question.Script = a.Decide(ctx, r).Script
	}
	return a.policies.Changes(ctx, question)
}

// Policies are the texts of all policies.
func (a *Authorizer) Policies() []policy.Text { return a.policies.Texts() }

// NamedTools are the tools that policies name.
func (a *Authorizer) NamedTools() []policy.NamedTool { return a.policies.NamedTools() }
