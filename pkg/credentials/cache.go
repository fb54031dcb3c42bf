// Package credentials exchanges a caller's token for temporary AWS credentials
// and keeps them for as long as the caller uses that very token.
package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
)

const (
	// exchangeTimeout bounds one exchange with its retry.
	exchangeTimeout = 10 * time.Second
	// maxExchanges bounds exchanges under way.
	maxExchanges = 64
	// failureMemory is how long a refusal is remembered, so that a client in a
	// loop does not reach STS each time.
	failureMemory = 5 * time.Second
	// renewPause is the least time between two exchanges that AWS's refusal of
	// a credential causes.
	renewPause = 30 * time.Second
	// refreshPause is the least time between two failed background refreshes.
	refreshPause = 30 * time.Second

	// A credential is renewed in the background when less than a fifth of its
	// life, at most refreshAhead, is left, and not used when less than a tenth
	// of its life, at most minimumLeft, is left.
	refreshAhead = 5 * time.Minute
	minimumLeft  = 10 * time.Second
	// narrowedLeft is what a narrowed session must have left: a script goes on with
	// it for minutes. It is at most half of a session's life. Nobody knows whether
	// the same set will be asked for again, so it is not renewed ahead.
	narrowedLeft = 15 * time.Minute
	// maxNarrowed bounds the narrowed sessions of one token.
	maxNarrowed = 8
	// maxNarrowing bounds the tokens of which it is known which narrowed sessions they have.
	maxNarrowing = 10_000
)

// WebIdentityToken is the token that STS is shown.
type WebIdentityToken interface{ Reveal() string }

// Tokens gives the token that STS is shown for a caller: the caller's own, or the one
// that it was exchanged for.
type Tokens interface {
	// WebIdentityToken gives the token; its error is passed on as it is.
	WebIdentityToken(ctx context.Context, caller *identity.Caller) (WebIdentityToken, error)
	// TokenRefused is told of a token that STS does not take, and reports whether another
	// may be asked for in its place.
	TokenRefused(caller *identity.Caller, token WebIdentityToken) bool
}

// Source is what a request gets its credentials from: that of the auth-config which was
// in use when it came.
type Source interface {
	Tokens
	Exchanger
}

// RoleSession is what STS is asked for. It must not be changed once used.
type RoleSession struct {
	Role       authconfig.RoleARN
	Name       string
	Duration   time.Duration
	Policy     string
	PolicyARNs []string
	Region     string
	// Exchange identifies how the caller's token is exchanged before STS sees it; empty
	// where STS gets the caller's own.
	Exchange string
	// Narrowed: Policy holds the session to what one script does; see Narrow.
	Narrowed bool
}

// Exchanger makes a credential of a token; errors are *Error.
type Exchanger interface {
	Exchange(ctx context.Context, token string, session *RoleSession) (aws.Credentials, error)
}

// Observer is told of each exchange; result is "success" or a Kind, narrowed whether
// it was for the session of one script.
type Observer interface {
	Exchanged(result string, took time.Duration, narrowed bool)
	// Evicted is told of each role session that is forgotten for want of room.
	Evicted(cache string)
}

// ErrRenewedRecently says that AWS refuses a credential that is fresh from STS.
var ErrRenewedRecently = errors.New("the credential was renewed a moment ago")

// Key identifies a token and a role session together.
type Key [sha256.Size]byte

// KeyOf digests the token and every input to STS, each with its length before
// it. Make it once per caller and session.
func KeyOf(token identity.Token, session *RoleSession) Key {
	h := sha256.New()
	var length [8]byte
	write := func(part string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	digest := token.Digest()
	write(string(digest[:]))
	write(session.Role.String())
	write(session.Name)
	write(session.Duration.String())
	write(session.Policy)
	for _, arn := range session.PolicyARNs {
		write(arn)
	}
	write(session.Region)
	write(session.Exchange)
	return Key(h.Sum(nil))
}

// Cache keeps credentials, on a shelf of a certain size.
type Cache struct {
	observer Observer
	shelf    *shelf
	narrowed narrowedKeys
	// slots bounds exchanges with STS under way.
	slots chan struct{}
	now   func() time.Time
}

type entry struct {
	key    Key
	caller string
	// size is what the entry counts on the shelf, whose lock guards it.
	size int

	mu         sync.Mutex
	credential aws.Credentials
	// refreshAt and unusableAt follow from the credential's life.
	refreshAt  time.Time
	unusableAt time.Time
	// done is closed when the exchange under way ends; nil without one.
	done chan struct{}
	// failure is the last exchange's error while it is remembered.
	failure      error
	failureUntil time.Time
	// nextRefresh keeps failed background refreshes apart.
	nextRefresh time.Time
	renewedAt   time.Time
}

// NewCache makes an empty cache.
func NewCache(observer Observer) *Cache {
	return &Cache{
		observer: observer, shelf: newShelf(func() { observer.Evicted("credentials") }),
		slots: make(chan struct{}, maxExchanges), narrowed: newNarrowedKeys(), now: time.Now,
	}
}

// Len is the number of entries.
func (c *Cache) Len() int { return c.shelf.len() }

// Get gives a credential that has some life left, exchanging the token when
// there is none. Everybody who asks for a key while it is exchanged waits for
// that one exchange, which goes on when the first who asked is gone. The error
// is an *Error, one of Tokens, or ctx's.
func (c *Cache) Get(
	ctx context.Context,
	source Source,
	key Key,
	caller *identity.Caller,
	session *RoleSession,
) (aws.Credentials, error) {
	e := c.shelf.entry(key, caller.Key())
	if session.Narrowed {
		c.keepFew(key, caller.Token)
	}
	e.mu.Lock()
	now := c.now()
	if now.Before(e.unusableAt) {
		if now.After(e.refreshAt) && e.done == nil && now.After(e.nextRefresh) {
			c.start(ctx, e, source, caller, session)
		}
		defer e.mu.Unlock()
		return e.credential, nil
	}
	if e.failure != nil && now.Before(e.failureUntil) {
		defer e.mu.Unlock()
		return aws.Credentials{}, e.failure
	}
	if e.done == nil {
		c.start(ctx, e, source, caller, session)
	}
	return c.await(ctx, e)
}

// await is called with the lock held and gives it up.
func (c *Cache) await(ctx context.Context, e *entry) (aws.Credentials, error) {
	done := e.done
	e.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return aws.Credentials{}, fmt.Errorf("wait for credentials: %w", ctx.Err())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.now().Before(e.unusableAt) {
		return e.credential, nil
	}
	if e.failure == nil {
		return aws.Credentials{}, &Error{
			Kind:  KindOther,
			cause: errors.New("STS gives credentials that have expired already"),
		}
	}
	return aws.Credentials{}, e.failure
}

// start begins an exchange; it is called with the lock held.
func (c *Cache) start(
	ctx context.Context,
	e *entry,
	source Source,
	caller *identity.Caller,
	session *RoleSession,
) {
	done := make(chan struct{})
	e.done = done
	detached := context.WithoutCancel(ctx)
	go func() {
		defer close(done)
		begun := c.now()
		credential, err := c.exchange(detached, source, caller, session)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.done = nil
		e.settle(credential, err, begun, c.now())
		c.shelf.resize(e, &e.credential)
		if session.Narrowed && err == nil {
			e.unusableAt = credential.Expires.Add(-min(narrowedLeft, credential.Expires.Sub(begun)/2))
			e.refreshAt = e.unusableAt
		}
	}()
}

func (c *Cache) exchange(
	ctx context.Context,
	source Source,
	caller *identity.Caller,
	session *RoleSession,
) (aws.Credentials, error) {
	credential, retry, err := c.ask(ctx, source, caller, session)
	if !retry {
		return credential, err
	}
	credential, retry, err = c.ask(ctx, source, caller, session)
	if retry {
		// STS takes no token that the caller's is exchanged for: another login would
		// not help.
		err = &Error{Kind: KindIdentityProvider, cause: err}
	}
	return credential, err
}

// ask shows STS the caller's token. It reports whether STS refuses the token and there
// may be another.
func (c *Cache) ask(
	ctx context.Context,
	source Source,
	caller *identity.Caller,
	session *RoleSession,
) (credential aws.Credentials, retry bool, err error) {
	token, err := source.WebIdentityToken(ctx, caller)
	if err != nil {
		return aws.Credentials{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	// Not before: whoever waits for the identity provider takes no place of those who
	// wait for STS.
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return aws.Credentials{}, false, &Error{Kind: KindUnavailable, cause: ctx.Err()}
	}
	begun := c.now()
	credential, err = source.Exchange(ctx, token.Reveal(), session)
	result := "success"
	if err != nil {
		kind := kindOfFailure(err)
		result = string(kind)
		// The role is for the operator; the caller is told the kind only.
		slog.Warn("the exchange with STS failed", "role", session.Role.String(), "roleSession", session.Name,
			"kind", result, "error", err)
		retry = (kind == KindInvalidToken || kind == KindIdentityProvider) && source.TokenRefused(caller, token)
	}
	c.observer.Exchanged(result, c.now().Sub(begun), session.Narrowed)
	return credential, retry, err
}

func kindOfFailure(err error) Kind {
	var failed *Error
	switch {
	case errors.As(err, &failed):
		return failed.Kind
	case isCancelled(err):
		return KindUnavailable
	}
	return KindOther
}

// rememberedKinds are the refusals that the same request would get again.
var rememberedKinds = map[Kind]bool{
	KindAccessDenied: true, KindInvalidToken: true, KindIdentityProvider: true, KindPolicyTooLarge: true,
}

// isLasting reports whether the same request would fail again for a while.
func isLasting(err error) bool {
	var failed *Error
	if errors.As(err, &failed) {
		return rememberedKinds[failed.Kind]
	}
	var other interface{ IsLasting() bool }
	return errors.As(err, &other) && other.IsLasting()
}

func (e *entry) settle(credential aws.Credentials, err error, begun, now time.Time) {
	if err != nil {
		e.failure, e.failureUntil, e.nextRefresh = err, now, now.Add(refreshPause)
		if isLasting(err) {
			e.failureUntil = now.Add(failureMemory)
		}
		return
	}
	life := credential.Expires.Sub(begun)
	e.credential, e.failure, e.failureUntil = credential, nil, time.Time{}
	e.refreshAt = credential.Expires.Add(-min(refreshAhead, life/5))
	e.unusableAt = credential.Expires.Add(-min(minimumLeft, life/10))
}

// Renew replaces a credential that AWS refuses. When somebody else has replaced
// it already it gives that one; within renewPause of the last renewal it fails
// with ErrRenewedRecently.
func (c *Cache) Renew(
	ctx context.Context,
	source Source,
	key Key,
	caller *identity.Caller,
	session *RoleSession,
	refused aws.Credentials,
) (aws.Credentials, error) {
	e := c.shelf.entry(key, caller.Key())
	e.mu.Lock()
	now := c.now()
	if e.credential.AccessKeyID != refused.AccessKeyID && now.Before(e.unusableAt) {
		defer e.mu.Unlock()
		return e.credential, nil
	}
	if e.done == nil && now.Sub(e.renewedAt) < renewPause {
		defer e.mu.Unlock()
		return aws.Credentials{}, ErrRenewedRecently
	}
	// Also when an exchange is under way already: if that one fails, the refused
	// credential must not be what is left.
	e.credential, e.unusableAt = aws.Credentials{}, time.Time{}
	if e.done == nil {
		e.renewedAt = now
		c.start(ctx, e, source, caller, session)
	}
	return c.await(ctx, e)
}
