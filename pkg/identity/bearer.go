package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// maxVerified bounds the tokens that are remembered.
const maxVerified = 10_000

// Bearer verifies the tokens of requests.
type Bearer struct {
	config   authconfig.OIDC
	keys     *keySet
	verified *lru.Cache[[sha256.Size]byte, *verifiedToken]
	// pending makes many requests with one new token verify it once.
	pending singleflight.Group
}

type verifiedToken struct {
	caller *Caller
	key    thumbprint
}

// NewBearer starts to fetch the issuer's keys; it stops when ctx ends. The
// client's timeouts bound each fetch further.
func NewBearer(ctx context.Context, config authconfig.OIDC, client *http.Client) *Bearer {
	bounded := *client
	bounded.Transport = &boundedTransport{next: client.Transport, limit: maxKeySet}
	keys := newKeySet(config.Issuer, config.JWKSURL, &bounded)
	verified, err := lru.New[[sha256.Size]byte, *verifiedToken](maxVerified)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	go keys.run(ctx)
	return &Bearer{config: config, keys: keys, verified: verified}
}

// Authenticate verifies the token of an Authorization header. The error is a
// *TokenError, a *ScopeError or wraps ErrUnavailable.
func (b *Bearer) Authenticate(ctx context.Context, header http.Header) (*Caller, error) {
	raw, err := bearerToken(header["Authorization"])
	if err != nil {
		return nil, err
	}
	return b.authenticate(ctx, raw)
}

func (b *Bearer) authenticate(ctx context.Context, raw string) (*Caller, error) {
	token := newToken(raw)
	if known, ok := b.verified.Get(token.digest); ok && b.keys.current.Load().has(known.key) {
		if time.Now().Before(known.caller.Expiry) {
			return known.caller, nil
		}
		b.verified.Remove(token.digest)
		return nil, &TokenError{Description: "the token has expired"}
	}
	result := b.pending.DoChan(string(token.digest[:]), func() (any, error) {
		// One caller who goes away must not fail the others.
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout+unknownKeyWait)
		defer cancel()
		return b.verify(detached, token)
	})
	select {
	case r := <-result:
		caller, _ := r.Val.(*Caller)
		return caller, r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func bearerToken(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", &TokenError{Description: "the request has no Authorization header", NotSent: true}
	case 1:
	default:
		return "", &TokenError{Description: "the request has several Authorization headers"}
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	raw = strings.TrimSpace(raw)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || raw == "":
		return "", &TokenError{Description: "the Authorization header holds no bearer token"}
	case len(raw) > MaxTokenBytes:
		return "", &TokenError{Description: fmt.Sprintf("the token is longer than %d bytes", MaxTokenBytes)}
	}
	return raw, nil
}

// verify checks what needs no key first, so that a token which can never be
// good makes nobody fetch keys.
func (b *Bearer) verify(ctx context.Context, token Token) (*Caller, error) {
	caller, err := b.read(token)
	if err != nil {
		return nil, err
	}
	// Not by the library's verifier of ID tokens: it refuses tokens for claims that
	// nobody here reads, such as a source of distributed claims that is not there.
	key, err := b.keys.verify(ctx, token.raw)
	if err != nil {
		return nil, verificationError(err)
	}
	lacks := func(scope string) bool { return !slices.Contains(caller.Scopes, scope) }
	if missing := slices.IndexFunc(b.config.RequiredScopes, lacks); missing >= 0 {
		return nil, &ScopeError{Required: b.config.RequiredScopes, Missing: b.config.RequiredScopes[missing]}
	}
	b.verified.Add(token.digest, &verifiedToken{caller: caller, key: key})
	return caller, nil
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
func (b *Bearer) read(token Token) (*Caller, error) {
	said, err := readUnverified(token.raw)
	if err != nil {
		return nil, &TokenError{Description: err.Error()}
	}
	if !slices.Contains(algorithms, said.algorithm) {
		return nil, &TokenError{Description: "the token's algorithm is not one of " + strings.Join(algorithms, ", ")}
	}
	claims := said.claims
	if stringClaim(claims, "iss") != b.config.Issuer {
		return nil, &TokenError{Description: "the token's iss is not the issuer that this resource trusts"}
	}
	if err := b.checkAudience(claims); err != nil {
		return nil, err
	}
	expiry, err := b.checkTimes(claims)
	if err != nil {
		return nil, err
	}
	subject, err := subjectClaim(claims)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Issuer: b.config.Issuer, Subject: subject, Scopes: scopes(claims), Claims: claims, Expiry: expiry, Token: token,
	}, nil
}

func (b *Bearer) checkAudience(claims map[string]any) error {
	if _, present := claims["aud"]; !present {
		// Cognito's access tokens are such.
		return &TokenError{Description: "the token has no aud, and AWS STS takes no token without one"}
	}
	audiences := stringsClaim(claims, "aud")
	if !slices.ContainsFunc(b.config.Audiences, func(ours string) bool { return slices.Contains(audiences, ours) }) {
		return &TokenError{Description: "the token's aud does not hold this resource's audience"}
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

func (b *Bearer) checkTimes(claims map[string]any) (time.Time, error) {
	now := time.Now()
	expiry, present, ok := timeClaim(claims, "exp")
	if !present || !ok {
		return time.Time{}, &TokenError{Description: "the token has no usable exp"}
	}
	expiry = expiry.Add(b.config.ClockSkew)
	if !now.Before(expiry) {
		return time.Time{}, &TokenError{Description: "the token has expired"}
	}
	notBefore, _, ok := timeClaim(claims, "nbf")
	if !ok || now.Add(b.config.ClockSkew).Before(notBefore) {
		return time.Time{}, &TokenError{Description: "the token is not valid yet (nbf)"}
	}
	return expiry, nil
}

type boundedTransport struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip bounds the answer's body: go-oidc reads all of it.
func (t *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, t.limit)
	return response, nil
}
