package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// keyRefresh bounds how long a key that the issuer removed is trusted.
	keyRefresh = 5 * time.Minute
	// unknownKeyPause is the least time between two fetches that tokens cause. After one
	// that failed it is failedPause, and twice as long after each further one, so that
	// callers do not wait long for an issuer that is back.
	unknownKeyPause = 10 * time.Second
	failedPause     = time.Second
	// unknownKeyWait is how long a token with an unknown key waits for the next
	// fetch, maxUnknownKeyWaits how many tokens wait at once: a forged one is enough.
	unknownKeyWait     = 5 * time.Second
	maxUnknownKeyWaits = 64
	// fetchTimeout bounds one discovery and one key fetch together.
	fetchTimeout = 5 * time.Second
	maxKeySet    = 256 << 10
	maxKeys      = 64
)

var (
	errUnknownKey   = errors.New("the token is signed with a key that the issuer does not publish")
	errBadSignature = errors.New("the token's signature is wrong")
)

// algorithms are those that STS accepts for web identities.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512}

var joseAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// thumbprint identifies a key by what it is, not by its kid: an issuer that
// reuses a kid for another key has removed the old one.
type thumbprint [sha256.Size]byte

// publishedKeys is one answer of the issuer.
type publishedKeys struct {
	keys    []jose.JSONWebKey
	prints  map[thumbprint]struct{}
	fetched time.Time
}

func (p *publishedKeys) has(print thumbprint) bool {
	if p == nil {
		return false
	}
	_, ok := p.prints[print]
	return ok
}

// candidates are the keys that may have signed a token with this header.
func (p *publishedKeys) candidates(keyID, algorithm string) []jose.JSONWebKey {
	if p == nil {
		return nil
	}
	var matching []jose.JSONWebKey
	for _, key := range p.keys {
		if (keyID == "" || key.KeyID == keyID) && (key.Algorithm == "" || key.Algorithm == algorithm) {
			matching = append(matching, key)
		}
	}
	return matching
}

// keySet is an oidc.KeySet. Its keys are refreshed in the background; a token
// with an unknown key makes it fetch at most once in pauseLocked.
type keySet struct {
	issuer  string
	jwksURL string
	client  *http.Client

	current atomic.Pointer[publishedKeys]

	mu sync.Mutex
	// demanded is when a token last made keys be fetched; the refresh does not
	// count, or a key that is new since would be unknown for a while.
	demanded   time.Time
	attempted  time.Time
	attemptErr error
	// failures counts those since the last success.
	failures int
	inFlight chan struct{}
	// waits bounds the tokens that wait for the next fetch.
	waits chan struct{}
}

func newKeySet(issuer, jwksURL string, client *http.Client) *keySet {
	return &keySet{issuer: issuer, jwksURL: jwksURL, client: client, waits: make(chan struct{}, maxUnknownKeyWaits)}
}

// run refreshes keys until ctx ends. While the issuer cannot be reached the
// last keys stay.
func (k *keySet) run(ctx context.Context) {
	for ctx.Err() == nil {
		// A token may have made them be fetched already.
		if k.age() >= keyRefresh {
			fetch := k.begin()      //nolint:contextcheck // a fetch outlives who began it
			_ = k.await(ctx, fetch) // its error is logged there
		}
		wait := keyRefresh - k.age()
		if wait <= 0 {
			wait = k.pauseLength()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pauseLength is the least time between two fetches.
func (k *keySet) pauseLength() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pauseLocked()
}

func (k *keySet) pauseLocked() time.Duration {
	if k.failures == 0 {
		return unknownKeyPause
	}
	return min(unknownKeyPause, failedPause<<min(k.failures-1, 10))
}

// age is how long ago the keys were fetched.
func (k *keySet) age() time.Duration {
	if published := k.current.Load(); published != nil {
		return time.Since(published.fetched)
	}
	return keyRefresh
}

// begin starts a fetch unless one is under way; the result is closed at its end.
// A fetch outlives the one who began it.
func (k *keySet) begin() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beginLocked()
}

func (k *keySet) beginLocked() <-chan struct{} {
	if k.inFlight == nil {
		k.inFlight = make(chan struct{})
		go k.fetchNow(context.Background())
	}
	return k.inFlight
}

// await waits for the end of a fetch and gives its outcome.
func (k *keySet) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the issuer's keys: %w", ctx.Err())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.attemptErr
}

var errKeysLater = errors.New("the issuer's keys were fetched a moment ago; a new key will be known soon")

// demand gets newer keys than seen, for a token whose key is not among those. A
// token causes a fetch at most once in unknownKeyPause; in between it waits for
// the next one, so that a key which is new is not refused because of a forged
// token that came before.
func (k *keySet) demand(ctx context.Context, seen *publishedKeys) error {
	deadline := time.Now().Add(unknownKeyWait)
	for {
		done, left, err := k.tryDemand(seen) //nolint:contextcheck // a fetch outlives who began it
		switch {
		case err != nil || done == nil && left == 0:
			return err
		case done != nil:
			return k.await(ctx, done)
		}
		if err := k.pause(ctx, min(left, time.Until(deadline))); err != nil {
			return err
		}
		if !time.Now().Before(deadline) && k.current.Load() == seen {
			return errKeysLater
		}
	}
}

// tryDemand gives the fetch to wait for, or how long until one may begin; neither
// when newer keys are there.
func (k *keySet) tryDemand(seen *publishedKeys) (done <-chan struct{}, left time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inFlight != nil {
		return k.inFlight, 0, nil
	}
	if k.current.Load() != seen {
		return nil, 0, nil
	}
	// The first keys are no answer to an unknown one: a key that is new right
	// after start is asked for at once.
	last := &k.demanded
	if seen == nil {
		last = &k.attempted
	}
	if left = k.pauseLocked() - time.Since(*last); left <= 0 {
		*last = time.Now()
		return k.beginLocked(), 0, nil
	}
	if seen == nil {
		// There are no keys at all: the issuer cannot be reached.
		return nil, 0, k.attemptErr
	}
	return nil, left, nil
}

func (k *keySet) pause(ctx context.Context, length time.Duration) error {
	select {
	case k.waits <- struct{}{}:
		defer func() { <-k.waits }()
	default:
		return errKeysLater
	}
	timer := time.NewTimer(max(length, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the issuer's keys: %w", ctx.Err())
	}
}

func (k *keySet) fetchNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	published, err := k.download(ctx)
	if err == nil {
		k.current.Store(published)
	} else {
		slog.Warn("the issuer's keys are unavailable", "issuer", k.issuer, "error", err)
	}
	k.mu.Lock()
	k.attempted, k.attemptErr = time.Now(), err
	if k.failures++; err == nil {
		k.failures = 0
	}
	close(k.inFlight)
	k.inFlight = nil
	k.mu.Unlock()
}

func (k *keySet) download(ctx context.Context) (*publishedKeys, error) {
	location := k.jwksURL
	if location == "" {
		discovered, err := k.discover(ctx)
		if err != nil {
			return nil, err
		}
		location = discovered
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("request keys: %w", err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: %s answers %d", location, response.StatusCode)
	}
	return parseKeys(body)
}

// discover asks the issuer each time: an issuer may move its keys.
func (k *keySet) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return "", fmt.Errorf("discover: %s", clip(err.Error()))
	}
	var document struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return "", fmt.Errorf("discover: %w", err)
	}
	if err := CheckLocation(k.issuer, "jwks_uri", document.JWKSURI); err != nil {
		return "", err
	}
	return document.JWKSURI, nil
}

// clip keeps the issuer's whole answer, which the library puts into its error,
// out of logs.
func clip(text string) string {
	const most = 300
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// CheckLocation refuses a URL of an issuer's discovery document, in the member name, to
// which what is sent could be read, or from which what comes could be changed, on the
// way. Plain HTTP is for loopback addresses, and for issuers that have one themselves.
func CheckLocation(issuer, name, location string) error {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return fmt.Errorf("discover: the document has no usable %s", name)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u) || !strings.HasPrefix(issuer, "http://")) {
		return fmt.Errorf("discover: %s must be https", name)
	}
	return nil
}

func isLoopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// parseKeys keeps the public signing keys and passes over every other: an
// issuer may publish keys of kinds that nobody here knows.
func parseKeys(body []byte) (*publishedKeys, error) {
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	// A key that cannot be read is passed over like one of a kind that is not
	// known; parseKey is strict with each.
	lenient := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := json.Unmarshal(body, &document, lenient); err != nil {
		return nil, fmt.Errorf("parse keys: %w", err)
	}
	published := &publishedKeys{prints: map[thumbprint]struct{}{}, fetched: time.Now()}
	for _, text := range document.Keys {
		key, ok := parseKey(text)
		if !ok || len(published.keys) == maxKeys {
			continue
		}
		print, err := printOf(&key)
		if err != nil {
			continue
		}
		published.keys = append(published.keys, key)
		published.prints[print] = struct{}{}
	}
	if len(published.keys) == 0 {
		return nil, errors.New("parse keys: the issuer publishes no RSA or EC signing key")
	}
	return published, nil
}

// parseKey reads an RSA or EC key by the members that make it one (RFC 7518,
// section 6). What stands beside them, certificates above all, is often broken and
// says nothing of the key.
func parseKey(text jsontext.Value) (key jose.JSONWebKey, ok bool) {
	var members map[string]jsontext.Value
	if json.Unmarshal(text, &members) != nil {
		return key, false
	}
	only := map[string]jsontext.Value{}
	for _, name := range keyMembers[stringMember(members, "kty")] {
		only[name] = members[name]
	}
	for _, name := range []string{"kid", "alg", "use"} {
		if value := members[name]; value.Kind() == '"' {
			only[name] = value
		}
	}
	minimal, err := json.Marshal(only)
	if err != nil || key.UnmarshalJSON(minimal) != nil {
		return key, false
	}
	return key, isSigningKey(&key)
}

// keyMembers are those that make a public key, by kty.
var keyMembers = map[string][]string{"RSA": {"kty", "n", "e"}, "EC": {"kty", "crv", "x", "y"}}

func stringMember(members map[string]jsontext.Value, name string) string {
	var text string
	_ = json.Unmarshal(members[name], &text) // what is no string is no kty
	return text
}

func isSigningKey(key *jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" || !key.Valid() {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return true
	}
	return false
}

// verify checks a signature and tells the key that made it. A bad signature
// under a known key id never makes it fetch: anybody can send one.
func (k *keySet) verify(ctx context.Context, raw string) (thumbprint, error) {
	signed, err := jose.ParseSignedCompact(raw, joseAlgorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return thumbprint{}, errNotJWT
	}
	header := signed.Signatures[0].Header
	published := k.current.Load()
	stale := published == nil || time.Since(published.fetched) > 2*keyRefresh
	candidates := published.candidates(header.KeyID, header.Algorithm)
	if len(candidates) == 0 || stale {
		if err := k.demand(ctx, published); err != nil {
			return thumbprint{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		candidates = k.current.Load().candidates(header.KeyID, header.Algorithm)
	}
	if len(candidates) == 0 {
		return thumbprint{}, errUnknownKey
	}
	for i := range candidates {
		if _, err := signed.Verify(candidates[i].Key); err == nil {
			return printOf(&candidates[i])
		}
	}
	return thumbprint{}, errBadSignature
}

func printOf(key *jose.JSONWebKey) (thumbprint, error) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return thumbprint{}, fmt.Errorf("thumbprint: %w", err)
	}
	return thumbprint(sum), nil
}
