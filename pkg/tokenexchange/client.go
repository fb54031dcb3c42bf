// Package tokenexchange exchanges a caller's token at the identity provider for the
// one that AWS STS gets. What the agent holds is then of no use at STS: only the
// sidecar can have the other token, as a client of the identity provider.
package tokenexchange

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/fairness"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/rolemap"
)

const (
	// exchangeTimeout bounds one exchange, with the discovery of the token endpoint
	// and the fetch of the keys that verify its answer.
	exchangeTimeout = 8 * time.Second
	// maxExchanges bounds exchanges under way.
	maxExchanges = 64
	// maxAnswer bounds an answer of the identity provider, in bytes.
	maxAnswer = 64 << 10
	// leastLeft is what an exchanged token must have left to be used again: STS has to
	// see it before it expires.
	leastLeft = 30 * time.Second
)

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name
	grantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"     //nolint:gosec // a name
	assertionType      = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	tokenTypeJWT       = "urn:ietf:params:oauth:token-type:jwt" //nolint:gosec // a name
)

// Files are where the sidecar's own credentials lie.
type Files struct {
	// Credential is the client's secret, its private key as PEM or JWK, or the
	// service-account token that authenticates it.
	Credential string
	// Actor is the service-account token that is sent as the actor's.
	Actor string
}

// Observer is told of each exchange; result is "success" or a Kind.
type Observer interface {
	TokenExchanged(result string, took time.Duration)
	// Evicted is told of each token, or failure, that is forgotten for want of room.
	Evicted(cache string)
}

// Token is an exchanged token.
type Token struct {
	raw string
	// Actor is the sub of its act, or empty; Act is the claim without former actors.
	Actor string
	Act   any
	// Expiry is its exp.
	Expiry time.Time
	// Claims are all of its claims; they are not kept.
	Claims map[string]any
}

// Reveal is the token itself, for STS.
func (t *Token) Reveal() string { return t.raw }

// String keeps the token out of logs and errors.
func (t *Token) String() string { return "[token]" }

// GoString does the same for %#v.
func (t *Token) GoString() string { return t.String() }

// LogValue implements slog.LogValuer.
func (t *Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Client exchanges the tokens of callers as one client of the identity provider.
type Client struct {
	config   *authconfig.Exchange
	wanted   []string
	verifier *identity.Verifier
	http     *http.Client
	files    Files
	observer Observer
	endpoint *endpoint
	skew     time.Duration
	kept     *kept
	failures *failures
	// succeeded is set once an exchange has: the identity provider knows the client.
	succeeded atomic.Bool
	// pending makes many requests with one token exchange it once.
	pending singleflight.Group
	places  fairness.Places
}

// exchangePlaces bounds exchanges under way; who comes above that waits for a turn.
var exchangePlaces = fairness.Limits{Most: maxExchanges, PerCaller: maxOfCaller, Shared: true, Wait: exchangeTimeout}

// New makes a client. The verifier is that of exchanged tokens; the observer may be
// nil.
func New(
	config *authconfig.OIDC,
	verifier *identity.Verifier,
	client *http.Client,
	files Files,
	observer Observer,
) *Client {
	bounded := *client
	bounded.Transport = identity.LimitAnswers(client.Transport, maxAnswer)
	// The request holds the caller's token and the client's credential: they go to the
	// configured endpoint or to nobody.
	bounded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	exchange := config.Exchange
	return &Client{
		config: exchange, wanted: config.AWSAudiences(), verifier: verifier, http: &bounded, files: files,
		observer: observer, endpoint: newEndpoint(exchange, client), skew: config.ClockSkew,
		kept:     newKept(evictionsOf(observer, "exchangedTokens")),
		failures: newFailures(evictionsOf(observer, "exchangeFailures")),
	}
}

func evictionsOf(observer Observer, cache string) func() {
	if observer == nil {
		return func() {}
	}
	return func() { observer.Evicted(cache) }
}

// Exchange gives the token that the caller's was exchanged for, exchanging it when none
// is there with some life left. It goes on when who asked is gone. The error is an
// *Error.
func (c *Client) Exchange(ctx context.Context, caller *identity.Caller) (*Token, error) {
	if err := c.Accepts(caller); err != nil {
		return nil, err
	}
	digest := caller.Token.Digest()
	if token := c.kept.get(digest); token != nil {
		return token, nil
	}
	if failed := c.failures.of(digest); failed != nil {
		return nil, failed
	}
	detached := context.WithoutCancel(ctx)
	result := c.pending.DoChan(string(digest[:]), func() (any, error) {
		if token := c.kept.get(digest); token != nil {
			return token, nil
		}
		return c.exchange(detached, caller)
	})
	select {
	case r := <-result:
		token, _ := r.Val.(*Token)
		return token, r.Err
	case <-ctx.Done():
		return nil, &Error{Kind: KindUnavailable, cause: "the request ended before the exchange did"}
	}
}

// Accepts fails for a caller whose own token AWS STS takes, as where the agent logs in
// with the sidecar's client: azp is then the authorized party. The error is an *Error.
func (c *Client) Accepts(caller *identity.Caller) error {
	opens := caller.Issuer == c.config.Issuer && identity.CheckAWSAudience(caller.WithClaims().Claims, c.wanted) == nil
	if !opens {
		return nil
	}
	return &Error{
		Kind: KindMisconfigured,
		cause: "the caller's own token is one that AWS STS takes: its azp, or its " +
			"aud, is what exchange.authorizedParty or exchange.audience says; give the sidecar a client of its own",
	}
}

// Forget drops every token that is kept, and every actor: the client is not used any
// longer, but by requests that came before. It may be nil.
func (c *Client) Forget() {
	if c != nil {
		c.kept.purge()
	}
}

// Drop forgets a token that STS does not take, unless another has come in its place.
func (c *Client) Drop(caller *identity.Caller, token *Token) {
	c.kept.drop(caller.Token.Digest(), token)
}

// Actor is whom the exchanged token names as the actor, as far as an exchange has told.
func (c *Client) Actor(caller *identity.Caller) string { return c.kept.actor(caller.Token.Digest()) }

// Kept is the number of callers whose exchanged token, or whose actor, is kept.
func (c *Client) Kept() int { return c.kept.len() }

func (c *Client) observe(result string, begun time.Time) {
	if c.observer != nil {
		c.observer.TokenExchanged(result, time.Since(begun))
	}
}

func (c *Client) exchange(ctx context.Context, caller *identity.Caller) (*Token, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	begun := time.Now()
	if c.places.Take(ctx, caller.Key(), exchangePlaces) != nil {
		c.observe(string(KindUnavailable), begun)
		return nil, &Error{Kind: KindUnavailable, cause: "too many tokens are being exchanged"}
	}
	defer c.places.Release(caller.Key())
	begun = time.Now()
	token, failed := c.ask(ctx, caller)
	result := "success"
	if failed != nil {
		result = string(failed.Kind)
		slog.Warn("the exchange with the identity provider failed", "issuer", c.config.Issuer, "kind", result,
			"error", failed)
	}
	c.observe(result, begun)
	if failed != nil {
		c.failures.note(caller.Token.Digest(), failed)
		return nil, failed
	}
	c.succeeded.Store(true)
	c.kept.put(caller, token)
	return token, nil
}

// ask exchanges the token and checks what comes back.
func (c *Client) ask(ctx context.Context, caller *identity.Caller) (*Token, *Error) {
	location, err := c.endpoint.url(ctx)
	if err != nil {
		return nil, &Error{Kind: KindUnavailable, cause: "the token endpoint is not known: " + err.Error()}
	}
	request := &clientcredentials.Config{TokenURL: location, EndpointParams: c.form(caller.Token.Reveal())}
	if failed := c.authenticate(request); failed != nil {
		return nil, failed
	}
	if failed := c.addActor(request.EndpointParams); failed != nil {
		return nil, failed
	}
	answer, err := request.Token(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	if err != nil {
		return nil, c.classify(ctx, err)
	}
	return c.check(ctx, caller, answer.AccessToken)
}

// Request is what is sent to the identity provider, without anything secret.
type Request struct {
	// Endpoint is the token endpoint, or whose discovery document has it.
	Endpoint string `json:"endpoint"`
	// Client says who asks, and how it proves that.
	Client string `json:"client"`
	// Form has a placeholder for each token.
	Form map[string]string `json:"form"`
}

// Request is what Exchange would send.
func (c *Client) Request() *Request {
	e := c.config
	r := &Request{Endpoint: e.TokenEndpoint, Client: e.Client.ID, Form: map[string]string{}}
	if r.Endpoint == "" {
		r.Endpoint = "the token endpoint that " + e.Issuer + " publishes"
	}
	if r.Client == "" {
		r.Client = "without an id"
	}
	r.Client += " (" + string(e.Client.Authentication)
	switch e.Client.Authentication {
	case authconfig.ClientSecret:
		r.Client += ", " + string(e.Client.SecretMethod) + ")"
	case authconfig.ClientPrivateKeyJWT, authconfig.ClientServiceAccount:
		r.Client += " for audience " + e.Client.Audience + ")"
		r.Form["client_assertion_type"] = assertionType
		r.Form["client_assertion"] = "[the client's assertion]"
	}
	for name, values := range c.form("[the caller's token]") {
		r.Form[name] = values[0]
	}
	if e.Actor == authconfig.ActorServiceAccount {
		r.Form["actor_token"], r.Form["actor_token_type"] = "[the Pod's token]", tokenTypeJWT
	}
	return r
}

// form is the request but for the client's and the actor's credentials.
func (c *Client) form(callersToken string) url.Values {
	e := c.config
	form := url.Values{}
	for name, value := range e.Parameters {
		form.Set(name, value)
	}
	if e.Grant == authconfig.GrantJWTBearer {
		form.Set("grant_type", grantJWTBearer)
		form.Set("assertion", callersToken)
		if !form.Has("requested_token_use") {
			// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow
			form.Set("requested_token_use", "on_behalf_of")
		}
	} else {
		form.Set("grant_type", grantTokenExchange)
		form.Set("subject_token", callersToken)
		form.Set("subject_token_type", e.SubjectTokenType)
	}
	optional := map[string]string{
		"requested_token_type": e.RequestedTokenType, "resource": e.Resource, "scope": e.Scope,
	}
	if e.SendAudience {
		optional["audience"] = e.Audience
	}
	for name, value := range optional {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// check verifies the new token like a caller's, and that it is the same caller's.
func (c *Client) check(ctx context.Context, caller *identity.Caller, raw string) (*Token, *Error) {
	verified, err := c.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, unverified(err)
	}
	wanted := c.wanted
	if verified.Claims["azp"] != nil && c.config.AuthorizedParty != "" {
		wanted = []string{c.config.AuthorizedParty}
	}
	if err := identity.CheckAWSAudience(verified.Claims, wanted); err != nil {
		return nil, &Error{Kind: KindMisconfigured, cause: "the exchanged token is not for AWS: " + err.Error()}
	}
	if name := c.config.SubjectClaim; name != "" && !sameClaim(caller.WithClaims().Claims, verified.Claims, name) {
		return nil, &Error{
			Kind:  KindMisconfigured,
			cause: fmt.Sprintf("the exchanged token's %s is not the caller's (exchange.subjectClaim)", name),
		}
	}
	return &Token{
		raw: raw, Actor: verified.Actor, Act: actOf(verified.Claims["act"]), Expiry: verified.Expiry.Add(-c.skew),
		Claims: verified.Claims,
	}, nil
}

// actOf is what is kept of a claim act: who acts, not who acted before. What names
// nobody is not the same as no claim.
func actOf(claim any) any {
	if claim == nil {
		return nil
	}
	members, _ := claim.(map[string]any)
	act := map[string]any{}
	for _, name := range []string{"sub", "iss"} {
		if text, ok := members[name].(string); ok {
			act[name] = text
		}
	}
	return act
}

// sameClaim reports whether both have the claim, a text or a whole number that is held
// exactly, with one value.
func sameClaim(before, after map[string]any, name string) bool {
	ours, _ := rolemap.LookupClaim(before, name)
	theirs, _ := rolemap.LookupClaim(after, name)
	switch ours.(type) {
	case string, int64:
		return ours != "" && ours == theirs
	}
	return false
}
