package identity

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// maxVerified bounds the tokens that are remembered.
	maxVerified = 10_000
	// maxVerifying bounds the requests whose token is being verified. A token that is
	// remembered needs no place among them.
	maxVerifying = 512
	// promptly is how long the verification of a token takes where the issuer's keys are
	// there, and maxPatient how many requests wait longer, as for a key that is new, or where
	// the container has little of a processor: half of the places stay free of forged
	// tokens.
	promptly   = 100 * time.Millisecond
	maxPatient = maxVerifying / 2
)

// Bearer verifies the tokens of requests.
type Bearer struct {
	required []string
	verifier *Verifier
	// verified has tokens by their text.
	verified *lru.Cache[string, *verifiedToken]
	// pending makes many requests with one new token verify it once.
	pending singleflight.Group
	// verifying and patient have a place for each request that waits, and waits long.
	verifying, patient chan struct{}
	// evicted is told of each token that is forgotten for want of room.
	evicted func()
}

type verifiedToken struct {
	caller *Caller
	key    thumbprint
}

// NewBearer takes the tokens that verifier accepts and that have the scopes.
func NewBearer(verifier *Verifier, requiredScopes []string) *Bearer {
	verified, err := lru.New[string, *verifiedToken](maxVerified)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Bearer{
		required: requiredScopes, verifier: verifier, verified: verified,
		verifying: make(chan struct{}, maxVerifying), patient: make(chan struct{}, maxPatient),
		evicted: func() {},
	}
}

// ObserveEvictions has evicted told of each verified token that is forgotten for want
// of room. Call it before the first request.
func (b *Bearer) ObserveEvictions(evicted func()) { b.evicted = evicted }

// Authenticate verifies the token of an Authorization header. The error is a
// *TokenError, a *ScopeError, ErrBusy or wraps ErrUnavailable.
func (b *Bearer) Authenticate(ctx context.Context, header http.Header) (*Caller, error) {
	raw, err := bearerToken(header["Authorization"])
	if err != nil {
		return nil, err
	}
	return b.authenticate(ctx, raw)
}

func (b *Bearer) authenticate(ctx context.Context, raw string) (*Caller, error) {
	if known, ok := b.verified.Get(raw); ok && b.verifier.keys.current.Load().has(known.key) {
		if time.Now().Before(known.caller.Expiry) {
			return known.caller, nil
		}
		b.verified.Remove(raw)
		return nil, &TokenError{Description: "the token has expired"}
	}
	token := NewToken(raw)
	select {
	case b.verifying <- struct{}{}:
		defer func() { <-b.verifying }()
	default:
		return nil, ErrBusy
	}
	result := b.pending.DoChan(string(token.digest[:]), func() (any, error) {
		// One caller who goes away must not fail the others.
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout+unknownKeyWait)
		defer cancel()
		return b.verify(detached, token)
	})
	return b.await(ctx, result)
}

func (b *Bearer) await(ctx context.Context, result <-chan singleflight.Result) (*Caller, error) {
	var late <-chan time.Time
	// Before the first keys are there nobody is verified, and all wait for them.
	if b.verifier.keys.current.Load() != nil {
		timer := time.NewTimer(promptly)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case r := <-result:
			caller, _ := r.Val.(*Caller)
			return caller, r.Err
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		case <-late:
			late = nil
			select {
			case b.patient <- struct{}{}:
				// At most once: late is nil now.
				defer func() { <-b.patient }()
			default:
				return nil, ErrBusy
			}
		}
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

func (b *Bearer) verify(ctx context.Context, token Token) (*Caller, error) {
	caller, key, err := b.verifier.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	lacks := func(scope string) bool { return !slices.Contains(caller.Scopes, scope) }
	if missing := slices.IndexFunc(b.required, lacks); missing >= 0 {
		return nil, &ScopeError{Required: b.required, Missing: b.required[missing]}
	}
	remembered := *caller
	remembered.Claims = nil
	if b.verified.Add(token.raw, &verifiedToken{caller: &remembered, key: key}) {
		b.evicted()
	}
	return caller, nil
}
