package zitadel

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// opClient shows a client of the configuration to the op package. Most of op.Client is about logging users in, which
// these clients never do.
type opClient struct {
	*Client
}

func (c opClient) GetID() string                       { return c.ID }
func (c opClient) AuthMethod() oidc.AuthMethod         { return c.Method }
func (c opClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (c opClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeTokenExchange, oidc.GrantTypeClientCredentials}
}

func (opClient) RedirectURIs() []string               { return nil }
func (opClient) PostLogoutRedirectURIs() []string     { return nil }
func (opClient) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (opClient) ResponseTypes() []oidc.ResponseType   { return nil }
func (opClient) LoginURL(string) string               { return "" }
func (opClient) IDTokenLifetime() time.Duration       { return time.Hour }
func (opClient) DevMode() bool                        { return false }
func (opClient) IsScopeAllowed(string) bool           { return false }
func (opClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (opClient) ClockSkew() time.Duration             { return 0 }

func (opClient) RestrictAdditionalIdTokenScopes() func([]string) []string     { return sameScopes }
func (opClient) RestrictAdditionalAccessTokenScopes() func([]string) []string { return sameScopes }

func sameScopes(scopes []string) []string { return scopes }
