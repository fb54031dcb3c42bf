package authconfig

import (
	"fmt"
	"slices"
)

func (v *validator) identity(path string, wire *wireIdentity) {
	c := Identity{
		Source: oneOf(v, path+".source", wire.Source, "", SourceBearer, SourceServiceAccount),
		OIDC:   OIDC{ClockSkew: defaultClockSkew},
	}
	if wire.Source == "" {
		v.failf(path+".source", "is required: bearer or serviceAccount")
	}
	switch {
	case wire.OIDC != nil:
		v.oidc(path+".oidc", wire.OIDC, &c.OIDC)
	case c.Source == SourceBearer:
		v.failf(path+".oidc", "is required with source bearer")
	}
	if c.Source == SourceServiceAccount && c.OIDC.Exchange != nil {
		v.failf(path+".oidc.exchange", "works with source bearer: the Pod's own token goes to AWS STS as it is")
	}
	account := wire.ServiceAccount
	if account == nil {
		account = &wireServiceAccount{}
	}
	c.ServiceAccount = ServiceAccount{
		Audience: orEmpty(account.Audience, "sts.amazonaws.com"),
		ExpirationSeconds: between(
			v,
			path+".serviceAccount.expirationSeconds",
			account.ExpirationSeconds,
			defaultTokenSeconds,
			minTokenSeconds,
			maxTokenSeconds,
		),
	}
	v.config.Identity = c
}

func (v *validator) oidc(path string, wire *wireOIDC, c *OIDC) {
	v.url(path+".issuer", wire.Issuer, false)
	if len(wire.Audience) == 0 || slices.Contains(wire.Audience, "") {
		v.failf(path+".audience", "is required: tokens for other audiences must not work here")
	}
	if wire.AudienceClaim != "" && wire.AudienceClaim != claimAudience && wire.Exchange == nil {
		v.failf(
			path+".audienceClaim",
			"%q works with an exchange only: AWS STS takes no token without aud",
			clip(wire.AudienceClaim),
		)
	}
	v.authorizedParties(path+".authorizedParties", wire.AuthorizedParties)
	if wire.ResourceURL != "" {
		v.url(path+".resourceURL", wire.ResourceURL, true)
	}
	if wire.JWKSURL != "" {
		v.url(path+".jwksURL", wire.JWKSURL, true)
	}
	v.scopes(path+".requiredScopes", wire.RequiredScopes)
	v.scopes(path+".scopes", wire.Scopes)
	scopes := wire.Scopes
	if len(scopes) == 0 {
		scopes = wire.RequiredScopes
	}
	if len(scopes) == 0 {
		// Identity providers refuse a login that asks for nothing.
		scopes = []string{"openid"}
	}
	*c = OIDC{
		Issuer: wire.Issuer, Audiences: wire.Audience, ResourceURL: wire.ResourceURL, Scopes: scopes,
		AudienceClaim:     orEmpty(wire.AudienceClaim, claimAudience),
		AuthorizedParties: wire.AuthorizedParties,
		AllowedOrigins:    v.origins(path+".allowedOrigins", wire.AllowedOrigins),
		TrustedProxies:    v.prefixes(path+".trustedProxies", wire.TrustedProxies),
		RequiredScopes:    wire.RequiredScopes, JWKSURL: wire.JWKSURL,
		ClockSkew: between(v, path+".clockSkew", wire.ClockSkew, defaultClockSkew, 0, maxClockSkew),
	}
	if wire.Exchange != nil {
		c.Exchange = v.exchange(path+".exchange", wire.Exchange, c)
	}
}

func (v *validator) scopes(path string, scopes []string) {
	for i, scope := range scopes {
		if !scopeForm.MatchString(scope) {
			v.failf(fmt.Sprintf("%s[%d]", path, i), "%q is not a scope (RFC 6749, section 3.3)", clip(scope))
		}
	}
}
