// Package compile turns the files of an auth-config into everything that a
// request needs of it, compiled once. The webhook, `webhook validate` and the
// sidecar all call it, so that they agree on what is valid.
package compile

import (
	"fmt"
	"maps"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/rolemap"
)

// Compiled is a valid auth-config with its matchers and policies compiled.
type Compiled struct {
	*authconfig.Config
	Roles      *rolemap.Mapper
	Authorizer *authorize.Authorizer
	// ParamHeaders are the arguments that headers repeat, by tool.
	ParamHeaders map[string][]mcp.ParamHeader
	// Warnings are things that are allowed and probably not meant.
	Warnings []string

	// exchange identifies how callers' tokens are exchanged; see RoleSession.
	exchange string
	// sessionPolicies by upstream and by mapping; the fallback role comes last.
	sessionPolicies [][]string
}

// Files compiles an auth-config. The error is an authconfig.Errors that names
// every fault.
func Files(files authconfig.Files, pod policy.Pod) (*Compiled, error) {
	parsed, errs := authconfig.ParseAll(files)
	if parsed == nil {
		return nil, errs.AsError()
	}
	config := &Compiled{Config: parsed, exchange: parsed.Identity.OIDC.Exchange.Digest()}
	policies, warnings, more := policy.Compile(parsed, pod)
	config.Authorizer, config.Warnings = authorize.New(policies, parsed.Upstreams), warnings
	if parsed.Authorization != nil {
		config.Authorizer.Pin(parsed.ToolsLock, parsed.Authorization.ToolDrift)
	}
	config.ParamHeaders = policy.ParamHeaders(parsed.Tools)
	errs = append(errs, more...)
	config.Roles, more = rolemap.Compile(&parsed.AWSSTS, policies.NamesGroups())
	errs = append(errs, more...)
	errs = append(errs, config.compileSessionPolicies()...)
	config.Warnings = append(config.Warnings, scopeWarnings(parsed)...)
	config.Warnings = append(config.Warnings, exchangeWarnings(parsed)...)
	if err := errs.AsError(); err != nil {
		return nil, err
	}
	return config, nil
}

// scopeWarnings tell of upstreams whose signing name is awsSts's for want of a
// better one.
func scopeWarnings(config *authconfig.Config) []string {
	var warnings []string
	for _, u := range config.Upstreams {
		if u.URL != nil && u.ScopeSource == authconfig.ScopeDefault {
			warnings = append(
				warnings,
				fmt.Sprintf(
					"upstream %q: its host says nothing of a service, so requests are signed for %q in %s, as in "+
						"awsSts; "+
						"set service and region if AWS refuses the signature",
					u.Name,
					u.Service,
					u.Region,
				),
			)
		}
	}
	return warnings
}

func (c *Compiled) compileSessionPolicies() authconfig.Errors {
	var errs authconfig.Errors
	failed := map[string]bool{}
	mappings := c.AWSSTS.RoleMappings
	for _, upstream := range c.Upstreams {
		row := make([]string, 0, len(mappings)+1)
		for i, m := range mappings {
			path := fmt.Sprintf("spec.awsSts.roleMappings[%d].sessionPolicy", i)
			text, err := credentials.SessionPolicy(upstream.Guardrail, m.SessionPolicy, m.PolicyARNs)
			if err != nil && !failed[path] {
				failed[path] = true
				errs.Addf(path, "%v", err)
			}
			row = append(row, text)
		}
		// Without a policy of its own the guardrail's is well-formed and short.
		fallback, _ := credentials.SessionPolicy(upstream.Guardrail, "", nil)
		c.sessionPolicies = append(c.sessionPolicies, append(row, fallback))
	}
	return errs
}

// RoleSession is what STS is asked for when a caller with this selection uses
// the upstream with this index.
func (c *Compiled) RoleSession(upstream int, selection rolemap.Selection) *credentials.RoleSession {
	session := &credentials.RoleSession{
		Role: selection.Role, Name: selection.SessionName, Duration: c.AWSSTS.SessionDuration, Region: c.AWSSTS.Region,
		Exchange: c.exchange,
	}
	row := c.sessionPolicies[upstream]
	if selection.Mapping == rolemap.Fallback {
		session.Policy = row[len(row)-1]
		return session
	}
	session.Policy = row[selection.Mapping]
	session.PolicyARNs = c.AWSSTS.RoleMappings[selection.Mapping].PolicyARNs
	return session
}

// NeedsActor reports whether the exchanged token must be there before a caller is
// decided on: policies, or the name of the session, ask for the actor, and the caller's
// own token does not name one.
func (c *Compiled) NeedsActor(caller *identity.Caller) bool {
	if c.Identity.Source != authconfig.SourceBearer || c.Identity.OIDC.Exchange == nil || caller.Claims["act"] != nil {
		return false
	}
	return c.Authorizer.ReadsActor() || c.Roles.NamesSessionByActor()
}

// Select finds the caller's role. The actor, which is act of the token that the
// caller's was exchanged for, may name the session; nil where the caller's own says.
func (c *Compiled) Select(caller *identity.Caller, act any) (rolemap.Selection, error) {
	if act == nil {
		return c.Roles.Select(caller.Claims)
	}
	named := maps.Clone(caller.Claims)
	named["act"] = act
	return c.Roles.SelectNamed(caller.Claims, named)
}

// Principal is the caller as policies see it; act is as in Select.
func (c *Compiled) Principal(caller *identity.Caller, act any) *policy.Principal {
	groups, tags := c.Roles.Groups(caller.Claims), c.Authorizer.TagClaims(caller.Claims)
	var principal *policy.Principal
	if w := caller.Workload; w != nil {
		principal = policy.NewWorkload(w.Namespace, w.ServiceAccount, groups, tags)
	} else {
		principal = policy.NewUser(caller.Subject, caller.Issuer, caller.Scopes, groups, tags)
	}
	if act == nil {
		act = caller.Claims["act"]
	}
	principal.SetActor(act)
	c.Authorizer.Declare(principal, caller.Claims)
	return principal
}
