package liveconfig

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// ExchangeFiles are where the sidecar's own credentials for the identity provider lie.
func (o *Options) ExchangeFiles() tokenexchange.Files {
	return tokenexchange.Files{Credential: o.ExchangeCredential, Actor: o.ServiceAccountToken}
}

// checkExchangeCredential refuses an auth-config whose exchange could never work here.
func (o *Options) checkExchangeCredential(config *authconfig.Config) error {
	if config.Identity.Source != authconfig.SourceBearer || config.Identity.OIDC.Exchange == nil {
		return nil
	}
	return tokenexchange.CheckFiles(config.Identity.OIDC.Exchange, o.ExchangeFiles())
}

// Credentials is what a request with this auth-config gets its credentials from.
func (s *Snapshot) Credentials() credentials.Source { return source{s} }

// source implements credentials.Source.
type source struct{ snap *Snapshot }

// Exchange implements credentials.Exchanger with the roots of the auth-config.
func (s source) Exchange(
	ctx context.Context,
	token string,
	session *credentials.RoleSession,
) (aws.Credentials, error) {
	return s.snap.sts.Exchange(ctx, token, session)
}

// WebIdentityToken implements credentials.Tokens: the token that the caller's is
// exchanged for, else the caller's own, if AWS would see an audience in it that IAM is
// set up for.
func (s source) WebIdentityToken(
	ctx context.Context,
	caller *identity.Caller,
) (credentials.WebIdentityToken, error) {
	if s.snap.Exchange != nil {
		token, err := s.snap.Exchange.Exchange(ctx, caller)
		if err != nil {
			return nil, err
		}
		return token, nil
	}
	if caller.Workload == nil {
		wanted := s.snap.Config.Identity.OIDC.AWSAudiences()
		if err := identity.CheckAWSAudience(caller.WithClaims().Claims, wanted); err != nil {
			return nil, credentials.ForAudience(err)
		}
	}
	return caller.Token, nil
}

// TokenRefused implements credentials.Tokens: a token that was exchanged may be exchanged
// once more, since keys rotate; for the caller's own there is no other.
func (s source) TokenRefused(caller *identity.Caller, token credentials.WebIdentityToken) bool {
	exchanged, ok := token.(*tokenexchange.Token)
	if ok && s.snap.Exchange != nil {
		s.snap.Exchange.Drop(caller, exchanged)
	}
	return ok
}
