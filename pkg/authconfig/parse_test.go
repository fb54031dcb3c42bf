package authconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

const good = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - name: aws
    url: https://aws-mcp.us-east-1.api.aws/mcp
  identity:
    source: bearer
    oidc:
      issuer: https://idp.example.com/tenant
      audience: countersign
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/path/DefaultMCPRole
`

func parse(yaml string) (*authconfig.Config, error) {
	return authconfig.Parse(authconfig.Files{"auth-config.yaml": yaml})
}

func TestDefaults(t *testing.T) {
	c, err := parse(good)
	if err != nil {
		t.Fatal(err)
	}
	u := c.Upstreams[0]
	if u.Region != "us-east-1" || u.Service != "aws-mcp" || u.Guardrail != authconfig.GuardrailMCPOnly || u.Path != "/mcp" {
		t.Errorf("upstream %+v", u)
	}
	if c.AWSSTS.RoleClaim != "groups" || c.AWSSTS.SessionNameClaim != "sub" || c.AWSSTS.SessionDuration != time.Hour {
		t.Errorf("awsSts %+v", c.AWSSTS)
	}
	if c.Identity.OIDC.ClockSkew != 30*time.Second || c.Identity.ServiceAccount.Audience != "sts.amazonaws.com" {
		t.Errorf("identity %+v", c.Identity)
	}
	if c.Limits.MaxRequestBytes != 4<<20 || c.Limits.MaxConcurrentRequests != 512 || c.Limits.UpstreamHeaderTimeout != 2*time.Minute || !c.Audit.Enabled {
		t.Errorf("limits %+v", c.Limits)
	}
	if c.Authorization != nil {
		t.Error("an authorization block out of nothing")
	}
}

func TestRegionAndServiceComeFromTheHostByRule(t *testing.T) {
	for url, want := range map[string]string{
		"https://aws-mcp.eu-central-1.api.aws/mcp":                                        "eu-central-1 aws-mcp mcpOnly",
		"https://eks-mcp.ap-southeast-7.api.aws/mcp":                                      "ap-southeast-7 eks-mcp mcpOnly",
		"https://gw-1.gateway.bedrock-agentcore.us-west-2.amazonaws.com/mcp":              "us-west-2 bedrock-agentcore none",
		"https://bedrock-agentcore.us-gov-west-1.amazonaws.com/runtimes/a%2Fb":            "us-gov-west-1 bedrock-agentcore none",
		"https://bedrock-agentcore.cn-north-1.amazonaws.com.cn/mcp":                       "cn-north-1 bedrock-agentcore none",
		"https://x.bedrock-agentcore.eu-west-1.vpce.amazonaws.com/mcp":                    "eu-west-1 bedrock-agentcore none",
		"https://aws-mcp.us-west-2.example.com/mcp":                                       "us-east-1 aws-mcp none",
		"http://127.0.0.1:8080/mcp":                                                       "us-east-1 aws-mcp none",
		"https://abc123.appsync-api.eu-west-1.amazonaws.com/graphql":                      "eu-west-1 appsync none",
		"https://abc123.lambda-url.eu-west-1.on.aws/mcp":                                  "eu-west-1 lambda none",
		"https://mcp-0a1b.7d67968.vpc-lattice-svcs.ap-southeast-2.on.aws/mcp":             "ap-southeast-2 vpc-lattice-svcs none",
		"https://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/x/invocations?a=b%2F": "us-east-1 bedrock-agentcore none",
	} {
		c, err := parse(strings.Replace(good, "https://aws-mcp.us-east-1.api.aws/mcp", url, 1))
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		u := c.Upstreams[0]
		if got := u.Region + " " + u.Service + " " + string(u.Guardrail); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
		if u.URL.String() != url {
			t.Errorf("%s became %s", url, u.URL)
		}
	}
}

func TestEveryFaultIsNamedWithItsPath(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     string
	}{
		"an unknown field":                 {"    region: us-east-1\n", "    region: us-east-1\n    roleClam: x\n", `spec.awsSts.roleClam: 14:5: unknown field; did you mean "roleClaim"?`},
		"a field twice":                    {"kind: AuthConfig", "kind: AuthConfig\nkind: AuthConfig", "kind: 3:1: is set twice"},
		"another kind":                     {"kind: AuthConfig", "kind: Other", `kind: must be "AuthConfig"`},
		"a wrong type":                     {"audience: countersign", "audience: 7", "spec.identity.oidc.audience: 11:17: must be a string, not an integer"},
		"a mapping for a list":             {"upstreams:\n  - name: aws\n    url:", "upstreams:\n    name: aws\n    url:", "spec.upstreams: 5:5: must be a list, not a mapping"},
		"an anchor":                        {"audience: countersign", "audience: &a countersign", "spec.identity.oidc.audience: 11:17: YAML anchors and aliases are not supported"},
		"two documents":                    {"kind: AuthConfig", "kind: AuthConfig\n---\na: b", "auth-config.yaml:"},
		"no YAML":                          {good, "a: [", "auth-config.yaml: 1:1:"},
		"nothing":                          {good, "", "auth-config.yaml: is empty"},
		"a bad role":                       {"arn:aws:iam::123456789012:role/path/DefaultMCPRole", "arn:aws:iam::12:role/x", "spec.awsSts.fallbackRoleArn:"},
		"a user's ARN":                     {":role/path/", ":user/", "spec.awsSts.fallbackRoleArn:"},
		"no role at all":                   {"    fallbackRoleArn: arn:aws:iam::123456789012:role/path/DefaultMCPRole\n", "", "spec.awsSts: needs roleMappings or a fallbackRoleArn"},
		"no region":                        {"    region: us-east-1\n", "", "spec.awsSts.region: is required"},
		"a bad region":                     {"region: us-east-1", "region: mars", `spec.awsSts.region: "mars" is not an AWS region`},
		"a session that is too long":       {"  awsSts:\n", "  awsSts:\n    sessionDuration: 43201\n", "spec.awsSts.sessionDuration: must lie between 900 and 43200, not 43201"},
		"claim and matcher":                {"  awsSts:\n", "  awsSts:\n    roleMappings: [{claim: a, matcher: b, roleArn: 'arn:aws:iam::123456789012:role/R'}]\n", "spec.awsSts.roleMappings[0]: needs exactly one of claim and matcher"},
		"neither":                          {"  awsSts:\n", "  awsSts:\n    roleMappings: [{roleArn: 'arn:aws:iam::123456789012:role/R'}]\n", "spec.awsSts.roleMappings[0]: needs exactly one of claim and matcher"},
		"a session policy that is no JSON": {"  awsSts:\n", "  awsSts:\n    roleMappings: [{claim: a, sessionPolicy: '{\"a\":}', roleArn: 'arn:aws:iam::123456789012:role/R'}]\n", "spec.awsSts.roleMappings[0].sessionPolicy: 1:"},
		"a bad policy ARN":                 {"  awsSts:\n", "  awsSts:\n    roleMappings: [{claim: a, policyArns: [x], roleArn: 'arn:aws:iam::123456789012:role/R'}]\n", "spec.awsSts.roleMappings[0].policyArns[0]:"},
		"http to the world":                {"https://aws-mcp.us-east-1.api.aws/mcp", "http://aws-mcp.us-east-1.api.aws/mcp", "spec.upstreams[0].url: must be https"},
		"an issuer over http":              {"https://idp.example.com/tenant", "http://idp.example.com/tenant", "spec.identity.oidc.issuer: must be https"},
		"an issuer with a query":           {"https://idp.example.com/tenant", "https://idp.example.com/?a=b", "spec.identity.oidc.issuer: must not have a query"},
		"credentials in a URL":             {"https://aws-mcp", "https://user:pw@aws-mcp", "spec.upstreams[0].url: must not carry a user name"},
		"a fragment":                       {"api.aws/mcp", "api.aws/mcp#x", "spec.upstreams[0].url: must not have a fragment"},
		"dot segments":                     {"api.aws/mcp", "api.aws/a/%2e%2e/mcp", "spec.upstreams[0].url: the path has an empty or a dot segment"},
		"a bad name":                       {"name: aws", "name: AWS_1", `spec.upstreams[0].name: "AWS_1" is not a DNS label`},
		"no upstream":                      {"  upstreams:\n  - name: aws\n    url: https://aws-mcp.us-east-1.api.aws/mcp\n", "", "spec.upstreams: needs at least one entry"},
		"a name twice":                     {"  identity:", "  - {name: aws, url: 'https://b.example/mcp'}\n  identity:", `spec.upstreams[1].name: "aws" is the name of spec.upstreams[0] too`},
		"a URL twice":                      {"  identity:", "  - {name: b, url: 'https://AWS-mcp.us-east-1.api.aws:443/mcp'}\n  identity:", "spec.upstreams[1].url: host and path are those of spec.upstreams[0]"},
		"paths that could be confused":     {"  - name: aws\n    url: https://aws-mcp.us-east-1.api.aws/mcp", "  - name: aws\n    url: https://aws-mcp.us-east-1.api.aws/b/mcp\n  - {name: b, url: 'https://b.example/mcp'}", "spec.upstreams[1].url: the local path /b/mcp could mean"},
		"no source":                        {"    source: bearer\n", "", "spec.identity.source: is required"},
		"a bad source":                     {"source: bearer", "source: token", `spec.identity.source: "token" is not one of bearer, serviceAccount`},
		"an audience of nothing":           {"audience: countersign", "audience: []", "spec.identity.oidc.audience: is required"},
		"a claim for the audience":         {"audience: countersign", "audience: countersign\n      audienceClaim: client_id", "spec.identity.oidc.audienceClaim: \"client_id\" works with an exchange only"},
		"an origin with a path":            {"audience: countersign", "audience: countersign\n      allowedOrigins: ['https://a.example/x']", "spec.identity.oidc.allowedOrigins[0]:"},
		"a proxy that is no network":       {"audience: countersign", "audience: countersign\n      trustedProxies: [10.0.0.1]", "spec.identity.oidc.trustedProxies[0]:"},
		"a header of another kind":         {"  identity:", "    headers: {allow: [Authorization]}\n  identity:", "spec.upstreams[0].headers.allow[0]: \"Authorization\" is not the name of a header X-Amzn-Bedrock-AgentCore-Runtime-..."},
		"a pattern of headers":             {"  identity:", "    headers: {allow: [\"X-Amzn-Bedrock-AgentCore-Runtime-*\"]}\n  identity:", "spec.upstreams[0].headers.allow[0]: \"X-Amzn-Bedrock-AgentCore-Runtime-*\" is not the name of a header"},
		"a header with _":                  {"  identity:", "    headers: {allow: [X-Amzn-Bedrock-AgentCore-Runtime-A_B]}\n  identity:", "is not the name of a header"},
		"the header that chooses a user":   {"  identity:", "    headers: {allow: [x-amzn-bedrock-agentcore-runtime-user-id]}\n  identity:", "spec.upstreams[0].headers.allow[0]: \"x-amzn-bedrock-agentcore-runtime-user-id\" cannot be chosen"},
		"the header that names a session":  {"  identity:", "    headers: {set: {X-Amzn-Bedrock-AgentCore-Runtime-Session-Id: x}}\n  identity:", "spec.upstreams[0].headers.set.X-Amzn-Bedrock-AgentCore-Runtime-Session-Id:"},
		"a header's value with a line end": {"  identity:", "    headers: {set: {X-Amzn-Bedrock-AgentCore-Runtime-Custom-A: \"a\\nb\"}}\n  identity:", "spec.upstreams[0].headers.set.X-Amzn-Bedrock-AgentCore-Runtime-Custom-A:"},
		"meta of the protocol":             {"  identity:", "    meta: {io.modelcontextprotocol/protocolVersion: x}\n  identity:", "spec.upstreams[0].meta.io.modelcontextprotocol/protocolVersion:"},
		"meta that is a number":            {"  identity:", "    meta: {AWS_REGION: 7}\n  identity:", "spec.upstreams[0].meta.AWS_REGION: 7:24: must be a string"},
		"an unusable claim's handling":     {"  awsSts:\n", "  awsSts:\n    onUnusableClaim: ignore\n", "spec.awsSts.onUnusableClaim: \"ignore\" is not one of deny, fallback"},
		"no audience":                      {"      audience: countersign\n", "", "spec.identity.oidc.audience: is required"},
		"no oidc":                          {"    oidc:\n      issuer: https://idp.example.com/tenant\n      audience: countersign\n", "", "spec.identity.oidc: is required"},
		"too much skew":                    {"audience: countersign", "audience: countersign\n      clockSkew: 1h", "spec.identity.oidc.clockSkew: must lie between 0s and 5m0s"},
		"a duration without a unit":        {"audience: countersign", "audience: countersign\n      clockSkew: 30", "spec.identity.oidc.clockSkew: 12:18: must be a duration such as 30s, not an integer"},
		"a scope with a space":             {"audience: countersign", "audience: countersign\n      requiredScopes: ['a b']", "spec.identity.oidc.requiredScopes[0]:"},
		"authorization without a policy":   {"  identity:", "  authorization: {}\n  identity:", "spec.authorization: needs at least one *.cedar key"},
		"authorization of nothing":         {"  identity:", "  authorization:\n    # mode: enforce\n  identity:", "spec.authorization: needs at least one *.cedar key"},
		"a host with a star":               {"aws-mcp.us-east-1", "*", "spec.upstreams[0].url: \"*.api.aws\" is not a host name"},
		"a host with a trailing dot":       {"api.aws/mcp", "api.aws./mcp", "spec.upstreams[0].url:"},
		"a limit of nothing":               {"  identity:", "  limits: {maxConcurrentRequests: 0}\n  identity:", "spec.limits.maxConcurrentRequests: must lie between 1 and"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.from) {
				t.Fatalf("the example has no %q", c.from)
			}
			_, err := parse(strings.Replace(good, c.from, c.to, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAllFaultsComeAtOnce(t *testing.T) {
	_, err := authconfig.Parse(authconfig.Files{
		"auth-config.yaml": "apiVersion: v1\nkind: AuthConfig\nspec: {upstreams: [{name: A, url: ftp://x}], identity: {source: x}, awsSts: {roleMappings: [{}]}, extra: 1}\n",
		"policy.ceder":     "permit(principal, action, resource);",
		"ca.pem":           "nothing",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"apiVersion:", "spec.upstreams[0].name:", "spec.upstreams[0].url:", "spec.identity.source:", "spec.awsSts.region:",
		"spec.awsSts.roleMappings[0]:", "spec.awsSts.roleMappings[0].roleArn:", "spec.extra:", "policy.ceder: unknown key", "ca.pem: holds no PEM certificate",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %s in\n%v", want, err)
		}
	}
}

func TestRolesOfEveryPartition(t *testing.T) {
	for _, arn := range []string{
		"arn:aws:iam::123456789012:role/R", "arn:aws-cn:iam::123456789012:role/a/b/R", "arn:aws-us-gov:iam::123456789012:role/R+=,.@-_",
		"arn:aws-iso-b:iam::123456789012:role/R", "arn:aws-eusc:iam::123456789012:role/R",
	} {
		if role, err := authconfig.ParseRoleARN(arn); err != nil || role.String() != arn || role.Account() != "123456789012" {
			t.Errorf("%s: %v", arn, err)
		}
	}
	for _, arn := range []string{"", "arn:aws:iam:us-east-1:123456789012:role/R", "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/a//b", "arn:aws:sts::123456789012:assumed-role/R/s", "arn:aws:iam::123456789012:role/R\n"} {
		if _, err := authconfig.ParseRoleARN(arn); err == nil {
			t.Errorf("%q was taken", arn)
		}
	}
}

func TestReadDirTakesWhatKubeletMounts(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..2026_01_01")
	for _, err := range []error{
		os.Mkdir(data, 0o700), os.WriteFile(filepath.Join(data, "auth-config.yaml"), []byte(good), 0o600),
		os.Symlink("..2026_01_01", filepath.Join(dir, "..data")), os.Symlink("..data/auth-config.yaml", filepath.Join(dir, "auth-config.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	files, err := authconfig.ReadDir(dir)
	if err != nil || len(files) != 1 || files["auth-config.yaml"] != good {
		t.Errorf("%v, %v", files, err)
	}
	if err := os.Mkdir(filepath.Join(data, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := authconfig.ReadDir(dir); err == nil {
		t.Error("a directory among the keys was passed over")
	}
}

func FuzzAuthConfig(f *testing.F) {
	f.Add(good)
	f.Add("spec: {awsSts: {roleMappings: [{sessionPolicy: '{}'}]}}")
	f.Fuzz(func(t *testing.T, yaml string) {
		c, err := parse(yaml)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err == nil && (len(c.Upstreams) == 0 || c.Upstreams[0].URL == nil || c.AWSSTS.Region == "") {
			t.Fatalf("accepted with holes: %+v", c)
		}
	})
}
