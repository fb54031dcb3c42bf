package authconfig

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The headers of AgentCore runtimes that a config may pass on or set.
// https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-header-allowlist.html
const agentCoreHeader = "X-Amzn-Bedrock-Agentcore-Runtime-"

// reservedHeaders are never passed on nor set by a config, with the reason.
var reservedHeaders = map[string]string{
	agentCoreHeader + "User-Id": "AWS would act for whichever user it names; the caller's token says who is " +
		"calling",
	agentCoreHeader + "Session-Id": "it is set where clientSessions is true, bound to the caller",
}

func (v *validator) headers(path string, wire *wireHeaders) Headers {
	h := Headers{Allow: map[string]bool{}, Set: map[string]string{}}
	for i, name := range wire.Allow {
		if name, ok := v.header(fmt.Sprintf("%s.allow[%d]", path, i), name); ok {
			h.Allow[name] = true
		}
	}
	for _, written := range slices.Sorted(maps.Keys(wire.Set)) {
		at := path + ".set." + written
		name, ok := v.header(at, written)
		value := wire.Set[written]
		switch {
		case !ok:
		case h.Allow[name]:
			v.failf(at, "is among allow too: either clients or the config send it")
		case !isHeaderValue(value):
			v.failf(at, "must be 1 to 1024 characters of printable ASCII")
		default:
			h.Set[name] = value
		}
	}
	return h
}

// headerName is a field name without _, which some servers read as -, and without
// *, which would be taken for a pattern here (RFC 9110, section 5.1).
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'+.^`|~-]+$")

func (v *validator) header(path, written string) (string, bool) {
	name := http.CanonicalHeaderKey(written)
	switch {
	case !strings.HasPrefix(name, agentCoreHeader) || len(name) == len(agentCoreHeader) ||
		!headerName.MatchString(name):
		v.failf(path, "%q is not the name of a header X-Amzn-Bedrock-AgentCore-Runtime-...", clip(written))
	case reservedHeaders[name] != "":
		v.failf(path, "%q cannot be chosen: %s", clip(written), reservedHeaders[name])
	default:
		return name, true
	}
	return "", false
}

func isHeaderValue(value string) bool {
	return value != "" && len(value) <= 1024 && value == strings.TrimSpace(value) &&
		!strings.ContainsFunc(value, func(c rune) bool { return c < 0x20 || c > 0x7E })
}

// reservedMeta are members of _meta that say what headers say too, or that
// belong to one request.
var reservedMeta = []string{"progressToken", "traceparent", "tracestate", "baggage"}

func (v *validator) meta(path string, wire map[string]string) map[string]string {
	if len(wire) > maxListEntries {
		v.failf(path, "has more than %d members", maxListEntries)
	}
	for _, name := range slices.Sorted(maps.Keys(wire)) {
		switch {
		case name == "" || len(name) > 256:
			v.failf(path, "a name must have 1 to 256 bytes")
		case strings.HasPrefix(name, "io.modelcontextprotocol/") || slices.Contains(reservedMeta, name):
			v.failf(path+"."+name, "is the protocol's own and different in each request")
		case len(wire[name]) > 4096:
			v.failf(path+"."+name, "is longer than 4096 bytes")
		}
	}
	return wire
}

// origins accepts what browsers send: a scheme, a host and perhaps a port.
func (v *validator) origins(path string, wire []string) []string {
	if len(wire) > maxListEntries {
		v.failf(path, "has more than %d entries", maxListEntries)
	}
	for i, origin := range wire {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
			u.Scheme+"://"+strings.ToLower(u.Host) != origin {
			v.failf(
				fmt.Sprintf("%s[%d]", path, i),
				"%q is not an origin such as https://app.example.com",
				clip(origin),
			)
		}
	}
	return wire
}

func (v *validator) prefixes(path string, wire []string) []netip.Prefix {
	if len(wire) > maxListEntries {
		v.failf(path, "has more than %d entries", maxListEntries)
	}
	var prefixes []netip.Prefix
	for i, text := range wire {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			v.failf(fmt.Sprintf("%s[%d]", path, i), "%q is not a network such as 10.0.0.0/8", clip(text))
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}
