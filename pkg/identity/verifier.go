package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// Rules are what a token must say to be accepted.
type Rules struct {
	Issuer string
	// JWKSURL is where the issuer's keys are; empty when it is to be discovered.
	JWKSURL string
	// Audiences are those of which the claim AudienceClaim must have one; the claim
	// defaults to aud.
	Audiences     []string
	AudienceClaim string
	// WithoutAudience goes on in the sentence for a token without aud.
	WithoutAudience string
	ClockSkew       time.Duration
}

// CallerRules are those for the tokens of callers.
func CallerRules(config *authconfig.OIDC) Rules {
	without := ", and AWS STS takes no token without one"
	if config.Exchange != nil {
		without = "; oidc.audienceClaim names another claim to read, such as client_id"
	}
	return Rules{
		WithoutAudience: without,
		Issuer:          config.Issuer, JWKSURL: config.JWKSURL, Audiences: config.Audiences,
		AudienceClaim: config.AudienceClaim, ClockSkew: config.ClockSkew,
	}
}

// ExchangedVerifier is the verifier of the tokens that callers' are exchanged for; it
// shares callers' keys where one issuer makes both. It stops to fetch keys when ctx
// ends.
func ExchangedVerifier(
	ctx context.Context,
	config *authconfig.OIDC,
	callers *Verifier,
	client *http.Client,
) *Verifier {
	if config.Exchange.Issuer == config.Issuer {
		return callers.ForAudience(config.Exchange.Audience)
	}
	return NewVerifier(ctx, Rules{
		Issuer: config.Exchange.Issuer, Audiences: []string{config.Exchange.Audience}, ClockSkew: config.ClockSkew,
	}, client)
}

// Verifier verifies the tokens of one issuer.
type Verifier struct {
	rules Rules
	keys  *keySet
}

// NewVerifier starts to fetch the issuer's keys; it stops when ctx ends. The
// client's timeouts bound each fetch further.
func NewVerifier(ctx context.Context, rules Rules, client *http.Client) *Verifier {
	bounded := *client
	bounded.Transport = LimitAnswers(client.Transport, maxKeySet)
	keys := newKeySet(rules.Issuer, rules.JWKSURL, &bounded)
	go keys.run(ctx)
	return &Verifier{rules: rules.withDefaults(), keys: keys}
}

// ForAudience is a verifier of the same issuer's tokens for another audience, with
// the same keys.
func (v *Verifier) ForAudience(audience string) *Verifier {
	rules := v.rules
	rules.Audiences, rules.AudienceClaim = []string{audience}, claimAudience
	return &Verifier{rules: rules, keys: v.keys}
}

func (r Rules) withDefaults() Rules {
	if r.AudienceClaim == "" {
		r.AudienceClaim = claimAudience
	}
	return r
}

// Verify accepts a token in compact form and gives whom it is about. The error is a
// *TokenError or wraps ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Caller, error) {
	if len(raw) > MaxTokenBytes {
		return nil, &TokenError{Description: fmt.Sprintf("the token is longer than %d bytes", MaxTokenBytes)}
	}
	caller, _, err := v.verify(ctx, NewToken(raw))
	return caller, err
}

// verify checks what needs no key first, so that a token which can never be
// good makes nobody fetch keys.
func (v *Verifier) verify(ctx context.Context, token Token) (*Caller, thumbprint, error) {
	caller, err := v.read(token)
	if err != nil {
		return nil, thumbprint{}, err
	}
	// Not by the library's verifier of ID tokens: it refuses tokens for claims that
	// nobody here reads, such as a source of distributed claims that is not there.
	key, err := v.keys.verify(ctx, token.raw)
	if err != nil {
		return nil, thumbprint{}, verificationError(err)
	}
	return caller, key, nil
}

// verificationError gives our own text: the library's may quote the token.
func verificationError(cause error) error {
	switch {
	case errors.Is(cause, ErrUnavailable):
		return cause
	case errors.Is(cause, errUnknownKey), errors.Is(cause, errBadSignature), errors.Is(cause, errNotJWT):
		return &TokenError{Description: cause.Error()}
	}
	return &TokenError{Description: "the token is not valid"}
}

// read checks algorithm, issuer, audience and times.
func (v *Verifier) read(token Token) (*Caller, error) {
	said, err := readUnverified(token.raw)
	if err != nil {
		return nil, &TokenError{Description: err.Error()}
	}
	if !slices.Contains(algorithms, said.algorithm) {
		return nil, &TokenError{Description: "the token's algorithm is not one of " + strings.Join(algorithms, ", ")}
	}
	claims := said.claims
	if stringClaim(claims, "iss") != v.rules.Issuer {
		return nil, &TokenError{Description: "the token's iss is not the issuer that this resource trusts"}
	}
	if err := v.checkAudience(claims); err != nil {
		return nil, err
	}
	expiry, err := v.checkTimes(claims)
	if err != nil {
		return nil, err
	}
	subject, err := subjectClaim(claims)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Issuer: v.rules.Issuer, Subject: subject, Scopes: scopes(claims), Claims: claims, Expiry: expiry, Token: token,
		Actor: actorClaim(claims), key: keyOf(v.rules.Issuer, subject),
	}, nil
}

func (v *Verifier) checkAudience(claims map[string]any) error {
	name := v.rules.AudienceClaim
	if _, present := claims[name]; !present {
		description := "the token has no " + name
		if name == claimAudience {
			// Cognito's access tokens are such.
			description += v.rules.WithoutAudience
		}
		return &TokenError{Description: description}
	}
	audiences := stringsClaim(claims, name)
	if !slices.ContainsFunc(v.rules.Audiences, func(ours string) bool { return slices.Contains(audiences, ours) }) {
		return &TokenError{Description: "the token's " + name + " does not hold this resource's audience"}
	}
	return nil
}

// subjectClaim reads sub, which is a string (RFC 7519, section 4.1.2).
func subjectClaim(claims map[string]any) (string, error) {
	switch sub := claims["sub"].(type) {
	case string:
		if sub == "" {
			return "", &TokenError{Description: "the token's sub is empty"}
		}
		return sub, nil
	case nil:
		return "", &TokenError{Description: "the token has no sub"}
	case int64, float64:
		return "", &TokenError{Description: "the token's sub is a number; it has to be a string"}
	}
	return "", &TokenError{Description: "the token's sub is not a string"}
}

func (v *Verifier) checkTimes(claims map[string]any) (time.Time, error) {
	now := time.Now()
	expiry, present, ok := timeClaim(claims, "exp")
	if !present || !ok {
		return time.Time{}, &TokenError{Description: "the token has no usable exp"}
	}
	expiry = expiry.Add(v.rules.ClockSkew)
	if !now.Before(expiry) {
		return time.Time{}, &TokenError{Description: "the token has expired"}
	}
	notBefore, _, ok := timeClaim(claims, "nbf")
	if !ok || now.Add(v.rules.ClockSkew).Before(notBefore) {
		return time.Time{}, &TokenError{Description: "the token is not valid yet (nbf)"}
	}
	return expiry, nil
}

type boundedTransport struct {
	next  http.RoundTripper
	limit int64
}

// LimitAnswers gives a transport whose answers end with an error after limit bytes:
// libraries read all of a body.
func LimitAnswers(next http.RoundTripper, limit int64) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &boundedTransport{next: next, limit: limit}
}

// RoundTrip implements http.RoundTripper.
func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, t.limit)
	return response, nil
}
