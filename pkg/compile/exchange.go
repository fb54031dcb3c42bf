package compile

import (
	"strings"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// WithoutExchange says what follows where callers' own tokens go to AWS STS.
const WithoutExchange = "identity.oidc.exchange is not set: AWS STS takes the very tokens that agents hold, so an " +
	"agent can assume these roles without the sidecar, past every policy and session policy"

// WithoutSecret says what follows where no Secret is named for an exchange that needs
// one.
const WithoutSecret = "identity.oidc.exchange.client.secretRef is not set: no Pod can be injected with this auth-config; " +
	"a sidecar that is run otherwise has --exchange-credential"

// exchangeWarnings tell what an exchange leaves open, or its absence.
func exchangeWarnings(config *authconfig.Config) []string {
	if config.Identity.Source != authconfig.SourceBearer {
		return nil
	}
	var warnings []string
	oidc := &config.Identity.OIDC
	e := oidc.Exchange
	if e == nil {
		return append(warnings, WithoutExchange)
	}
	if e.SubjectClaim == "" {
		warnings = append(warnings, "identity.oidc.exchange.subjectClaim is empty: nothing shows that the exchanged "+
			"token is about the caller")
	}
	if len(oidc.AuthorizedParties) > 0 {
		warnings = append(warnings, "identity.oidc.authorizedParties is not used with an exchange: exchange."+
			"authorizedParty is what AWS may see")
	}
	if e.Issuer == oidc.Issuer && e.AuthorizedParty == "" {
		warnings = append(warnings, "identity.oidc.exchange has no authorizedParty, and no client.id in its place: whoever can get a token for "+
			"audience "+strings.TrimSpace(e.Audience)+" from this issuer, with whatever client, opens AWS STS")
	}
	return warnings
}
