package standin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// webIdentity is what STS learns from a token.
type webIdentity struct {
	// provider is the issuer without its scheme.
	provider string
	subject  string
	// audience is what IAM compares as <provider>:aud.
	audience       string
	tags           map[string]string
	sourceIdentity string
}

// tokenClaims are those that STS reads.
type tokenClaims struct {
	AuthorizedParty *string           `json:"azp"`
	Audience        oneOrMore[string] `json:"aud"`
	Tags            struct {
		Principal map[string]oneOrMore[string] `json:"principal_tags"`
	} `json:"https://aws.amazon.com/tags"`
	SourceIdentity string `json:"https://aws.amazon.com/source_identity"`
}

func (s *STS) verify(ctx context.Context, token string) (who *webIdentity, code, message string) {
	s.trusting.RLock()
	providers := slices.Clone(s.trusted)
	s.trusting.RUnlock()
	for n := range providers {
		who, code, message = providers[n].verify(ctx, token)
		if code == "" {
			return who, "", ""
		}
	}
	return nil, code, message
}

// verify checks a token as STS does. It compares azp with the provider's client ids
// where there is one, else aud.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
func (t *trusted) verify(ctx context.Context, token string) (who *webIdentity, code, message string) {
	ctx = oidc.ClientContext(ctx, t.client)
	provider, err := oidc.NewProvider(ctx, t.issuer)
	if err != nil {
		return nil, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"
	}
	verified, err := provider.Verifier(&oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true}).Verify(ctx, token)
	if err != nil {
		return nil, "InvalidIdentityToken", "The web identity token provided is not valid"
	}
	var claims tokenClaims
	if err := verified.Claims(&claims); err != nil {
		return nil, "InvalidIdentityToken", "The web identity token provided is not valid"
	}
	if verified.Expiry.Before(time.Now()) {
		return nil, "ExpiredTokenException", "The web identity token that was passed is expired"
	}
	seen := claims.Audience
	if claims.AuthorizedParty != nil {
		seen = oneOrMore[string]{*claims.AuthorizedParty}
	}
	known := slices.IndexFunc(seen, func(value string) bool { return slices.Contains(t.clientIDs, value) })
	if known < 0 {
		return nil, "InvalidIdentityToken", "Incorrect token audience"
	}
	_, name, _ := strings.Cut(t.issuer, "://")
	who = &webIdentity{
		provider: name, subject: verified.Subject, audience: seen[known], sourceIdentity: claims.SourceIdentity,
	}
	for key, values := range claims.Tags.Principal {
		if who.tags == nil {
			who.tags = map[string]string{}
		}
		who.tags[key] = strings.Join(values, ",")
	}
	return who, "", ""
}

// defaultTrust is for roles that no test says more of.
const defaultTrust = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity"}}`

// denied gives the action that the role's trust policy does not allow, or nothing.
func (s *STS) denied(role string, who *webIdentity) string {
	const assume = "sts:AssumeRoleWithWebIdentity"
	if s.Untrusted[role] {
		return assume
	}
	s.trusting.RLock()
	policy := s.trustPolicies[role]
	s.trusting.RUnlock()
	if policy == "" {
		policy = defaultTrust
	}
	needed := []string{assume}
	if len(who.tags) > 0 {
		needed = append(needed, "sts:TagSession")
	}
	if who.sourceIdentity != "" {
		needed = append(needed, "sts:SetSourceIdentity")
	}
	name := strings.ToLower(who.provider)
	for _, action := range needed {
		said, err := evaluate(policy, &accessRequest{
			action: action, resource: role, provider: who.provider,
			keys: map[string]string{name + ":aud": who.audience, name + ":sub": who.subject},
		})
		if err != nil || said != allowed {
			return action
		}
	}
	return ""
}
