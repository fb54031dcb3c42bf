package authconfig

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// awsDomain matches the domains under which AWS serves endpoints. The forms
// are those of the partitions' dnsSuffix and dualStackDnsSuffix.
var awsDomain = regexp.MustCompile(
	`^(?:api\.aws|on\.aws|amazonaws\.(?:com|com\.cn|eu)|api\.amazonwebservices\.com\.cn)$`,
)

// signingNames are the services whose name in host names is not the one that
// they sign with.
// https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
// https://docs.aws.amazon.com/vpc-lattice/latest/ug/sigv4-authenticated-requests.html
// https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html
var signingNames = map[string]string{
	"lambda-url": "lambda", "vpc-lattice-svcs": "vpc-lattice-svcs", "appsync-api": "appsync",
}

// regionForm matches us-east-1, us-gov-west-1, eusc-de-east-1, ...
var regionForm = regexp.MustCompile(`^[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2}$`)

// IsRegion reports whether a name has the form of AWS's Regions.
func IsRegion(name string) bool { return regionForm.MatchString(name) }

// inferScope reads region and signing service out of an AWS host name: the
// region is the label just above the AWS domain, the service the label before
// it. Both are empty when the host is not of that form.
//
//	aws-mcp.us-east-1.api.aws                                  aws-mcp
//	id.gateway.bedrock-agentcore.eu-west-1.amazonaws.com       bedrock-agentcore
//	vpce-1.bedrock-agentcore.eu-west-1.vpce.amazonaws.com      bedrock-agentcore
//	id.lambda-url.eu-west-1.on.aws                             lambda
//	name-id.7d67968.vpc-lattice-svcs.eu-west-1.on.aws          vpc-lattice-svcs
func inferScope(host string) (region, service string) {
	labels := strings.Split(strings.ToLower(host), ".")
	for i := len(labels) - 1; i >= 1; i-- {
		if !regionForm.MatchString(labels[i]) {
			continue
		}
		domain := strings.TrimPrefix(strings.Join(labels[i+1:], "."), "vpce.")
		if !awsDomain.MatchString(domain) {
			return "", ""
		}
		service = strings.TrimSuffix(labels[i-1], "-fips")
		if signs := signingNames[service]; signs != "" {
			return labels[i], signs
		}
		if domain == "on.aws" {
			// Many services have names here, for one customer's application.
			return labels[i], ""
		}
		return labels[i], service
	}
	return "", ""
}

// isManagedByAWS tells AWS's own MCP servers, which set aws:ViaAWSMCPService,
// from AgentCore gateways and runtimes.
func isManagedByAWS(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), ".api.aws")
}

// isAWSMCP tells AWS's MCP server, whose one tool for all of AWS takes a script.
func isAWSMCP(host string) bool {
	_, service := inferScope(host)
	return service == "aws-mcp" && isManagedByAWS(host)
}

// isLoopback tells hosts for which plain HTTP is accepted.
func isLoopback(u *url.URL) bool {
	host := u.Hostname()
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// HostPort is the host to connect to with the scheme's default port made
// explicit.
func (u Upstream) HostPort() string {
	port := u.URL.Port()
	if port == "" {
		port = "443"
		if u.URL.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.URL.Hostname(), port)
}

// Hosts are the upstreams' host names in lower case, each once, in their order.
func (c *Config) Hosts() []string {
	var hosts []string
	for _, u := range c.Upstreams {
		if host := strings.ToLower(u.URL.Hostname()); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// Ports are the upstreams' ports, each once, ascending.
func (c *Config) Ports() []int {
	var ports []int
	for _, u := range c.Upstreams {
		_, text, _ := net.SplitHostPort(u.HostPort())
		port, _ := strconv.Atoi(text) // validated with the URL
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}

// IsManagedByAWS reports whether the upstream is one of AWS's own MCP servers,
// which set the aws:ViaAWSMCPService condition key.
func (u Upstream) IsManagedByAWS() bool { return isManagedByAWS(u.URL.Hostname()) }
