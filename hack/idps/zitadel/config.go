package zitadel

import (
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// Config is what a test chooses of its provider. As JSON it is a file of a program that
// runs one.
type Config struct {
	Issuer        string        `json:"issuer"`
	TokenLifetime time.Duration `json:"tokenLifetime"` // in nanoseconds when in JSON
	Clients       []Client      `json:"clients"`
	// OwnAudiences are those of tokens that the provider itself gives, beside its own.
	OwnAudiences []string `json:"ownAudiences"`
	// SubjectIssuers are those, beside the provider itself, whose tokens are taken as subject and actor tokens.
	SubjectIssuers []TrustedIssuer `json:"subjectIssuers"`
}

// Client is one that may exchange tokens. Which of its fields count depends on its authentication method.
type Client struct {
	ID     string          `json:"id"`
	Method oidc.AuthMethod `json:"method"`
	Secret string          `json:"secret,omitempty"` // of client_secret_basic and client_secret_post
	// Assertion says which assertions authenticate a client of the method private_key_jwt.
	Assertion *AssertionIdentity `json:"assertion,omitempty"`
	// Audiences are those the client may ask tokens for.
	Audiences []string `json:"audiences"`
}

// AssertionIdentity is who signs a client's assertions and whom they are about. RFC 7523 has both be the client
// itself, which is what an empty issuer and subject mean. A client that a foreign issuer vouches for, such as a
// Kubernetes cluster for one of its service accounts, has both.
type AssertionIdentity struct {
	Issuer  string             `json:"issuer,omitempty"`
	Subject string             `json:"subject,omitempty"`
	Keys    jose.JSONWebKeySet `json:"keys"`
}

// TrustedIssuer is an issuer and the keys it signs with. It is not discovered, so it need not be reachable.
type TrustedIssuer struct {
	Issuer string             `json:"issuer"`
	Keys   jose.JSONWebKeySet `json:"keys"`
}

// asserted is the iss and the sub of the client's assertions.
func (c *Client) asserted() (issuer, subject string) {
	if c.Assertion == nil || c.Assertion.Issuer == "" {
		return c.ID, c.ID
	}
	return c.Assertion.Issuer, c.Assertion.Subject
}
