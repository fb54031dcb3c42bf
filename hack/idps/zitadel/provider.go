// Package zitadel is an OpenID provider built with github.com/zitadel/oidc: its
// protocol, with a storage, a check of foreign assertions and a policy of exchanges of
// ours.
package zitadel

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// maxAssertionAge is how old an assertion may be. The op package's own limit is an hour, which a Kubernetes token
	// can pass: it is good for longer than an hour when the pod asked for that.
	maxAssertionAge = 24 * time.Hour
	// clockSkew is how far the clock of an assertion's signer may be ahead.
	clockSkew = 10 * time.Second
)

// server is the op package's server with client authentication of its own. The op package offers two: an
// op.Provider served as it is knows client_secret_basic alone for token exchange, an op.LegacyServer the other methods
// as well, but no assertions of foreign issuers.
type server struct {
	*op.LegacyServer

	storage *storage
}

// Provider serves the token endpoint, keys and discovery of an issuer.
type Provider struct {
	http.Handler

	keys *keyring
}

// New makes a provider.
func New(c Config) (*Provider, error) {
	keys, err := newKeyring()
	if err != nil {
		return nil, err
	}
	store := &storage{config: c, keys: keys}
	settings := &op.Config{AuthMethodPost: true, AuthMethodPrivateKeyJWT: true}
	// The crypto key encrypts opaque access tokens, which are never issued. Left zero, anyone could make one.
	if _, err := rand.Read(settings.CryptoKey[:]); err != nil {
		return nil, fmt.Errorf("making the crypto key: %w", err)
	}
	provider, err := op.NewProvider(settings, store, op.StaticIssuer(c.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("making the provider: %w", err)
	}
	// The endpoints left out are neither served nor in the discovery document.
	endpoints := op.Endpoints{Token: op.DefaultEndpoints.Token, JwksURI: op.DefaultEndpoints.JwksURI}
	s := &server{LegacyServer: op.NewLegacyServer(provider, endpoints), storage: store}
	issuer := op.NewIssuerInterceptor(provider.IssuerFromRequest)

	handler := op.RegisterServer(s, endpoints, op.WithHTTPMiddleware(issuer.Handler))
	return &Provider{Handler: handler, keys: keys}, nil
}

// Rotate makes a new signing key. With forget the keys before it are no longer
// published.
func (p *Provider) Rotate(forget bool) error {
	_, err := p.keys.rotate(forget)
	return err
}

// VerifyClient authenticates the client. Every failure is invalid_client with status 401, as RFC 6749, section 5.2, has
// it: the op package alone answers 400, and calls a bad assertion invalid_grant.
func (s *server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	verify := s.LegacyServer.VerifyClient
	if r.Data.ClientAssertion != "" {
		verify = s.verifyAssertion
	}
	c, err := verify(ctx, r)
	if err != nil {
		refusal := oidc.ErrInvalidClient().WithParent(err).WithDescription("client authentication failed")
		return nil, op.NewStatusError(refusal, http.StatusUnauthorized)
	}
	return c, nil
}

// verifyAssertion authenticates a client by its assertion, which it or a foreign issuer signed.
func (s *server) verifyAssertion(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	verifier := op.NewJWTProfileVerifier(s.storage, op.IssuerFromContext(ctx), maxAssertionAge, clockSkew,
		op.SubjectCheck(s.storage.checkAssertion))
	assertion, err := op.VerifyJWTAssertion(ctx, r.Data.ClientAssertion, verifier)
	if err != nil {
		return nil, err
	}
	c, err := s.storage.clientByAssertion(assertion.Issuer, assertion.Subject)
	if err != nil {
		return nil, err
	}
	// The parameter is optional beside an assertion, but must not contradict it: RFC 7521, section 4.2.
	if r.Data.ClientID != "" && r.Data.ClientID != c.ID {
		return nil, fmt.Errorf("the assertion is of %q, not of %q", c.ID, r.Data.ClientID)
	}
	return opClient{c}, nil
}
