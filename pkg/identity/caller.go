// Package identity finds out who is calling: it verifies the OIDC token of a
// request, or takes the Pod's service-account token, and gives a Caller.
package identity

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"strconv"
	"time"
)

// MaxTokenBytes bounds a token: STS takes web identity tokens up to 20 000
// characters.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const MaxTokenBytes = 20_000

// Token is a caller's OIDC token. It prints as a placeholder.
type Token struct {
	raw    string
	digest [sha256.Size]byte
}

// NewToken takes a token as it was sent.
func NewToken(raw string) Token {
	var scratch [2048]byte // tokens are seldom longer, so that no copy is made on the heap
	return Token{raw: raw, digest: sha256.Sum256(append(scratch[:0], raw...))}
}

// Reveal is the token itself, for STS.
func (t Token) Reveal() string { return t.raw }

// Digest identifies the token in caches.
func (t Token) Digest() [sha256.Size]byte { return t.digest }

// String keeps the token out of logs and errors.
func (t Token) String() string { return "[token]" }

// GoString does the same for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue implements slog.LogValuer.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Caller is who a request is made for. It is made once per token and shared by
// requests; nothing in it may be changed.
type Caller struct {
	Issuer  string
	Subject string
	Scopes  []string
	// Claims are all claims of the token: string, bool, int64, float64, nil,
	// []any and map[string]any. A caller who is remembered has none: see WithClaims.
	Claims map[string]any
	// Actor is the sub of the claim act: who acts for the subject. It is empty where
	// the token names nobody.
	Actor string
	// Expiry is when the token stops to be accepted, clock skew included.
	Expiry time.Time
	// Workload is set for service-account tokens.
	Workload *Workload
	Token    Token
	// key is Key, made once.
	key string
}

// WithClaims gives the caller with the claims, which are read from the token where they are
// not at hand: they take several times its length, and are needed once for each token.
func (c *Caller) WithClaims() *Caller {
	if c.Claims != nil {
		return c
	}
	said, err := readUnverified(c.Token.raw)
	if err != nil {
		panic(err) // it was read when it was verified
	}
	with := *c
	with.Claims = said.claims
	return &with
}

// Key tells callers apart, as one issuer's subject.
func (c *Caller) Key() string {
	if c.key != "" {
		return c.key
	}
	return keyOf(c.Issuer, c.Subject)
}

// keyOf has the length first: no two issuers and subjects make the same.
func keyOf(issuer, subject string) string { return strconv.Itoa(len(issuer)) + " " + issuer + subject }

// Workload is the service account of a Pod.
type Workload struct {
	Namespace      string
	ServiceAccount string
}

// TokenError says what is wrong with the caller's token: HTTP 401.
type TokenError struct {
	// Description is for the caller; it names the fault and quotes nothing
	// secret.
	Description string
	// NotSent is set when the request brought no token at all: RFC 6750, section
	// 3.1, wants no error code then.
	NotSent bool
}

func (e *TokenError) Error() string { return e.Description }

// ScopeError says that the token lacks a scope: HTTP 403.
type ScopeError struct {
	// Required are all scopes that are asked for.
	Required []string
	Missing  string
}

func (e *ScopeError) Error() string { return "the token lacks the scope " + e.Missing }

// InteractionError says that the identity provider wants the caller to log in once more
// before it exchanges the token: HTTP 401.
type InteractionError struct {
	// Claims is what to log in with, in Base64; empty where nothing is said of it.
	Claims string
}

func (e *InteractionError) Error() string {
	return "the identity provider wants a login before it exchanges the token"
}

// ErrUnavailable says that nobody can tell whether the token is good, because
// the issuer's keys or the token file are unavailable: HTTP 503.
var ErrUnavailable = errors.New("the caller's token cannot be verified now")

// ErrBusy says that too many new tokens are being verified: HTTP 503.
var ErrBusy = errors.New("too many new tokens are being verified")
