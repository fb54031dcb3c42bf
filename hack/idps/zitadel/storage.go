package zitadel

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage is what the op package asks about clients, keys and tokens. It answers from the configuration, and stores
// nothing but the signing keys: the tokens are JWTs that nobody can revoke.
type storage struct {
	unsupported

	config Config
	keys   *keyring
}

// What the op package makes of a storage depends on which optional interfaces it implements.
var (
	_ op.Storage                            = (*storage)(nil)
	_ op.ClientCredentialsStorage           = (*storage)(nil)
	_ op.TokenExchangeStorage               = (*storage)(nil)
	_ op.TokenExchangeTokensVerifierStorage = (*storage)(nil)
)

// Clients and their authentication.

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	for i := range s.config.Clients {
		if s.config.Clients[i].ID == id {
			return opClient{&s.config.Clients[i]}, nil
		}
	}
	return nil, fmt.Errorf("no client %q", id)
}

func (s *storage) AuthorizeClientIDSecret(ctx context.Context, id, secret string) error {
	_, err := s.ClientCredentials(ctx, id, secret)
	return err
}

// ClientCredentials never matches a client without a secret, whose request would need none either.
func (s *storage) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	for i := range s.config.Clients {
		c := &s.config.Clients[i]
		if c.ID == id && c.Secret != "" && subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1 {
			return opClient{c}, nil
		}
	}
	return nil, fmt.Errorf("no client %q with this secret", id)
}

// clientByAssertion finds the client that assertions of this issuer about this subject authenticate.
func (s *storage) clientByAssertion(issuer, subject string) (*Client, error) {
	for i := range s.config.Clients {
		c := &s.config.Clients[i]
		wantIssuer, wantSubject := c.asserted()
		if c.Method == oidc.AuthMethodPrivateKeyJWT && issuer == wantIssuer && subject == wantSubject {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no client is asserted by %q about %q", issuer, subject)
}

// checkAssertion stands in for the op package's own check that an assertion's subject is its issuer, which no foreign
// issuer's assertion passes.
func (s *storage) checkAssertion(assertion *oidc.JWTTokenRequest) error {
	_, err := s.clientByAssertion(assertion.Issuer, assertion.Subject)
	return err
}

// GetKeyByIDAndClientID finds the key of an assertion. The op package calls "client id" here what is the assertion's
// issuer, so the keys of every client with that issuer are looked through.
func (s *storage) GetKeyByIDAndClientID(_ context.Context, keyID, issuer string) (*jose.JSONWebKey, error) {
	for i := range s.config.Clients {
		c := &s.config.Clients[i]
		wantIssuer, _ := c.asserted()
		if c.Assertion == nil || wantIssuer != issuer {
			continue
		}
		if found := c.Assertion.Keys.Key(keyID); len(found) > 0 {
			return &found[0], nil
		}
	}
	return nil, fmt.Errorf("no key %q of %q", keyID, issuer)
}

// Tokens.

func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (id string, expires time.Time, err error) {
	return rand.Text(), time.Now().Add(s.config.TokenLifetime), nil
}

// ClientCredentialsTokenRequest makes a token about the client itself for the provider itself, to be exchanged.
func (s *storage) ClientCredentialsTokenRequest(
	_ context.Context, clientID string, scopes []string,
) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{
		Subject:  clientID,
		Audience: append(oidc.Audience{s.config.Issuer}, s.config.OwnAudiences...),
		Scopes:   scopes,
	}, nil
}

// GetPrivateClaimsFromScopes names the client in a token of the client credentials grant. An op token has no azp of
// its own, only a client_id.
func (s *storage) GetPrivateClaimsFromScopes(
	_ context.Context, _, clientID string, _ []string,
) (map[string]any, error) {
	return map[string]any{"azp": clientID}, nil
}

// Token exchange.

// VerifyExchangeSubjectToken verifies a token that is not one of the provider's own. The op package answers any error
// here as invalid_request.
func (s *storage) VerifyExchangeSubjectToken(
	_ context.Context, token string, _ oidc.TokenType,
) (tokenOrID, subject string, claims map[string]any, err error) {
	registered, claims, err := s.verifyForeign(token)
	if err != nil {
		return "", "", nil, err
	}
	return token, registered.Subject, claims, nil
}

// VerifyExchangeActorToken trusts the same issuers about actors as about subjects.
func (s *storage) VerifyExchangeActorToken(
	ctx context.Context, token string, tokenType oidc.TokenType,
) (tokenOrID, actor string, claims map[string]any, err error) {
	return s.VerifyExchangeSubjectToken(ctx, token, tokenType)
}

// verifyForeign verifies a JWT of one of the subject issuers that is meant for the provider.
func (s *storage) verifyForeign(token string) (jwt.Claims, map[string]any, error) {
	var registered jwt.Claims
	var all map[string]any
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return registered, nil, err
	}
	// The issuer says which keys to verify with, so it is read before anything is verified.
	if err := parsed.UnsafeClaimsWithoutVerification(&registered); err != nil {
		return registered, nil, err
	}
	i := slices.IndexFunc(s.config.SubjectIssuers, func(t TrustedIssuer) bool { return t.Issuer == registered.Issuer })
	if i < 0 {
		return registered, nil, fmt.Errorf("issuer %q is not trusted", registered.Issuer)
	}
	if err := parsed.Claims(&s.config.SubjectIssuers[i].Keys, &registered, &all); err != nil {
		return registered, nil, err
	}
	if registered.Expiry == nil || registered.Subject == "" {
		return registered, nil, errors.New("the token lacks exp or sub")
	}
	return registered, all, registered.Validate(jwt.Expected{
		AnyAudience: jwt.Audience{s.config.Issuer},
		Time:        time.Now(),
	})
}

// ValidateTokenExchangeRequest is the provider's policy: a client gets tokens for its own audiences alone, must name
// one, and gets an access token unless it asks for another kind.
func (s *storage) ValidateTokenExchangeRequest(ctx context.Context, request op.TokenExchangeRequest) error {
	c, err := s.GetClientByClientID(ctx, request.GetClientID())
	if err != nil {
		return oidc.ErrInvalidClient().WithParent(err)
	}
	if len(request.GetResourses()) > 0 { // sic: the op package spells it so
		return oidc.ErrInvalidTarget().WithDescription("name the target by audience, not by resource")
	}
	if len(request.GetAudience()) == 0 {
		return oidc.ErrInvalidTarget().WithDescription("audience missing")
	}
	for _, audience := range request.GetAudience() {
		if !slices.Contains(c.(opClient).Audiences, audience) {
			return oidc.ErrInvalidTarget().WithDescription("audience %q is not allowed", audience)
		}
	}
	if err := s.checkOwnToken(request.GetExchangeSubjectTokenClaims()); err != nil {
		return oidc.ErrInvalidRequest().WithDescription("subject_token is invalid").WithParent(err)
	}
	if request.GetRequestedTokenType() == "" {
		request.SetRequestedTokenType(oidc.AccessTokenType)
	}
	return nil
}

// checkOwnToken refuses a token that the provider issued for somebody else. The op package verifies the provider's own
// tokens without a look at their audience, so whoever was sent a token could exchange it for another.
func (s *storage) checkOwnToken(claims map[string]any) error {
	if claims["iss"] != s.config.Issuer {
		return nil
	}
	switch audience := claims["aud"].(type) {
	case string:
		if audience == s.config.Issuer {
			return nil
		}
	case []any:
		if slices.Contains(audience, any(s.config.Issuer)) {
			return nil
		}
	}
	return errors.New("the token is not meant for this provider")
}

// CreateTokenExchangeRequest is where a provider would log the exchange.
func (s *storage) CreateTokenExchangeRequest(context.Context, op.TokenExchangeRequest) error {
	return nil
}

// GetPrivateClaimsFromTokenExchangeRequest adds azp, and act where the request has an actor token. The claims that the
// op package sets itself, such as sub and aud, win over those returned here.
func (s *storage) GetPrivateClaimsFromTokenExchangeRequest(
	_ context.Context, request op.TokenExchangeRequest,
) (map[string]any, error) {
	claims := map[string]any{"azp": request.GetClientID()}
	earlier := request.GetExchangeSubjectTokenClaims()["act"]
	switch {
	case request.GetExchangeActor() != "":
		act := map[string]any{"sub": request.GetExchangeActor()}
		if issuer, found := request.GetExchangeActorTokenClaims()["iss"]; found {
			act["iss"] = issuer
		}
		// The subject token's actor becomes the one before this one: RFC 8693, section 4.1.
		if earlier != nil {
			act["act"] = earlier
		}
		claims["act"] = act
	case earlier != nil:
		claims["act"] = earlier
	}
	return claims, nil
}

// SetUserinfoFromTokenExchangeRequest adds nothing to an ID token: workloads have no profile.
func (s *storage) SetUserinfoFromTokenExchangeRequest(
	context.Context, *oidc.UserInfo, op.TokenExchangeRequest,
) error {
	return nil
}

// Keys.

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.keys.current(), nil }
func (s *storage) KeySet(context.Context) ([]op.Key, error)          { return s.keys.published(), nil }
func (s *storage) Health(context.Context) error                      { return nil }
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}
