// Package explain tells for a token what the sidecar would do with it: whether
// it is accepted, which role the caller gets and why, and what the policies say
// of a tool.
package explain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/rolemap"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// Question is what to explain.
type Question struct {
	Config *compile.Compiled
	// Token is the caller's token; it is nowhere in the answer.
	Token string
	// Claims, a JSON object, stand for those of a token: the answer is what would be for a
	// caller who has them. Empty where there is a token.
	Claims jsontext.Value
	// Tool and Arguments are optional. Upstream is a name; default the first.
	Tool      string
	Arguments jsontext.Value
	Upstream  string
	// Client reaches the issuer.
	Client *http.Client
	// Exchange has the token exchanged, with the credentials in Files.
	Exchange bool
	Files    tokenexchange.Files
}

// Answer is the explanation.
type Answer struct {
	// Accepted reports whether the sidecar would take the token; Refusal why not.
	Accepted bool   `json:"accepted"`
	Refusal  string `json:"refusal,omitempty"`
	// Assumed is set where claims stood for a token, and nothing was verified.
	Assumed bool `json:"assumed,omitzero"`
	// Unknown is set when nobody can tell now: the issuer cannot be reached.
	Unknown bool `json:"unknown,omitempty"`
	// Everything below is worked out from the token's own words when it is
	// refused, to show what would be.
	Caller  string         `json:"caller,omitempty"`
	Issuer  string         `json:"issuer,omitempty"`
	Expires *time.Time     `json:"expires,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`

	// Exchange is nil where the caller's own token goes to AWS STS.
	Exchange *Exchange `json:"exchange,omitempty"`
	// AWS is what AWS STS sees of the token that it gets; nil while that is not known.
	AWS *AWS `json:"aws,omitempty"`

	Mappings    []Mapping `json:"mappings,omitempty"`
	Role        string    `json:"role,omitempty"`
	RoleReason  string    `json:"roleReason,omitempty"`
	SessionName string    `json:"sessionName,omitempty"`
	Principal   string    `json:"principal,omitempty"`
	// Actor is context.actor of policies.
	Actor string `json:"actor,omitempty"`

	Decision *Decision `json:"decision,omitempty"`
}

// Mapping is one role mapping, in the order in which they are tried.
type Mapping struct {
	Index    int    `json:"index"`
	Role     string `json:"role"`
	Matched  bool   `json:"matched"`
	Selected bool   `json:"selected"`
	Reason   string `json:"reason"`
}

// Decision is what the policies say of a tool.
type Decision struct {
	Tool     string   `json:"tool"`
	Upstream string   `json:"upstream"`
	Allowed  bool     `json:"allowed"`
	Enforced bool     `json:"enforced"`
	Reason   string   `json:"reason"`
	Policies []string `json:"policies,omitempty"`
	Errors   []string `json:"errors,omitempty"`
	// Changes are changes of the policies after which a denied call would be allowed.
	Changes []policy.Change `json:"changes,omitempty"`
	// ReadsInput is set where a policy that could decide the call reads its arguments.
	ReadsInput bool `json:"-"`
	// Script is what the call's script does.
	Script *awsscript.Report `json:"script,omitempty"`
}

// Explain answers. The error is about the question, not about the token.
func Explain(ctx context.Context, q Question) (*Answer, error) {
	answer := &Answer{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var verifier *identity.Verifier
	keysCtx, withoutKeys := context.WithCancel(ctx)
	defer withoutKeys()
	if len(q.Claims) > 0 {
		// No token will be verified: nobody is asked for keys.
		withoutKeys()
	}
	if q.Config.Identity.Source == authconfig.SourceBearer {
		verifier = identity.NewVerifier(keysCtx, identity.CallerRules(&q.Config.Identity.OIDC), q.Client)
	}
	caller, err := answer.caller(ctx, &q, verifier)
	if caller == nil {
		return answer, err
	}
	answer.Caller, answer.Issuer, answer.Claims = caller.Subject, caller.Issuer, caller.Claims
	if !caller.Expiry.IsZero() {
		answer.Expires = &caller.Expiry
	}
	act := answer.explainExchange(keysCtx, &q, verifier, caller)
	selection := answer.explainRole(q.Config, caller, act)
	if q.Tool == "" {
		return answer, nil
	}
	answer.Decision, err = explainTool(ctx, &q, q.Config.Principal(caller, act), selection)
	return answer, err
}

// caller is who asks: verified, or what the token says of itself, or who has the claims of
// the question; nil where none of these can be had.
func (a *Answer) caller(ctx context.Context, q *Question, verifier *identity.Verifier) (*identity.Caller, error) {
	if len(q.Claims) > 0 {
		a.Assumed = true
		return assumed(q)
	}
	caller, err := authenticate(ctx, q, verifier)
	if err == nil {
		a.Accepted = true
		return caller, nil
	}
	a.Refusal, a.Unknown = refusal(err), errors.Is(err, identity.ErrUnavailable)
	if caller, err = unverified(q); err != nil {
		return nil, nil //nolint:nilerr,nilnil // the refusal says it
	}
	// Clients are not told which issuers are trusted; who has the auth-config may know.
	if want := q.Config.Identity.OIDC.Issuer; want != "" && caller.Issuer != want {
		a.Refusal += fmt.Sprintf(" (it has %q, the auth-config %q)", caller.Issuer, want)
	}
	return caller, nil
}

func authenticate(ctx context.Context, q *Question, verifier *identity.Verifier) (*identity.Caller, error) {
	if q.Config.Identity.Source == authconfig.SourceServiceAccount {
		return identity.ParseServiceAccountToken(q.Token)
	}
	bearer := identity.NewBearer(verifier, q.Config.Identity.OIDC.RequiredScopes)
	return bearer.Authenticate(ctx, http.Header{"Authorization": {"Bearer " + q.Token}})
}

func unverified(q *Question) (*identity.Caller, error) {
	if q.Config.Identity.Source == authconfig.SourceServiceAccount {
		return identity.UnverifiedServiceAccount(q.Token)
	}
	return identity.Unverified(q.Token)
}

// assumed is the caller who would have the claims of the question.
func assumed(q *Question) (*identity.Caller, error) {
	if q.Config.Identity.Source == authconfig.SourceServiceAccount {
		return identity.WorkloadWithClaims(q.Claims)
	}
	return identity.UserWithClaims(q.Claims)
}

func refusal(err error) string {
	var scope *identity.ScopeError
	switch {
	case errors.As(err, &scope):
		return "403: " + err.Error()
	case errors.Is(err, identity.ErrUnavailable):
		return "503: " + err.Error()
	}
	return "401: " + err.Error()
}

func (a *Answer) explainRole(
	config *compile.Compiled,
	caller *identity.Caller,
	act any,
) rolemap.Selection {
	selection, err := config.Select(caller, act)
	for _, outcome := range config.Roles.Explain(caller.Claims) {
		a.Mappings = append(a.Mappings, Mapping{
			Index: outcome.Mapping, Role: outcome.Role.String(), Matched: outcome.Matched,
			Selected: err == nil && outcome.Mapping == selection.Mapping, Reason: outcome.Reason,
		})
	}
	switch {
	case err != nil:
		a.RoleReason = "403: " + err.Error()
		return selection
	case selection.Mapping == rolemap.Fallback:
		a.RoleReason = "no mapping matches: the fallback role"
	default:
		a.RoleReason = fmt.Sprintf("spec.awsSts.roleMappings[%d] is the first that matches", selection.Mapping)
	}
	a.Role, a.SessionName = selection.Role.String(), selection.SessionName
	principal := config.Principal(caller, act)
	a.Principal, a.Actor = principal.UID(), principal.Actor()
	return selection
}

func explainTool(
	ctx context.Context,
	q *Question,
	principal *policy.Principal,
	selection rolemap.Selection,
) (*Decision, error) {
	index := 0
	if q.Upstream != "" {
		index = slices.IndexFunc(q.Config.Upstreams, func(u authconfig.Upstream) bool { return u.Name == q.Upstream })
		if index < 0 {
			return nil, fmt.Errorf("the auth-config has no upstream %q", q.Upstream)
		}
	}
	upstream := &q.Config.Upstreams[index]
	message, err := callMessage(q.Tool, q.Arguments)
	if err != nil {
		return nil, err
	}
	request := authorize.Request{Message: message, Caller: authorize.Caller{
		Principal: principal, Server: upstream.Name, Host: upstream.URL.Hostname(), Role: selection.Role.String(),
		Now: time.Now(),
	}}
	decision := q.Config.Authorizer.Decide(ctx, request)
	explained := &Decision{
		Tool: q.Tool, Upstream: upstream.Name, Allowed: decision.Allowed, Enforced: !decision.NotEnforced,
		Reason: why(&decision), Policies: decision.Policies, Errors: decision.Errors,
	}
	explained.ReadsInput = q.Config.Authorizer.ReadsInput(request)
	if !decision.Allowed {
		explained.Changes = q.Config.Authorizer.Changes(ctx, request)
	}
	if decision.Script != nil {
		explained.explainScript(q.Config, index, selection, &decision)
	}
	return explained, nil
}

// explainScript adds what the script does, and with which session it would be sent.
func (e *Decision) explainScript(
	config *compile.Compiled,
	upstream int,
	selection rolemap.Selection,
	d *authorize.Decision,
) {
	e.Script = awsscript.NewReport(d.Script)
	if !d.Passes() || selection.Role == (authconfig.RoleARN{}) {
		return
	}
	session := config.RoleSession(upstream, selection)
	switch {
	case !d.Narrow:
		e.Script.Session = "the session of the role"
	default:
		narrowed, err := config.ScriptSession(upstream, session, d)
		if err != nil {
			e.Allowed, e.Script.Session = false, "nothing: "+err.Error()
			e.Reason = "the session policy of the script is too large"
			return
		}
		session, e.Script.Session = narrowed, "a session of its own"
	}
	if session.Policy != "" {
		e.Script.SessionPolicy = jsontext.Value(session.Policy)
	}
}

// why says in words what the decision rests on.
func why(d *authorize.Decision) string {
	switch d.Reason {
	case authorize.ReasonReserved:
		return "the tool bears the name of a built-in action and is always denied"
	case authorize.ReasonNoPolicies:
		return authorize.EveryToolAllowed
	case authorize.ReasonToolDrift:
		return "the tool is not as tools.lock has it"
	case authorize.ReasonScript:
		return "the script cannot be read, and scriptSessions is exact"
	}
	reason := "no policy permits it"
	switch {
	case d.Allowed:
		reason = "a policy permits it and none forbids it"
	case len(d.Policies) > 0:
		reason = "a policy forbids it"
	case len(d.Errors) > 0:
		reason += ", and some could not be evaluated"
	}
	if d.NotEnforced {
		reason += "; logOnly lets it pass"
	}
	return reason
}

// callMessage is the message that the proxy would read.
func callMessage(tool string, arguments jsontext.Value) (*mcp.Message, error) {
	name, err := jsontext.AppendQuote(nil, tool)
	if err != nil {
		return nil, fmt.Errorf("--tool: %w", err)
	}
	text := append([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":`), name...)
	if len(arguments) > 0 {
		text = append(append(text, `,"arguments":`...), arguments...)
	}
	body, err := mcp.Parse(append(text, "}}"...))
	if err != nil {
		return nil, fmt.Errorf("--arguments: %w", err)
	}
	return &body.Messages[0], nil
}
