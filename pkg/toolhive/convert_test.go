package toolhive_test

import (
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/toolhive"
)

// The sample of ToolHive's documentation, with values in place of its placeholders.
// https://docs.stacklok.com/toolhive/integrations/aws-sts
const sample = `apiVersion: toolhive.stacklok.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: aws-mcp-sts-auth, namespace: toolhive-system}
spec:
  type: awsSts
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/DefaultMCPRole
    roleMappings:
    - {claim: s3-readers, roleArn: "arn:aws:iam::123456789012:role/S3ReadOnlyMCPRole", priority: 10}
    - {matcher: '"admins" in claims["groups"] && claims["org"] == "engineering"', roleArn: "arn:aws:iam::123456789012:role/Admin", priority: 1}
---
apiVersion: toolhive.stacklok.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: aws-mcp-proxy, namespace: toolhive-system}
spec:
  remoteURL: https://aws-mcp.us-east-1.api.aws/mcp
  externalAuthConfigRef: {name: aws-mcp-sts-auth}
  oidcConfig:
    type: inline
    inline: {issuer: "https://idp.example.com", audience: countersign, clientId: toolhive}
  proxyPort: 8080
  transport: streamable-http
  audit: {enabled: true}
  resources: {limits: {cpu: 500m, memory: 512Mi}}
`

// newer is the same in v1beta1.
const newer = `---
apiVersion: toolhive.stacklok.dev/v1beta1
kind: MCPOIDCConfig
metadata: {name: idp, namespace: toolhive-system}
spec: {type: inline, inline: {issuer: "https://idp.example.com", caBundleRef: {configMapRef: {name: ca}}}}
---
apiVersion: toolhive.stacklok.dev/v1beta1
kind: MCPRemoteProxy
metadata: {name: newer, namespace: toolhive-system}
spec:
  remoteUrl: https://aws-mcp.eu-west-1.api.aws/mcp
  externalAuthConfigRef: {name: aws-mcp-sts-auth}
  oidcConfigRef: {name: idp, audience: countersign, resourceUrl: "https://mcp.example.com/mcp"}
`

func convert(t *testing.T, manifests string) ([]*toolhive.Converted, error) {
	t.Helper()
	resources, err := toolhive.Read(strings.NewReader(manifests))
	if err != nil {
		t.Fatal(err)
	}
	return resources.Convert()
}

func TestTheDocumentedSampleBecomesAnAuthConfig(t *testing.T) {
	converted, err := convert(t, sample+newer)
	if err != nil || len(converted) != 2 {
		t.Fatalf("%d, %v", len(converted), err)
	}
	config, err := configmap.Compile(converted[0].ConfigMap)
	if err != nil {
		t.Fatal(err)
	}
	if config.Upstreams[0].URL.String() != "https://aws-mcp.us-east-1.api.aws/mcp" || config.Upstreams[0].Service != "aws-mcp" {
		t.Errorf("%+v", config.Upstreams[0])
	}
	if config.Identity.OIDC.Issuer != "https://idp.example.com" || len(config.AWSSTS.RoleMappings) != 2 || config.AWSSTS.FallbackRole.String() == "" {
		t.Errorf("%+v %+v", config.Identity, config.AWSSTS)
	}
	left := strings.Join(converted[0].Left, "\n")
	for _, want := range []string{"clientId: it is not needed", "spec.resources: set the annotations", "onUnusableClaim", "there are no policies", "countersign.io/auth-config: aws-mcp-proxy"} {
		if !strings.Contains(left, want) {
			t.Errorf("it does not tell %q:\n%s", want, left)
		}
	}
	if config, err := configmap.Compile(converted[1].ConfigMap); err != nil || config.Identity.OIDC.ResourceURL != "https://mcp.example.com/mcp" {
		t.Errorf("v1beta1: %v", err)
	}
	if left := strings.Join(converted[1].Left, "\n"); !strings.Contains(left, "caBundleRef: put the certificates into the key ca.pem") {
		t.Errorf("v1beta1: %s", left)
	}
}

func withPolicies(policies ...string) string {
	var b strings.Builder
	b.WriteString(sample + "  authzConfig:\n    type: inline\n    inline:\n      policies:\n")
	for _, policy := range policies {
		b.WriteString("      - |\n        " + strings.ReplaceAll(policy, "\n", "\n        ") + "\n")
	}
	return b.String()
}

func TestPoliciesAreCarriedOver(t *testing.T) {
	for name, c := range map[string]struct{ theirs, ours string }{
		"a tool by its name":           {`permit(principal, action == Action::"call_tool", resource == Tool::"weather");`, `permit ( principal, action == MCP::Action::"weather", resource in MCP::Server::"aws" );`},
		"every tool of a caller":       {`permit(principal == Client::"user123", action == Action::"call_tool", resource);`, `permit ( principal == MCP::User::"user123", action in [MCP::Action::"CallTool"], resource );`},
		"a prompt":                     {`permit(principal, action == Action::"get_prompt", resource == Prompt::"greeting");`, `permit ( principal, action in [MCP::Action::"GetPrompt"], resource == MCP::Prompt::"greeting" );`},
		"a group":                      {`permit(principal in THVGroup::"engineering", action == Action::"call_tool", resource);`, `permit ( principal in MCP::Group::"engineering", action in [MCP::Action::"CallTool"], resource );`},
		"a claim that is a list":       {`permit(principal, action == Action::"call_tool", resource) when { principal.claim_roles.contains("admin") };`, `when { principal.hasTag("roles") && principal.getTag("roles").contains("admin") };`},
		"a claim that is a text":       {`permit(principal, action == Action::"call_tool", resource == Tool::"weather") when { context.claim_name == "John Doe" };`, `when { principal.hasTag("name") && principal.getTag("name") == ["John Doe"] };`},
		"arguments":                    {`permit(principal, action == Action::"call_tool", resource == Tool::"calculator") when { resource.arg_operation == "add" || resource.arg_operation == "subtract" };`, `when { context.input has operation && (context.input.operation == "add" || context.input.operation == "subtract") };`},
		"a hint":                       {`permit(principal, action == Action::"call_tool", resource) when { resource has readOnlyHint && resource.readOnlyHint == true };`, `when { true && resource.readOnly == true };`},
		"a URI":                        {`permit(principal, action == Action::"read_resource", resource) when { resource.uri == "file:///data/config.json" };`, `when { resource.uri == "file:///data/config.json" };`},
		"a claim that must be another": {`permit(principal, action == Action::"call_tool", resource) when { principal.claim_org != "blocked" };`, `when { principal.hasTag("org") && principal.getTag("org") != ["blocked"] };`},
		"an exception":                 {`permit(principal, action == Action::"call_tool", resource) unless { principal.claim_org == "blocked" };`, `when { principal.hasTag("org") } unless { principal.getTag("org") == ["blocked"] };`},
		"a forbid on an argument":      {`forbid(principal, action == Action::"call_tool", resource) when { context.arg_region == "us-east-1" };`, `when { if context.input has region then context.input.region == "us-east-1" else true };`},
		"a forbid that asks first":     {`forbid(principal, action == Action::"call_tool", resource) when { context has arg_region && context.arg_region == "us-east-1" };`, `when { context.input has region && context.input.region == "us-east-1" };`},
		"a forbid with an exception":   {`forbid(principal, action == Action::"call_tool", resource) unless { principal.claim_org == "ours" };`, `unless { principal.hasTag("org") && principal.getTag("org") == ["ours"] };`},
		"a forbid":                     {`forbid(principal, action == Action::"call_tool", resource == Tool::"weather");`, `forbid ( principal, action == MCP::Action::"weather"`},
	} {
		t.Run(name, func(t *testing.T) {
			converted, err := convert(t, withPolicies(c.theirs))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(strings.Fields(converted[0].ConfigMap.Data["toolhive.cedar"]), " ")
			if !strings.Contains(got, c.ours) {
				t.Errorf("got  %s\nwant %s", got, c.ours)
			}
		})
	}
}

func TestWhatCannotBeCarriedOverIsTold(t *testing.T) {
	const fine = `permit(principal, action == Action::"call_tool", resource == Tool::"weather");`
	for name, c := range map[string]struct{ theirs, left string }{
		"a permit on lists":                  {`permit(principal, action == Action::"list_tools", resource == FeatureType::"tool");`, "ToolHive never evaluates it"},
		"a permit on a resource that is cut": {`permit(principal, action == Action::"read_resource", resource == Resource::"file____x");`, "which cannot be undone"},
		"an attribute that is not there":     {`permit(principal, action == Action::"call_tool", resource) when { principal.email == "x" };`, "principal.email has no counterpart"},
		"a hint that has another default":    {`permit(principal, action == Action::"call_tool", resource) when { resource.openWorldHint == true };`, "declares no hint"},
		"a hint that is there":               {`permit(principal, action == Action::"call_tool", resource) when { resource has openWorldHint };`, "has no counterpart"},
		"a prompt that is named like a tool": {`permit(principal, action == Action::"get_prompt", resource == Tool::"x");`, "ToolHive never evaluates it"},
		"a tool with a built-in name":        {`permit(principal, action == Action::"call_tool", resource == Tool::"CallTool");`, "bears the name of a built-in action"},
		"two policies in one text":           {`permit(principal, action == Action::"call_tool", resource == Tool::"a"); permit(principal, action == Action::"call_tool", resource == Tool::"b");`, "write one in each"},
		"a number that is compared":          {`permit(principal, action == Action::"call_tool", resource) when { principal.claim_level > 3 };`, "declare it in claims.json"},
	} {
		t.Run(name, func(t *testing.T) {
			converted, err := convert(t, withPolicies(fine, c.theirs))
			if err != nil {
				t.Fatal(err)
			}
			if left := strings.Join(converted[0].Left, "\n"); !strings.Contains(left, "policy 2 is left out") || !strings.Contains(left, c.left) {
				t.Errorf("%s", left)
			}
			if policies := converted[0].ConfigMap.Data["toolhive.cedar"]; strings.Count(policies, "permit") != 1 {
				t.Errorf("%s", policies)
			}
		})
	}
}

func TestNothingIsMadeThatWouldAllowMore(t *testing.T) {
	for name, c := range map[string]struct{ manifests, want string }{
		"a forbid that cannot be carried over": {withPolicies(`permit(principal, action == Action::"call_tool", resource);`, `forbid(principal, action == Action::"call_tool", resource) when { resource.tool == "x" };`), "policy 2 is a forbid"},
		"a forbid behind a policy on lists":    {withPolicies(`permit(principal, action == Action::"call_tool", resource);`, `permit(principal, action == Action::"list_tools", resource); forbid(principal, action == Action::"call_tool", resource);`), "policy 2 is a forbid"},
		"authorization that is no object":      {sample + "  authzConfig: {type: configMap, configMap: {name: authz}}\n---\nkind: ConfigMap\nmetadata: {name: authz, namespace: toolhive-system}\ndata: {authz.json: '{\"type\":\"cedarv1\"}'}\n", "cannot be read"},
		"groups of another claim":              {strings.Replace(withPolicies(`permit(principal in THVGroup::"x", action == Action::"call_tool", resource);`), "type: inline\n    inline:\n      policies", "type: inline\n    groupClaimName: teams\n    inline:\n      policies", 1), `the claim "teams" there`},
		"tools with other names":               {withPolicies(`permit(principal, action == Action::"call_tool", resource);`) + "  toolConfigRef: {name: few}\n---\nkind: MCPToolConfig\nmetadata: {name: few, namespace: toolhive-system}\nspec: {toolsOverride: {a: {name: b}}}\n", "other names"},
		"no policy of several":                 {withPolicies(`permit(principal, action == Action::"list_tools", resource);`), "none of the policies can be carried over"},
		"no issuer":                            {strings.Replace(sample, "oidcConfig:", "oidc:", 1), "requests of anybody"},
		"no role":                              {strings.Replace(sample, "externalAuthConfigRef", "otherRef", 1), "externalAuthConfigRef is missing"},
		"another kind of authentication":       {strings.Replace(sample, "type: awsSts", "type: tokenExchange", 1), `type "tokenExchange" has no counterpart`},
		"policies that are elsewhere":          {sample + "  authzConfig: {type: configMap, configMap: {name: authz}}\n", `the ConfigMap "authz" is not in what was given`},
		"an external decision":                 {sample + "  authzConfigRef: {name: pdp}\n---\nkind: MCPAuthzConfig\nmetadata: {name: pdp, namespace: toolhive-system}\nspec: {type: httpv1}\n", `type "httpv1" has no counterpart`},
	} {
		t.Run(name, func(t *testing.T) {
			converted, err := convert(t, c.manifests)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(converted) != 0 {
				t.Errorf("%d converted, %v", len(converted), err)
			}
		})
	}
}

func TestPoliciesInAConfigMapAndAToolFilter(t *testing.T) {
	converted, err := convert(t, sample+`  authzConfig: {type: configMap, configMap: {name: authz}}
  toolConfigRef: {name: few}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: authz, namespace: toolhive-system}
data:
  authz.json: |
    {"version":"1.0","type":"cedarv1","cedar":{"policies":["permit(principal, action == Action::\"call_tool\", resource);"],"entities_json":"[]"}}
---
kind: MCPToolConfig
metadata: {name: few, namespace: toolhive-system}
spec: {toolsFilter: [aws___list_regions]}
`)
	if err != nil {
		t.Fatal(err)
	}
	policies := converted[0].ConfigMap.Data["toolhive.cedar"]
	if !strings.Contains(policies, `@id("tools-filter")`) || !strings.Contains(policies, `unless { action in [MCP::Action::"aws___list_regions"] }`) {
		t.Errorf("%s", policies)
	}
	text, err := converted[0].YAML()
	if err != nil || !strings.HasPrefix(string(text), "---\n# Made of MCPRemoteProxy toolhive-system/aws-mcp-proxy.\n# Look at: ") {
		t.Errorf("%v: %.200s", err, text)
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(sample + newer)
	f.Add(withPolicies(`permit(principal, action, resource);`))
	f.Fuzz(func(_ *testing.T, manifests string) {
		resources, err := toolhive.Read(strings.NewReader(manifests))
		if err != nil {
			return
		}
		converted, _ := resources.Convert()
		for _, one := range converted {
			if _, err := configmap.Compile(one.ConfigMap); err != nil {
				panic(err)
			}
		}
	})
}
