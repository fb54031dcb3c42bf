package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/telemetry"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// maxChallenged bounds the tokens of which it is known that their caller was told to
// log in again.
const maxChallenged = 10_000

// challenged are the digests of tokens whose callers were told to log in again since
// the identity provider does not exchange them.
type challenged struct {
	tokens  *lru.Cache[[sha256.Size]byte, struct{}]
	evicted func()
}

func newChallenged(evicted func()) challenged {
	tokens, err := lru.New[[sha256.Size]byte, struct{}](maxChallenged)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return challenged{tokens, evicted}
}

// first reports whether nobody was told so of this token before.
func (c *challenged) first(digest [sha256.Size]byte) bool {
	known, evicted := c.tokens.ContainsOrAdd(digest, struct{}{})
	if evicted {
		c.evicted()
	}
	return !known
}

// credentialFailure maps a failed exchange, with the identity provider or with STS, to
// an answer.
func (c *call) credentialFailure(err error) *failure {
	var exchange *tokenexchange.Error
	if errors.As(err, &exchange) {
		return c.exchangeFailure(exchange)
	}
	var failed *credentials.Error
	kind := credentials.KindUnavailable
	if errors.As(err, &failed) {
		kind = failed.Kind
	}
	switch {
	case kind == credentials.KindAccessDenied:
		return deniedBySTS()
	case kind == credentials.KindPolicyTooLarge && c.role.session.Narrowed:
		c.server.options.Metrics.ScriptSession(c.upstream.Name, telemetry.ScriptSessionPacked)
		return c.scriptTooLarge(fmt.Sprintf(
			"STS packs the session policy of the script's %d IAM actions into more than it takes",
			len(c.script.effects.Actions)))
	}
	if !c.isBearer() {
		return unavailable("AWS credentials are unavailable right now")
	}
	switch kind {
	case credentials.KindInvalidToken:
		return c.challenge(errTokenRefused, reasonSTSToken)
	case credentials.KindUnavailable:
		return unavailable("AWS credentials are unavailable right now")
	case credentials.KindIdentityProvider:
		slog.Error(
			"AWS STS does not trust the identity provider's token: compare the IAM OIDC provider, its audiences "+
				"and the role's trust policy with what `webhook iam` writes",
			"role",
			c.plan.Role,
			"issuer",
			c.caller.Issuer,
			"error",
			err,
		)
		return misconfiguredProvider()
	}
	return internalError("AWS credentials are unavailable")
}

// exchangeFailure is the answer where the identity provider gives no token for STS. The
// identity provider's own words are not among it.
func (c *call) exchangeFailure(failed *tokenexchange.Error) *failure {
	switch failed.Kind {
	case tokenexchange.KindInvalidGrant:
		if c.server.challenged.first(c.caller.Token.Digest()) {
			return c.challenge(errNotExchanged, reasonExchangeToken)
		}
		return deniedExchange("the identity provider does not exchange this token")
	case tokenexchange.KindInteraction:
		return c.interaction(failed.Claims)
	case tokenexchange.KindAccessDenied:
		return deniedExchange("the identity provider gives this caller no token for AWS")
	case tokenexchange.KindMisconfigured:
		slog.Error("the exchange in front of STS is not set up: compare identity.oidc.exchange and the client at the "+
			"identity provider", "issuer", c.snap.Config.Identity.OIDC.Exchange.Issuer, "error", failed)
		return misconfiguredExchange()
	}
	f := unavailable("the identity provider cannot exchange the token right now")
	f.retryAfter = max(f.retryAfter, failed.RetryAfter)
	return f
}
