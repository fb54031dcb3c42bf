package adminport

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/explain"
	"github.com/countersign-io/countersign/pkg/policy"
)

// WhatIf asks what would be decided. Exactly one of Token and Claims is set.
type WhatIf struct {
	// Token is a caller's token, which is verified; Claims are what a caller is assumed to
	// have.
	Token  string         `json:"token,omitempty"`
	Claims jsontext.Value `json:"claims,omitzero"`
	// Tool, with Arguments, is optional. Upstream is a name; default the first.
	Tool      string         `json:"tool,omitempty"`
	Arguments jsontext.Value `json:"arguments,omitzero"`
	Upstream  string         `json:"upstream,omitempty"`
}

var errNotFound = errors.New("not found")

func (h *handler) serveWhatIf(w http.ResponseWriter, r *http.Request) {
	h.ask(w, r, func(ctx context.Context) (any, error) {
		var question WhatIf
		if err := readQuestion(r, &question); err != nil {
			return nil, err
		}
		if (question.Token == "") == (len(question.Claims) == 0) {
			return nil, errors.New("give a token or claims, one of them")
		}
		if len(question.Arguments) > 0 && question.Arguments.Kind() != '{' {
			return nil, errors.New("the arguments are not a JSON object")
		}
		snapshot := h.options.Configs.Current()
		return explain.Explain(ctx, explain.Question{
			Config: snapshot.Config, Token: question.Token, Claims: question.Claims, Tool: question.Tool,
			Arguments: question.Arguments, Upstream: question.Upstream, Client: snapshot.Client(),
		})
	})
}

// Why is the story of one request.
type Why struct {
	// Records are its decision records, as far as they are still held.
	Records []jsontext.Value `json:"records"`
	// Policies are those that the records name, as they are now.
	Policies []policy.Text `json:"policies,omitempty"`
	// Now says what would be decided on the same message now; nil where the request was not
	// denied, or is no longer remembered.
	Now *Now `json:"now,omitempty"`
}

// Now is a decision that was taken again.
type Now struct {
	Allowed bool `json:"allowed"`
	// Changes are changes of the policies after which it would be allowed.
	Changes []policy.Change `json:"changes,omitempty"`
	// Note says what could not be looked at.
	Note string `json:"note,omitempty"`
}

func (h *handler) serveWhy(w http.ResponseWriter, r *http.Request) {
	h.ask(w, r, func(ctx context.Context) (any, error) { return h.why(ctx, r.PathValue("id")) })
}

// namedIn is what is read of a decision record.
type namedIn struct {
	RequestID string   `json:"requestId"`
	Policies  []string `json:"policies"`
}

func (h *handler) why(ctx context.Context, id string) (*Why, error) {
	story := &Why{}
	lines, _ := h.options.Recent.After(0)
	named := map[string]bool{}
	for _, line := range lines {
		var record namedIn
		if err := json.Unmarshal(line, &record); err != nil || record.RequestID != id {
			continue
		}
		story.Records = append(story.Records, line)
		for _, name := range record.Policies {
			named[name] = true
		}
	}
	denial, remembered := h.options.Denials.Find(id)
	if len(story.Records) == 0 && !remembered {
		return nil, errNotFound
	}
	authorizer := h.options.Configs.Current().Config.Authorizer
	for _, text := range authorizer.Policies() {
		if named[text.ID] {
			story.Policies = append(story.Policies, text)
		}
	}
	if remembered {
		story.Now = decideAgain(ctx, authorizer, &denial)
	}
	return story, nil
}

func decideAgain(ctx context.Context, authorizer *authorize.Authorizer, denial *authorize.Denial) *Now {
	if denial.Cut {
		return &Now{Note: "the arguments were too long to be kept: ask again with them (what-if, or explain)"}
	}
	request := denial.Request
	request.Now = time.Now()
	decision := authorizer.Decide(ctx, request)
	switch decision.Reason {
	case authorize.ReasonToolDrift:
		return &Now{Note: "the tool is not as tools.lock has it: no policy decides; pin it again if it is right"}
	case authorize.ReasonScript:
		return &Now{Note: "the script cannot be read, and scriptSessions is exact: no policy allows it"}
	case authorize.ReasonReserved, authorize.ReasonMethod, authorize.ReasonNoPolicies, authorize.ReasonPolicy:
	}
	return &Now{Allowed: decision.Allowed, Changes: authorizer.Changes(ctx, request)}
}
