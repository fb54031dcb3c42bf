package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ExchangeClient may exchange tokens at an Issuer.
type ExchangeClient struct {
	ID string
	// Secret authenticates it, or one of Keys, with which it signs assertions, or an
	// assertion about AssertionSubject of another issuer.
	Secret           string
	Keys             []jose.JSONWebKey
	AssertionIssuer  string
	AssertionSubject string
	// AssertionClient reaches that issuer.
	AssertionClient *http.Client
	// Audiences are those that it may ask for.
	Audiences []string
}

// exchanges are what an Issuer knows of its token endpoint.
type exchanges struct {
	clients []ExchangeClient
	claims  func(claims map[string]any)
	seen    []url.Values
}

// AllowExchange lets a client exchange tokens of the issuer's own for audience "countersign".
func (i *Issuer) AllowExchange(client ExchangeClient) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exchanges.clients = append(i.exchanges.clients, client)
}

// EditExchanged has the claims of exchanged tokens changed before they are signed.
func (i *Issuer) EditExchanged(edit func(claims map[string]any)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.exchanges.claims = edit
}

// Exchanges are the forms that the token endpoint got, in order.
func (i *Issuer) Exchanges() []url.Values {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.exchanges.seen)
}

const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// oauthError is an error of RFC 6749, section 5.2.
type oauthError struct {
	status int
	code   string
}

// serveToken is the token endpoint: RFC 8693 and RFC 7523.
func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	// Read first: only then net/http notices a client that goes away.
	r.Body = http.MaxBytesReader(w, r.Body, 128<<10)
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	if fault, fails := i.TokenFaults.next(r); fails {
		i.writeTokenFault(w, fault)
		return
	}
	i.mu.Lock()
	i.exchanges.seen = append(i.exchanges.seen, maps.Clone(r.PostForm))
	i.mu.Unlock()
	token, failed := i.exchange(r)
	if failed != nil {
		writeJSON(w, failed.status, map[string]string{
			"error": failed.code, "error_description": "said of " + r.PostForm.Get("subject_token"),
		})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"token_type": "Bearer", "expires_in": 300,
	})
}

// writeTokenFault answers with an OAuth error, or with the text itself.
func (i *Issuer) writeTokenFault(w http.ResponseWriter, fault Fault) {
	if fault.Status/100 == 3 {
		w.Header().Set("Location", fault.Message)
		w.WriteHeader(fault.Status)
		return
	}
	if fault.Code == "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(fault.Status)
		_, _ = w.Write([]byte(fault.Message)) // the client may be gone
		return
	}
	body := map[string]any{"error": fault.Code}
	if fault.Message != "" {
		_ = json.Unmarshal([]byte(fault.Message), &body) // further members
	}
	writeJSON(w, fault.Status, body)
}

func (i *Issuer) exchange(r *http.Request) (string, *oauthError) {
	client := i.authenticate(r)
	if client == nil {
		return "", &oauthError{http.StatusUnauthorized, "invalid_client"}
	}
	form := r.PostForm
	subjectToken := form.Get("subject_token")
	switch form.Get("grant_type") {
	case grantTokenExchange:
	case grantJWTBearer:
		subjectToken = form.Get("assertion")
	default:
		return "", &oauthError{http.StatusBadRequest, "unsupported_grant_type"}
	}
	subject, err := i.verifyOwn(subjectToken)
	if err != nil {
		return "", &oauthError{http.StatusBadRequest, "invalid_grant"}
	}
	audience := form.Get("audience")
	if !slices.Contains(client.Audiences, audience) {
		return "", &oauthError{http.StatusBadRequest, "invalid_target"}
	}
	claims := map[string]any{"sub": subject["sub"], "aud": audience, "azp": client.ID}
	if actor := form.Get("actor_token"); actor != "" {
		who, err := unverifiedSubject(actor)
		if err != nil {
			return "", &oauthError{http.StatusBadRequest, "invalid_request"}
		}
		claims["act"] = map[string]any{"sub": who}
	}
	// Shorter than the caller's, as identity providers make them.
	claims["exp"] = time.Now().Add(5 * time.Minute).Unix()
	i.mu.Lock()
	edit := i.exchanges.claims
	i.mu.Unlock()
	if edit != nil {
		edit(claims)
	}
	return i.Token(claims), nil
}

// authenticate finds the client by its secret or its assertion.
func (i *Issuer) authenticate(r *http.Request) *ExchangeClient {
	i.mu.Lock()
	clients := slices.Clone(i.exchanges.clients)
	i.mu.Unlock()
	id, secret, isBasic := r.BasicAuth()
	if isBasic {
		id, _ = url.QueryUnescape(id) // RFC 6749, section 2.3.1
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	assertion := r.PostForm.Get("client_assertion")
	for n := range clients {
		c := &clients[n]
		switch {
		case assertion != "" && c.isAssertedBy(r.Context(), assertion, i.URL):
			return c
		case assertion == "" && c.Secret != "" && c.ID == id && c.Secret == secret:
			return c
		}
	}
	return nil
}

func (c *ExchangeClient) isAssertedBy(ctx context.Context, assertion, audience string) bool {
	if c.AssertionIssuer != "" {
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c.AssertionClient), c.AssertionIssuer)
		if err != nil {
			return false
		}
		verified, err := provider.Verifier(&oidc.Config{ClientID: audience}).Verify(ctx, assertion)
		return err == nil && verified.Subject == c.AssertionSubject
	}
	parsed, err := jwt.ParseSigned(
		assertion, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA},
	)
	if err != nil {
		return false
	}
	for _, key := range c.Keys {
		var claims jwt.Claims
		if parsed.Claims(key.Key, &claims) == nil && claims.ID != "" && claims.Validate(jwt.Expected{
			Issuer: c.ID, Subject: c.ID, AnyAudience: jwt.Audience{audience}, Time: time.Now(),
		}) == nil {
			return true
		}
	}
	return false
}

// verifyOwn accepts tokens that the issuer signed.
func (i *Issuer) verifyOwn(token string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384})
	if err != nil {
		return nil, err
	}
	for _, key := range i.PublicKeys() {
		var claims map[string]any
		if parsed.Claims(key.Key, &claims) != nil {
			continue
		}
		if expires, ok := claims["exp"].(float64); !ok || time.Unix(int64(expires), 0).Before(time.Now()) {
			return nil, errors.New("expired")
		}
		return claims, nil
	}
	return nil, errors.New("not one of the issuer's")
}

func unverifiedSubject(token string) (string, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return "", fmt.Errorf("read claims: %w", err)
	}
	return claims.Subject, nil
}
