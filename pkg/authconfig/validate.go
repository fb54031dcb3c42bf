package authconfig

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of numbers; where AWS or Kubernetes set them the source is named.
const (
	// AssumeRoleWithWebIdentity, DurationSeconds.
	minSessionDuration, maxSessionDuration, defaultSessionDuration = 900, 43200, 3600
	// Kubernetes, ServiceAccountTokenProjection.
	minTokenSeconds, maxTokenSeconds, defaultTokenSeconds = 600, 86400, 3600

	minRequestBytes, maxRequestBytes, defaultRequestBytes = 1 << 10, 64 << 20, 4 << 20
	// All lists that are held at once have 16 MiB.
	minFilteredBytes, maxFilteredBytes, defaultFilteredBytes = 1 << 10, 16 << 20, 8 << 20
	maxListEntries                                           = 64
	maxConcurrent, defaultConcurrent                         = 65536, 512
	defaultStreams, streamsPerCaller                         = 2048, 64
	connectionsPerRequest                                    = 4
	maxHeaderTimeout, defaultHeaderTimeout                   = time.Hour, 120 * time.Second
	maxClockSkew, defaultClockSkew                           = 5 * time.Minute, 30 * time.Second
	maxUpstreams, maxRoleMappings                            = 32, 2048
	// AssumeRoleWithWebIdentity, PolicyArns.
	maxPolicyARNs = 10
)

const defaultService = "aws-mcp"

// MetadataPath is where RFC 9728 metadata is served; no upstream may claim it.
const MetadataPath = "/.well-known/oauth-protected-resource"

var (
	dnsLabel    = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	hostForm    = regexp.MustCompile(`^(?i)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
	serviceForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// Kubernetes, ConfigMap and Secret: IsConfigMapKey.
	secretKeyForm = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	// RFC 6749, section 3.3.
	scopeForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)
)

// validator turns wire types into a Config, with defaults, and collects what is
// wrong. A field whose YAML type was wrong already is not reported again as
// missing.
type validator struct {
	config   *Config
	errs     Errors
	badPaths map[string]bool
}

func (v *validator) run(wire *wireConfig) {
	v.constant("apiVersion", wire.APIVersion, APIVersion)
	v.constant("kind", wire.Kind, Kind)
	v.awsSTS("spec.awsSts", &wire.Spec.AWSSTS)
	v.upstreams("spec.upstreams", wire.Spec.Upstreams)
	v.identity("spec.identity", &wire.Spec.Identity)
	v.authorization("spec.authorization", wire.Spec.Authorization)
	v.config.Egress = Egress(wire.Spec.Egress)
	v.config.Audit = Audit{
		Enabled:          orDefault(wire.Spec.Audit.Enabled, true),
		IncludeArguments: wire.Spec.Audit.IncludeArguments,
	}
	v.limits("spec.limits", &wire.Spec.Limits)
}

func (v *validator) failf(path, format string, args ...any) {
	for at := path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if v.badPaths[at] {
			return
		}
	}
	v.errs.Addf(path, format, args...)
}

func (v *validator) constant(path, value, want string) {
	if value != want {
		v.failf(path, "must be %q", want)
	}
}

func orDefault[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

func orEmpty(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func oneOf[T ~string](v *validator, path, value string, fallback T, allowed ...T) T {
	if value == "" {
		return fallback
	}
	if !slices.Contains(allowed, T(value)) {
		names := make([]string, len(allowed))
		for i, a := range allowed {
			names[i] = string(a)
		}
		v.failf(path, "%q is not one of %s", clip(value), strings.Join(names, ", "))
		return fallback
	}
	return T(value)
}

func between[T int | time.Duration](v *validator, path string, value *T, fallback, least, most T) T {
	number := orDefault(value, fallback)
	if number < least || number > most {
		v.failf(path, "must lie between %v and %v, not %v", least, most, number)
		return fallback
	}
	return number
}

func (v *validator) upstreams(path string, wire []wireUpstream) {
	if len(wire) == 0 {
		v.failf(path, "needs at least one entry")
	}
	if len(wire) > maxUpstreams {
		v.failf(path, "has more than %d entries", maxUpstreams)
		return
	}
	for i := range wire {
		v.config.Upstreams = append(v.config.Upstreams, v.upstream(fmt.Sprintf("%s[%d]", path, i), &wire[i]))
	}
	v.distinct(path)
}

func (v *validator) upstream(path string, wire *wireUpstream) Upstream {
	u := Upstream{Name: wire.Name, Region: wire.Region, Service: wire.Service}
	if !dnsLabel.MatchString(wire.Name) {
		v.failf(path+".name", "%q is not a DNS label (a-z, 0-9 and -, at most 63)", clip(wire.Name))
	}
	parsed, ok := v.url(path+".url", wire.URL, true)
	if ok {
		u.URL, u.Path = parsed, parsed.EscapedPath()
		if strings.Contains(u.Path, "//") || slices.ContainsFunc(strings.Split(u.Path, "/"), isDotSegment) {
			v.failf(path+".url", "the path has an empty or a dot segment")
		}
		region, service := inferScope(parsed.Hostname())
		switch {
		case wire.Service != "":
			u.ScopeSource = ScopeWritten
		case service != "":
			u.ScopeSource = ScopeInferred
		default:
			u.ScopeSource = ScopeDefault
		}
		u.Region = orEmpty(u.Region, region)
		u.Service = orEmpty(u.Service, service)
	}
	u.Scripts = v.scripts(path+".scripts", wire.Scripts, ok && isAWSMCP(parsed.Hostname()))
	u.ScriptSessions = oneOf(
		v, path+".scriptSessions", wire.ScriptSessions,
		ScriptSessionsAuto, ScriptSessionsAuto, ScriptSessionsExact, ScriptSessionsRole,
	)
	u.ClientSessions = wire.ClientSessions
	u.Meta = v.meta(path+".meta", wire.Meta)
	u.Headers = v.headers(path+".headers", &wire.Headers)
	u.Region = orEmpty(u.Region, v.config.AWSSTS.Region)
	u.Service = orEmpty(u.Service, v.config.AWSSTS.Service)
	if wire.Region != "" && !regionForm.MatchString(wire.Region) {
		v.failf(path+".region", "%q is not an AWS region", clip(wire.Region))
	}
	if wire.Service != "" && !serviceForm.MatchString(wire.Service) {
		v.failf(path+".service", "%q is not a signing service name", clip(wire.Service))
	}
	fallback := Guardrail(orEmpty(string(v.config.AWSSTS.Guardrail), string(GuardrailNone)))
	if ok && isManagedByAWS(parsed.Hostname()) {
		fallback = GuardrailMCPOnly
	}
	u.Guardrail = oneOf(v, path+".guardrail", wire.Guardrail, fallback, GuardrailMCPOnly, GuardrailNone)
	return u
}

// maxScripts bounds the tools of one upstream that take scripts.
const maxScripts = 16

// scripts are those written, or those that AWS's MCP server is known to have.
func (v *validator) scripts(path string, wire *[]wireScript, isAWSMCP bool) []Script {
	switch {
	case wire == nil && isAWSMCP:
		return []Script{{Tool: "aws___run_script", Argument: "code"}}
	case wire == nil:
		return nil
	case len(*wire) > maxScripts:
		v.failf(path, "has more than %d entries", maxScripts)
		return nil
	}
	var scripts []Script
	for i, w := range *wire {
		at := fmt.Sprintf("%s[%d]", path, i)
		if w.Tool == "" {
			v.failf(at+".tool", "is required")
		}
		if w.Argument == "" {
			v.failf(at+".argument", "is required")
		}
		if slices.ContainsFunc(scripts, func(s Script) bool { return s.Tool == w.Tool }) {
			v.failf(at+".tool", "%q is there twice", clip(w.Tool))
		}
		scripts = append(scripts, Script(w))
	}
	return scripts
}

func isDotSegment(s string) bool {
	decoded, err := url.PathUnescape(s)
	return err == nil && (decoded == "." || decoded == "..")
}

// distinct refuses upstreams that a request could not tell apart, by name, by
// URL or by the paths under which the plain listener serves them.
func (v *validator) distinct(path string) {
	names, urls, routes := map[string]int{}, map[string]int{}, map[string]string{}
	for i, u := range v.config.Upstreams {
		at := fmt.Sprintf("%s[%d]", path, i)
		if first, taken := names[u.Name]; taken {
			v.failf(at+".name", "%q is the name of %s[%d] too", u.Name, path, first)
			continue
		}
		names[u.Name] = i
		if u.URL == nil {
			continue
		}
		key := strings.ToLower(u.HostPort()) + u.Path
		if first, taken := urls[key]; taken {
			v.failf(at+".url", "host and path are those of %s[%d]", path, first)
		}
		urls[key] = i
		for _, route := range u.ListenPaths(i == 0) {
			if other, taken := routes[route]; taken {
				v.failf(at+".url", "the local path %s could mean upstream %q or %q", route, other, u.Name)
			}
			if route == MetadataPath || strings.HasPrefix(route, MetadataPath+"/") {
				v.failf(at+".url", "the path %s is reserved for RFC 9728 metadata", MetadataPath)
			}
			routes[route] = u.Name
		}
	}
}

// ListenPaths are the paths under which the plain listener serves the
// upstream: /<name><path>, and for the first upstream its bare path too.
func (u Upstream) ListenPaths(first bool) []string {
	named := "/" + u.Name + u.Path
	if first {
		return []string{u.Path, named}
	}
	return []string{named}
}

// url accepts https, and http for loopback addresses only: everything that
// leaves the Pod is encrypted.
func (v *validator) url(path, text string, allowQuery bool) (*url.URL, bool) {
	if text == "" {
		v.failf(path, "is required")
		return nil, false
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || !isPort(u.Port()):
		v.failf(path, "%q is not an absolute URL", clip(text))
	case !isHost(u.Hostname()):
		v.failf(path, "%q is not a host name or address (a trailing dot is not accepted)", clip(u.Hostname()))
	case u.Scheme != "https" && u.Scheme != "http":
		v.failf(path, "the scheme must be https")
	case u.Scheme == "http" && !isLoopback(u):
		v.failf(path, "must be https: http is accepted only for loopback addresses")
	case u.User != nil:
		v.failf(path, "must not carry a user name or password")
	case u.Fragment != "" || strings.Contains(text, "#"):
		v.failf(path, "must not have a fragment")
	case !allowQuery && (u.RawQuery != "" || u.ForceQuery):
		v.failf(path, "must not have a query")
	default:
		if u.Path == "" && allowQuery {
			u.Path = "/"
		}
		return u, true
	}
	return nil, false
}

// isHost accepts DNS names and addresses; a name that ends in a dot would be
// another name to the rules for AWS's hosts.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && hostForm.MatchString(host)
}

// IsHostPort reports whether text is a host, perhaps with a port.
func IsHostPort(text string) bool {
	u, err := url.Parse("//" + text)
	return err == nil && u.Host == text && u.User == nil && isHost(u.Hostname()) && isPort(u.Port())
}

func isPort(port string) bool {
	number, err := strconv.Atoi(port)
	return port == "" || err == nil && number > 0 && number < 1<<16
}

func (v *validator) authorization(path string, wire *wireAuthorization) {
	v.config.HasAuthorizationBlock = wire != nil
	if wire == nil {
		if len(v.config.PolicyFiles) == 0 {
			return
		}
		wire = &wireAuthorization{}
	}
	if len(v.config.PolicyFiles) == 0 {
		v.failf(path, "needs at least one *%s key with a policy", PolicySuffix)
	}
	v.config.Authorization = &Authorization{
		Mode:   oneOf(v, path+".mode", wire.Mode, ModeEnforce, ModeEnforce, ModeLogOnly),
		Denial: oneOf(v, path+".denial", wire.Denial, DenialJSONRPCError, DenialJSONRPCError, DenialHTTPForbidden),
		ToolDrift: oneOf(
			v, path+".toolDrift", wire.ToolDrift, ToolDriftOff, ToolDriftOff, ToolDriftWarn, ToolDriftDeny,
		),
	}
	if v.config.Authorization.ToolDrift != ToolDriftOff && v.config.ToolsLock == nil {
		v.failf(path+".toolDrift", "needs the key %s; `kubectl countersign tools pin` writes it", FileToolsLock)
	}
}

func (v *validator) limits(path string, wire *wireLimits) {
	v.config.Limits = Limits{
		MaxRequestBytes: int64(
			between(
				v,
				path+".maxRequestBytes",
				wire.MaxRequestBytes,
				defaultRequestBytes,
				minRequestBytes,
				maxRequestBytes,
			),
		),
		MaxFilteredBytes: int64(
			between(
				v,
				path+".maxFilteredBytes",
				wire.MaxFilteredBytes,
				defaultFilteredBytes,
				minFilteredBytes,
				maxFilteredBytes,
			),
		),
		MaxConcurrentRequests: between(
			v,
			path+".maxConcurrentRequests",
			wire.MaxConcurrentRequests,
			defaultConcurrent,
			1,
			maxConcurrent,
		),
		MaxConcurrentPerCaller: between(
			v, path+".maxConcurrentPerCaller", wire.MaxConcurrentPerCaller, 0, 0, maxConcurrent,
		),
		MaxStreams: between(v, path+".maxStreams", wire.MaxStreams, defaultStreams, 1, maxConcurrent),
		MaxStreamsPerCaller: between(
			v, path+".maxStreamsPerCaller", wire.MaxStreamsPerCaller, streamsPerCaller, 1, maxConcurrent,
		),
		RequestsPerSecond:   between(v, path+".requestsPerSecond", wire.RequestsPerSecond, 0, 0, maxConcurrent),
		MaxConnections:      between(v, path+".maxConnections", wire.MaxConnections, 0, 0, maxConcurrent),
		MaxUpstreamRequests: between(v, path+".maxUpstreamRequests", wire.MaxUpstreamRequests, 0, 0, maxConcurrent),
		UpstreamHeaderTimeout: between(
			v,
			path+".upstreamHeaderTimeout",
			wire.UpstreamHeaderTimeout,
			defaultHeaderTimeout,
			time.Millisecond,
			maxHeaderTimeout,
		),
	}
	limits := &v.config.Limits
	if limits.MaxConnections == 0 {
		limits.MaxConnections = min(connectionsPerRequest*limits.MaxConcurrentRequests, maxConcurrent)
	}
	if v.config.Identity.Source == SourceServiceAccount {
		// One caller has them all.
		limits.MaxStreamsPerCaller = limits.MaxStreams
	}
}
