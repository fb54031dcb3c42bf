// Package iam derives from an auth-config what AWS IAM must hold for it: the
// OIDC provider, and each role with its trust and permission policies. It
// writes that as JSON, as a shell script, for Terraform and for CloudFormation;
// it calls nothing.
package iam

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/credentials"
)

// Plan is what IAM must hold, by account.
type Plan struct {
	Accounts []*Account `json:"accounts"`
	// Warnings are what the policies cannot guarantee.
	Warnings []string `json:"warnings"`
}

// Account is one AWS account of the config's roles.
type Account struct {
	ID        string `json:"account"`
	Partition string `json:"partition"`
	// Provider is nil for issuers that IAM knows by itself.
	Provider *Provider `json:"provider,omitempty"`
	Roles    []*Role   `json:"roles"`
	// Commands are the lines for the AWS command line, in order.
	Commands Commands `json:"commands"`
}

// Provider is an IAM OIDC identity provider.
type Provider struct {
	ARN       string   `json:"arn"`
	URL       string   `json:"url"`
	ClientIDs []string `json:"clientIds"`
}

// Role is an IAM role of the config.
type Role struct {
	ARN  string `json:"arn"`
	Name string `json:"name"`
	Path string `json:"path"`
	// MaxSessionDuration is in seconds; IAM's least is 3600.
	MaxSessionDuration int      `json:"maxSessionDuration"`
	TrustPolicy        Document `json:"trustPolicy"`
	PermissionPolicy   Document `json:"permissionPolicy"`
	// ManagedPolicyARNs are those of the mappings' policyArns: a session can
	// use of them only what the role has.
	ManagedPolicyARNs []string `json:"managedPolicyArns"`
}

// Document is an IAM policy document.
type Document struct {
	Version   string           `json:"Version"`
	Statement []jsontext.Value `json:"Statement"`
}

// Options are what the auth-config does not say.
type Options struct {
	// Issuer of service-account tokens: the cluster's. Required with identity
	// source serviceAccount; with bearer it must be the config's, if set.
	Issuer string
	// Namespace restricts the roles' trust to its service accounts, with
	// identity source serviceAccount. Empty for a shared auth-config.
	Namespace string
	// DenyDirect adds a statement that keeps the roles from being assumed with any
	// other audience, whatever else trusts them.
	DenyDirect bool
	// TrustOnly makes a plan to compare with: of roles of which nothing is known that
	// they would need, it has the trust alone.
	TrustOnly bool
}

// minMaxSession is the least MaxSessionDuration that IAM takes (CreateRole).
const minMaxSession = 3600

// NewPlan derives the plan of a valid auth-config.
func NewPlan(config *authconfig.Config, options Options) (*Plan, error) {
	issuer, audiences, err := issuerOf(config, options.Issuer)
	if err != nil {
		return nil, err
	}
	p := &planner{
		config:    config,
		options:   options,
		issuer:    issuer,
		audiences: audiences,
		plan:      &Plan{Warnings: []string{}},
		given:     map[string]int{},
		narrowed:  map[string]int{},
	}
	p.guarded = !slices.ContainsFunc(
		config.Upstreams,
		func(u authconfig.Upstream) bool { return u.Guardrail != authconfig.GuardrailMCPOnly },
	)
	if !config.AWSSTS.FallbackRole.IsZero() {
		p.role(config.AWSSTS.FallbackRole)
		p.given[config.AWSSTS.FallbackRole.String()]++
	}
	for i := range config.AWSSTS.RoleMappings {
		if err := p.mapping(i, &config.AWSSTS.RoleMappings[i]); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.plan, nil
}

// issuerOf gives the issuer as IAM names it: without scheme, with its path.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
func issuerOf(config *authconfig.Config, flag string) (*url.URL, []string, error) {
	text, audiences := config.Identity.OIDC.Issuer, config.Identity.OIDC.AWSAudiences()
	field := "spec.identity.oidc.issuer"
	if e := config.Identity.OIDC.Exchange; e != nil {
		text, field = e.Issuer, "spec.identity.oidc.exchange.issuer"
	}
	if config.Identity.Source == authconfig.SourceServiceAccount {
		text, audiences = flag, []string{config.Identity.ServiceAccount.Audience}
		if flag == "" {
			return nil, nil, errors.New("--issuer is required with identity.source serviceAccount: the issuer that " +
				"`kubectl get --raw /.well-known/openid-configuration` tells")
		}
	} else if flag != "" && flag != text {
		return nil, nil, fmt.Errorf("--issuer %q is not %s, %q", flag, field, text)
	}
	issuer, err := url.Parse(text)
	if err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" ||
		issuer.User != nil {
		return nil, nil, fmt.Errorf("the issuer %q is not an https URL that IAM takes", text)
	}
	return issuer, audiences, nil
}

type planner struct {
	config  *authconfig.Config
	options Options
	issuer  *url.URL
	// audiences are those of the tokens that STS is given.
	audiences []string
	// given counts by which mappings, and as the fallback, a role is given; narrowed
	// by how many with a session policy.
	given, narrowed map[string]int
	// guarded is whether every upstream has the guardrail: only then may the
	// roles deny everything else.
	guarded bool
	plan    *Plan
}

func (p *planner) warnf(format string, args ...any) {
	p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf(format, args...))
}

// builtInProviders are the issuers that IAM trusts without an OIDC provider of the
// account, with the condition key that holds the audience. For Google the key aud
// is the token's azp.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
var builtInProviders = map[string]string{
	"accounts.google.com": "aud", "cognito-identity.amazonaws.com": "aud", "www.amazon.com": "app_id",
	"graph.facebook.com": "app_id",
}

// isBuiltIn reports whether IAM knows the issuer by itself.
func (p *planner) isBuiltIn() bool { return builtInProviders[p.issuerName()] != "" }

// audienceKey is the condition key that holds a token's audience.
func (p *planner) audienceKey() string {
	key := builtInProviders[p.issuerName()]
	if key == "" {
		key = "aud"
	}
	return p.issuerName() + ":" + key
}

// issuerName is the issuer without its scheme, which is how IAM's ARNs and
// condition keys spell it.
func (p *planner) issuerName() string {
	return p.issuer.Host + p.issuer.EscapedPath()
}

func (p *planner) account(role authconfig.RoleARN) *Account {
	for _, a := range p.plan.Accounts {
		if a.ID == role.Account() && a.Partition == role.Partition() {
			return a
		}
	}
	a := &Account{ID: role.Account(), Partition: role.Partition()}
	if !p.isBuiltIn() {
		a.Provider = &Provider{
			ARN: "arn:" + role.Partition() + ":iam::" + role.Account() + ":oidc-provider/" + p.issuerName(),
			URL: p.issuer.String(), ClientIDs: p.audiences,
		}
	}
	p.plan.Accounts = append(p.plan.Accounts, a)
	return a
}

// role finds the role or begins it with what every role of the config has.
func (p *planner) role(arn authconfig.RoleARN) *Role {
	account := p.account(arn)
	for _, r := range account.Roles {
		if r.ARN == arn.String() {
			return r
		}
	}
	path, name := "/", arn.Name()
	if cut := strings.LastIndex(name, "/"); cut >= 0 {
		path, name = "/"+name[:cut+1], name[cut+1:]
	}
	r := &Role{
		ARN: arn.String(), Name: name, Path: path,
		MaxSessionDuration: max(minMaxSession, int(p.config.AWSSTS.SessionDuration/time.Second)),
		TrustPolicy:        document(p.trust(account)...), PermissionPolicy: document(p.basePermissions(account)...),
		ManagedPolicyARNs: []string{},
	}
	account.Roles = append(account.Roles, r)
	return r
}

// mapping adds to its role what the mapping's session policies can let through.
func (p *planner) mapping(index int, m *authconfig.RoleMapping) error {
	r := p.role(m.Role)
	p.given[r.ARN]++
	if m.SessionPolicy != "" || len(m.PolicyARNs) > 0 {
		p.narrowed[r.ARN]++
	}
	for _, arn := range m.PolicyARNs {
		if !slices.Contains(r.ManagedPolicyARNs, arn) {
			r.ManagedPolicyARNs = append(r.ManagedPolicyARNs, arn)
		}
	}
	if m.SessionPolicy == "" {
		return nil
	}
	statements, err := statementsOf(m.SessionPolicy)
	if err != nil {
		return fmt.Errorf("spec.awsSts.roleMappings[%d].sessionPolicy: %w", index, err)
	}
	for _, s := range statements {
		if !slices.ContainsFunc(
			r.PermissionPolicy.Statement,
			func(v jsontext.Value) bool { return string(v) == string(s) },
		) {
			r.PermissionPolicy.Statement = append(r.PermissionPolicy.Statement, s)
		}
	}
	return nil
}

func statementsOf(policy string) ([]jsontext.Value, error) {
	var document struct {
		Statement jsontext.Value `json:"Statement"`
	}
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		return nil, err
	}
	list := []map[string]jsontext.Value{{}}
	target := any(&list)
	if document.Statement.Kind() == '{' {
		target = &list[0]
	}
	if err := json.Unmarshal(document.Statement, target); err != nil {
		return nil, err
	}
	statements := make([]jsontext.Value, 0, len(list))
	for _, s := range list {
		// A Deny binds the mapping's own sessions; in the role it would bind
		// those of every other mapping as well.
		if string(s["Effect"]) != `"Allow"` {
			continue
		}
		// The Sids of several policies need not differ; IAM wants them to.
		delete(s, "Sid")
		statements = append(statements, marshal(s))
	}
	return statements, nil
}

func document(statements ...jsontext.Value) Document {
	return Document{Version: "2012-10-17", Statement: statements}
}

func marshal(value any) jsontext.Value {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		panic(err) // only maps, strings and valid JSON come here
	}
	return text
}

// statement has its members in the order in which people write them.
type statement struct {
	Sid       string     `json:"Sid,omitempty"`
	Effect    string     `json:"Effect"`
	Principal any        `json:"Principal,omitempty"`
	Action    []string   `json:"Action"`
	Resource  []string   `json:"Resource,omitempty"`
	Condition conditions `json:"Condition,omitempty"`
}

// conditions are operators with their keys and the values of these: one string or
// several.
type conditions map[string]map[string]any

func oneOrSeveral(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// trust lets in whoever has a token whose audience, as AWS sees it, is one of those of
// the config.
func (p *planner) trust(account *Account) []jsontext.Value {
	conditions := conditions{"StringEquals": {p.audienceKey(): oneOrSeveral(p.audiences)}}
	if p.config.Identity.Source == authconfig.SourceServiceAccount && p.options.Namespace != "" {
		conditions["StringLike"] = map[string]any{
			p.issuerName() + ":sub": "system:serviceaccount:" + p.options.Namespace + ":*",
		}
	}
	federated := p.issuerName()
	if account.Provider != nil {
		federated = account.Provider.ARN
	}
	actions := []string{actionAssume}
	if p.config.AWSSTS.SessionTags {
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
		actions = append(actions, "sts:TagSession", "sts:SetSourceIdentity")
	}
	statements := []jsontext.Value{marshal(statement{
		Effect: "Allow", Principal: map[string]string{"Federated": federated},
		Action: actions, Condition: conditions,
	})}
	if p.options.DenyDirect {
		// Everybody: a token of another provider has no such key, and is denied too.
		statements = append(statements, marshal(statement{
			Sid: "DenyOtherAudiences", Effect: "Deny", Principal: "*", Action: []string{actionAssume},
			Condition: map[string]map[string]any{
				"StringNotEquals": {p.audienceKey(): oneOrSeveral(p.audiences)},
			},
		}))
	}
	return statements
}

const actionAssume = "sts:AssumeRoleWithWebIdentity"

// basePermissions let a caller ask who it is through an AWS MCP server, and
// reach the upstreams that check a permission of their own.
func (p *planner) basePermissions(account *Account) []jsontext.Value {
	var statements []jsontext.Value
	if slices.ContainsFunc(p.config.Upstreams, authconfig.Upstream.IsManagedByAWS) {
		statements = append(statements, marshal(statement{
			Sid: "WhoAmIThroughMCP", Effect: "Allow", Action: []string{"sts:GetCallerIdentity"},
			Resource:  []string{"*"},
			Condition: conditions{"Bool": {"aws:ViaAWSMCPService": "true"}},
		}))
	}
	for _, u := range p.config.Upstreams {
		if action, resource := agentCorePermission(&u, account); action != "" {
			invoke := marshal(statement{Effect: "Allow", Action: []string{action}, Resource: resource})
			if !slices.ContainsFunc(statements, func(v jsontext.Value) bool { return string(v) == string(invoke) }) {
				statements = append(statements, invoke)
			}
		}
	}
	return statements
}

// agentCorePermission is what an AgentCore gateway or runtime checks.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrockagentcore.html
func agentCorePermission(u *authconfig.Upstream, account *Account) (action string, resources []string) {
	host := strings.ToLower(u.URL.Hostname())
	if u.Service != "bedrock-agentcore" {
		return "", nil
	}
	if id, _, isGateway := strings.Cut(host, ".gateway.bedrock-agentcore."); isGateway {
		return "bedrock-agentcore:InvokeGateway",
			[]string{
				"arn:" + account.Partition + ":bedrock-agentcore:" + u.Region + ":" + account.ID + ":gateway/" + id,
			}
	}
	if rest, isRuntime := strings.CutPrefix(u.URL.Path, "/runtimes/"); isRuntime && strings.HasPrefix(rest, "arn:") {
		arn := strings.TrimSuffix(rest, "/invocations")
		return "bedrock-agentcore:InvokeAgentRuntime", []string{arn, arn + "/*"}
	}
	return "", nil
}

// finish appends the guardrail, which belongs at the end where readers look for
// it, and tells what the documents cannot do.
func (p *planner) finish() error {
	for _, account := range p.plan.Accounts {
		for _, r := range account.Roles {
			if p.guarded {
				r.PermissionPolicy.Statement = append(
					r.PermissionPolicy.Statement,
					jsontext.Value(credentials.DenyOutsideMCP),
				)
			}
			if len(r.PermissionPolicy.Statement) == 0 && !p.options.TrustOnly {
				return fmt.Errorf(
					"nothing is known that the role %s would need: give its mapping a sessionPolicy",
					r.ARN,
				)
			}
		}
		account.Commands = commands(account)
	}
	for _, account := range p.plan.Accounts {
		for _, r := range account.Roles {
			if p.narrowed[r.ARN] > 0 && p.narrowed[r.ARN] < p.given[r.ARN] {
				p.warnf(
					"the role %s is also given without a session policy: such callers can do all that the session "+
						"policies of its other mappings allow; use another role for them",
					r.ARN,
				)
			}
		}
	}
	if p.isBuiltIn() {
		p.warnf("IAM knows the issuer %s by itself: no OIDC provider is made", p.issuerName())
	}
	if p.issuer.Port() != "" {
		p.warnf("the issuer has a port; IAM takes no OIDC provider whose URL has one")
	}
	if !p.guarded {
		p.warnf(
			"not every upstream has guardrail mcpOnly, so the roles do not deny what comes past an AWS MCP server: " +
				"a leaked credential can be used directly",
		)
	}
	p.warnOfTrust()
	return nil
}

// warnOfTrust tells whom the trust policies let in beside the sidecar.
func (p *planner) warnOfTrust() {
	exchange := p.config.Identity.OIDC.Exchange
	switch {
	case p.config.Identity.Source == authconfig.SourceServiceAccount:
		if p.options.Namespace == "" {
			p.warnf("every service account of the cluster can get a token for audience %s and so these roles; "+
				"add a StringLike condition on %s:sub to the trust policies", p.quotedAudiences(), p.issuerName())
		}
	case exchange == nil:
		p.warnf(
			"a trust policy sees issuer and audience, not groups: whoever holds a token for audience %s can ask "+
				"STS for any of these roles without the sidecar; "+
				"give each role only what everybody with such a token may do through MCP, or add conditions on sub, "+
				"or set identity.oidc.exchange",
			p.quotedAudiences(),
		)
		if p.options.DenyDirect {
			p.warnf("--deny-direct does not stop agents: without identity.oidc.exchange their tokens have this " +
				"audience")
		}
	case exchange.AuthorizedParty == "":
		p.warnf(
			"whoever can get a token for audience %s from the identity provider, with whatever client, can ask STS "+
				"for any of these roles: let it give that audience to the sidecar's client only",
			p.quotedAudiences(),
		)
	default:
		p.warnf(
			"AWS compares azp where a token has one, else aud: tokens of the client %q open these roles, whatever "+
				"they are for; use that client for this exchange alone",
			exchange.AuthorizedParty,
		)
	}
	if p.options.DenyDirect {
		p.warnf("--deny-direct: these roles can be assumed with tokens for %s only; no other auth-config can use them",
			p.quotedAudiences())
	}
}

func (p *planner) quotedAudiences() string {
	quoted := make([]string, len(p.audiences))
	for i, audience := range p.audiences {
		quoted[i] = strconv.Quote(audience)
	}
	return strings.Join(quoted, " or ")
}
