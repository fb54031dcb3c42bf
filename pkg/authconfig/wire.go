package authconfig

import "time"

// The wire types mirror auth-config.yaml field by field. Pointers tell a field
// that was left out from one that was written with its zero value.

type wireConfig struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Spec       wireSpec `yaml:"spec"`
}

type wireSpec struct {
	Upstreams     []wireUpstream     `yaml:"upstreams"`
	Identity      wireIdentity       `yaml:"identity"`
	AWSSTS        wireAWSSTS         `yaml:"awsSts"`
	Egress        wireEgress         `yaml:"egress"`
	Authorization *wireAuthorization `yaml:"authorization"`
	Audit         wireAudit          `yaml:"audit"`
	Limits        wireLimits         `yaml:"limits"`
}

type wireEgress struct {
	DenySTS bool `yaml:"denySTS"`
}

type wireUpstream struct {
	Name      string `yaml:"name"`
	URL       string `yaml:"url"`
	Region    string `yaml:"region"`
	Service   string `yaml:"service"`
	Guardrail string `yaml:"guardrail"`

	Scripts        *[]wireScript `yaml:"scripts"`
	ScriptSessions string        `yaml:"scriptSessions"`

	ClientSessions bool              `yaml:"clientSessions"`
	Meta           map[string]string `yaml:"meta"`
	Headers        wireHeaders       `yaml:"headers"`
}

type wireScript struct {
	Tool     string `yaml:"tool"`
	Argument string `yaml:"argument"`
}

type wireHeaders struct {
	Allow []string          `yaml:"allow"`
	Set   map[string]string `yaml:"set"`
}

type wireIdentity struct {
	Source         string              `yaml:"source"`
	OIDC           *wireOIDC           `yaml:"oidc"`
	ServiceAccount *wireServiceAccount `yaml:"serviceAccount"`
}

type wireOIDC struct {
	Issuer         string         `yaml:"issuer"`
	Audience       oneOrMore      `yaml:"audience"`
	ResourceURL    string         `yaml:"resourceURL"`
	RequiredScopes []string       `yaml:"requiredScopes"`
	JWKSURL        string         `yaml:"jwksURL"`
	ClockSkew      *time.Duration `yaml:"clockSkew"`
	Scopes         []string       `yaml:"scopes"`
	AllowedOrigins []string       `yaml:"allowedOrigins"`
	TrustedProxies []string       `yaml:"trustedProxies"`
	AudienceClaim  string         `yaml:"audienceClaim"`

	AuthorizedParties []string      `yaml:"authorizedParties"`
	Exchange          *wireExchange `yaml:"exchange"`
}

type wireExchange struct {
	Grant              string             `yaml:"grant"`
	Issuer             string             `yaml:"issuer"`
	TokenEndpoint      string             `yaml:"tokenEndpoint"`
	SubjectTokenType   string             `yaml:"subjectTokenType"`
	RequestedTokenType string             `yaml:"requestedTokenType"`
	Audience           string             `yaml:"audience"`
	SendAudience       *bool              `yaml:"sendAudience"`
	AuthorizedParty    string             `yaml:"authorizedParty"`
	Resource           string             `yaml:"resource"`
	Scope              string             `yaml:"scope"`
	Parameters         map[string]string  `yaml:"parameters"`
	SubjectClaim       *string            `yaml:"subjectClaim"`
	Actor              string             `yaml:"actor"`
	Client             wireExchangeClient `yaml:"client"`
}

type wireExchangeClient struct {
	ID             string        `yaml:"id"`
	Authentication string        `yaml:"authentication"`
	Audience       string        `yaml:"audience"`
	SecretMethod   string        `yaml:"secretMethod"`
	SecretRef      wireSecretRef `yaml:"secretRef"`
}

type wireSecretRef struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

// oneOrMore is a list that may be written as a single string.
type oneOrMore []string

type wireServiceAccount struct {
	Audience          string `yaml:"audience"`
	ExpirationSeconds *int   `yaml:"expirationSeconds"`
}

type wireAWSSTS struct {
	Region           string            `yaml:"region"`
	Service          string            `yaml:"service"`
	RoleClaim        string            `yaml:"roleClaim"`
	FallbackRoleARN  string            `yaml:"fallbackRoleArn"`
	RoleMappings     []wireRoleMapping `yaml:"roleMappings"`
	SessionDuration  *int              `yaml:"sessionDuration"`
	SessionNameClaim string            `yaml:"sessionNameClaim"`
	Guardrail        string            `yaml:"guardrail"`
	OnUnusableClaim  string            `yaml:"onUnusableClaim"`
	SessionTags      bool              `yaml:"sessionTags"`
}

type wireRoleMapping struct {
	Claim         string   `yaml:"claim"`
	Matcher       string   `yaml:"matcher"`
	RoleARN       string   `yaml:"roleArn"`
	Priority      *int     `yaml:"priority"`
	SessionPolicy string   `yaml:"sessionPolicy"`
	PolicyARNs    []string `yaml:"policyArns"`
}

type wireAuthorization struct {
	Mode      string `yaml:"mode"`
	Denial    string `yaml:"denial"`
	ToolDrift string `yaml:"toolDrift"`
}

type wireAudit struct {
	Enabled          *bool `yaml:"enabled"`
	IncludeArguments bool  `yaml:"includeArguments"`
}

type wireLimits struct {
	MaxRequestBytes       *int `yaml:"maxRequestBytes"`
	MaxFilteredBytes      *int `yaml:"maxFilteredBytes"`
	MaxConcurrentRequests *int `yaml:"maxConcurrentRequests"`

	MaxConcurrentPerCaller *int `yaml:"maxConcurrentPerCaller"`
	MaxStreams             *int `yaml:"maxStreams"`
	MaxStreamsPerCaller    *int `yaml:"maxStreamsPerCaller"`
	RequestsPerSecond      *int `yaml:"requestsPerSecond"`
	MaxConnections         *int `yaml:"maxConnections"`
	MaxUpstreamRequests    *int `yaml:"maxUpstreamRequests"`

	UpstreamHeaderTimeout *time.Duration `yaml:"upstreamHeaderTimeout"`
}
