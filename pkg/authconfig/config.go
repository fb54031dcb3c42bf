package authconfig

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/countersign-io/countersign/pkg/toolslock"
)

// Config is a decoded, defaulted and validated auth-config.
type Config struct {
	Upstreams []Upstream
	Identity  Identity
	AWSSTS    AWSSTS
	// Authorization is nil when the file has no authorization block and there
	// are no policies: then every tool is allowed.
	Authorization *Authorization
	// HasAuthorizationBlock tells a block that was written from one that the
	// presence of policies implied.
	HasAuthorizationBlock bool
	Audit                 Audit
	Limits                Limits
	Egress                Egress

	// PolicyFiles are the *.cedar keys in order of their names.
	PolicyFiles []PolicyFile
	// Entities is entities.json, nil when absent.
	Entities []byte
	// Tools is tools.json, nil when absent.
	Tools []byte
	// Claims is claims.json, nil when absent.
	Claims []byte
	// ToolsLock is tools.lock, nil when absent.
	ToolsLock *toolslock.Lock
	// CA is ca.pem, nil when absent.
	CA []byte
	// Hash is the hex SHA-256 of all keys and their contents.
	Hash string
}

// PolicyFile is one *.cedar key.
type PolicyFile struct {
	Name string
	Text string
}

// Upstream is one MCP server that is hosted on AWS.
type Upstream struct {
	Name string
	// URL is where requests are forwarded to.
	URL *url.URL
	// Path is the URL's path in the encoded form that the config has.
	Path string
	// Region and Service make the scope of signatures.
	Region    string
	Service   string
	Guardrail Guardrail
	// ScopeSource says where region and service come from.
	ScopeSource ScopeSource
	// Scripts are the tools that take a script for AWS's MCP server.
	Scripts        []Script
	ScriptSessions ScriptSessions
	// ClientSessions lets clients choose session ids, as AgentCore runtimes do.
	ClientSessions bool
	// Meta is set in params._meta of every request.
	Meta map[string]string
	// Headers are AgentCore's, beside those that every request may have.
	Headers Headers
}

// ScopeSource is where an upstream's signing scope comes from.
type ScopeSource int

// The sources. ScopeDefault is awsSts, for a host that says nothing of its
// service: probably not what was meant.
const (
	ScopeWritten ScopeSource = iota
	ScopeInferred
	ScopeDefault
)

// Headers are headers of requests to an upstream, by their canonical names.
type Headers struct {
	// Allow are those that clients may send, Set those that the config sends.
	Allow map[string]bool
	Set   map[string]string
}

// Script is a tool whose argument is a script that calls AWS.
type Script struct {
	Tool     string
	Argument string
}

// ScriptSessions says which scripts get a session of their own, which can do what
// the script was read to do and nothing else.
type ScriptSessions string

// The choices.
const (
	// ScriptSessionsAuto: those that would not be allowed if they could not be read.
	ScriptSessionsAuto ScriptSessions = "auto"
	// ScriptSessionsExact: all; one that cannot be read is denied.
	ScriptSessionsExact ScriptSessions = "exact"
	// ScriptSessionsRole: none; the role's session serves.
	ScriptSessionsRole ScriptSessions = "role"
)

// Guardrail selects what STS is asked to add to every role session.
type Guardrail string

const (
	// GuardrailMCPOnly denies every action that does not come through an AWS
	// MCP server.
	GuardrailMCPOnly Guardrail = "mcpOnly"
	// GuardrailNone adds nothing.
	GuardrailNone Guardrail = "none"
)

// IdentitySource is where the caller's token comes from.
type IdentitySource string

const (
	// SourceBearer takes the token from each request's Authorization header.
	SourceBearer IdentitySource = "bearer"
	// SourceServiceAccount takes the Pod's projected service-account token.
	SourceServiceAccount IdentitySource = "serviceAccount"
)

// Identity says who is calling.
type Identity struct {
	Source         IdentitySource
	OIDC           OIDC
	ServiceAccount ServiceAccount
}

// OIDC describes the issuer of bearer tokens.
type OIDC struct {
	Issuer string
	// Audiences are those of which a token must have one, in the claim AudienceClaim.
	Audiences      []string
	AudienceClaim  string
	ResourceURL    string
	RequiredScopes []string
	// JWKSURL is empty when it is to be discovered.
	JWKSURL   string
	ClockSkew time.Duration
	// Scopes are advertised in the resource's metadata.
	Scopes []string
	// AllowedOrigins are browser clients that may call a standalone sidecar.
	AllowedOrigins []string
	// TrustedProxies are the addresses whose X-Forwarded-Proto and
	// X-Forwarded-Host are believed.
	TrustedProxies []netip.Prefix
	// AuthorizedParties are values of azp that AWS may see, beside Audiences, where
	// callers' tokens go to STS themselves.
	AuthorizedParties []string
	// Exchange is nil where callers' tokens go to STS themselves.
	Exchange *Exchange
}

// ServiceAccount describes the projected token of the serviceAccount source.
type ServiceAccount struct {
	Audience          string
	ExpirationSeconds int
}

// AWSSTS says which role a caller gets and how long a role session lasts.
type AWSSTS struct {
	Region    string
	Service   string
	RoleClaim string
	// FallbackRole is the zero RoleARN when there is none.
	FallbackRole RoleARN
	// RoleMappings are in file order; see RoleMapping.Priority.
	RoleMappings     []RoleMapping
	SessionDuration  time.Duration
	SessionNameClaim string
	Guardrail        Guardrail
	OnUnusableClaim  OnUnusableClaim
	// SessionTags: tokens carry session tags or a source identity for AWS.
	SessionTags bool
}

// OnUnusableClaim says what a role claim of a form that cannot be matched means.
type OnUnusableClaim string

// The choices.
const (
	// UnusableDenies: the caller gets no role.
	UnusableDenies OnUnusableClaim = "deny"
	// UnusableFallsBack: the claim counts as missing.
	UnusableFallsBack OnUnusableClaim = "fallback"
)

// RoleMapping gives a role to callers with a claim value or for whom a CEL
// expression holds.
type RoleMapping struct {
	// Exactly one of Claim and Matcher is set.
	Claim   string
	Matcher string
	Role    RoleARN
	// Priority orders mappings, lower first; nil comes last.
	Priority *int
	// SessionPolicy is an inline IAM policy, compacted JSON, or empty.
	SessionPolicy string
	PolicyARNs    []string
}

// Mode says what happens with a call that policies deny.
type Mode string

// The modes of authorization.
const (
	ModeEnforce Mode = "enforce"
	ModeLogOnly Mode = "logOnly"
)

// Denial is the form in which a denial reaches the client.
type Denial string

// The forms of denial.
const (
	DenialJSONRPCError  Denial = "jsonRpcError"
	DenialHTTPForbidden Denial = "httpForbidden"
)

// Authorization configures the decision.
type Authorization struct {
	Mode      Mode
	Denial    Denial
	ToolDrift ToolDrift
}

// ToolDrift says what becomes of a tool that is not as tools.lock has it.
type ToolDrift string

// What may become of it.
const (
	ToolDriftOff  ToolDrift = "off"
	ToolDriftWarn ToolDrift = "warn"
	ToolDriftDeny ToolDrift = "deny"
)

// Audit configures decision records.
type Audit struct {
	Enabled          bool
	IncludeArguments bool
}

// Egress says which of the Pod's own connections are refused.
type Egress struct {
	// DenySTS refuses those to AWS STS, in mode redirect.
	DenySTS bool
}

// Limits bound what one sidecar does at once.
type Limits struct {
	MaxRequestBytes int64
	// MaxFilteredBytes bounds one list that is held to be filtered.
	MaxFilteredBytes      int64
	MaxConcurrentRequests int
	// MaxConcurrentPerCaller is 0 where a caller may have what others do not want.
	MaxConcurrentPerCaller int
	// MaxStreams bounds GET and listen streams, MaxStreamsPerCaller those of one caller.
	MaxStreams, MaxStreamsPerCaller int
	// RequestsPerSecond of one caller; 0 for any number.
	RequestsPerSecond int
	// MaxConnections of each listener.
	MaxConnections int
	// MaxUpstreamRequests are those in flight to one upstream, 0 for what UpstreamRequests
	// says.
	MaxUpstreamRequests   int
	UpstreamHeaderTimeout time.Duration
}

// awsMCPRequests is the default for AWS's MCP server: it takes 27 connections of an
// account and Region.
const awsMCPRequests = 24

// UpstreamRequests bounds the requests in flight to an upstream; 0 for none. Streams are
// at most half of them.
func (c *Config) UpstreamRequests(u *Upstream) int {
	if c.Limits.MaxUpstreamRequests > 0 || !isAWSMCP(u.URL.Hostname()) {
		return c.Limits.MaxUpstreamRequests
	}
	return awsMCPRequests
}
