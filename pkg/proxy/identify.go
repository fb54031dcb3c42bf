package proxy

import (
	"errors"
	"log/slog"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/rolemap"
)

// identify finds out who is calling, before anything of the body is read.
func (c *call) identify() *failure {
	metrics := c.server.options.Metrics
	caller, err := c.snap.Authenticator.Authenticate(c.r.Context(), c.r.Header)
	if err == nil {
		c.caller = caller
		if connection := ConnectionOf(c.r); connection != nil {
			connection.Verified()
		}
		metrics.Authenticated("success")
		return nil
	}
	var scope *identity.ScopeError
	var token *identity.TokenError
	switch {
	case errors.As(err, &token):
		metrics.Authenticated("token")
		return c.challenge(token, reasonToken)
	case errors.As(err, &scope):
		metrics.Authenticated("scope")
		return c.challenge(scope, reasonScope)
	}
	if errors.Is(err, identity.ErrBusy) {
		metrics.Overloaded("arriving")
		return overloaded(err.Error())
	}
	if c.r.Context().Err() == nil {
		metrics.Authenticated("unavailable")
	}
	slog.Debug("a caller's token could not be verified", "error", err)
	return unavailable("the caller's token cannot be verified now")
}

// challenge is a 401 or 403 that tells the client where to get a token.
func (c *call) challenge(err error, reason string) *failure {
	metadata := identity.MetadataURL(resourceURL(c.snap, c.r, c.r.URL.EscapedPath()))
	return unauthenticated(err, reason, metadata, c.snap.Config.Identity.OIDC.RequiredScopes)
}

// interaction is a 401 for a caller who has to log in once more, with the claims that
// the identity provider asks for; Base64, or empty.
func (c *call) interaction(claims string) *failure {
	return c.challenge(&identity.InteractionError{Claims: claims}, reasonInteraction)
}

// selectRole finds the IAM role for the caller.
func (c *call) selectRole() *failure {
	plan, err := c.snap.PlanFor(c.r.Context(), c.caller)
	if err != nil {
		return c.credentialFailure(err)
	}
	if c.plan = plan; plan.Err == nil {
		c.role.session, c.role.key = c.plan.Sessions[c.upstream.Index], c.plan.Keys[c.upstream.Index]
		return nil
	}
	message := "no IAM role is mapped to this caller"
	var name *rolemap.SessionNameError
	var claim *rolemap.UnusableClaimError
	if errors.As(c.plan.Err, &name) || errors.As(c.plan.Err, &claim) {
		message = c.plan.Err.Error()
	}
	return noRole(message)
}

// isBearer tells callers of their own from the one workload.
func (c *call) isBearer() bool {
	return c.snap.Config.Identity.Source == authconfig.SourceBearer
}
