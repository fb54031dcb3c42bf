package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/countersign-io/countersign/pkg/policy"
)

// The scripts that policies are asked about.
var scripts = map[string]string{
	"reads":        `await call_boto3(service_name="s3", operation_name="ListObjectsV2", region_name="eu-west-1")`,
	"reads two":    `await call_boto3(service_name="s3", operation_name="ListBuckets")` + "\n" + `await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name="us-east-1")`,
	"writes":       `await call_boto3(service_name="ec2", operation_name="StopInstances", region_name="eu-west-1")`,
	"tags":         `await call_boto3(service_name="ec2", operation_name="CreateTags", region_name="eu-west-1")`,
	"permissions":  `await call_boto3(service_name="iam", operation_name="AttachRolePolicy")`,
	"secrets":      `await call_boto3(service_name="secretsmanager", operation_name="GetSecretValue", region_name="eu-west-1")`,
	"unknown":      `await call_boto3(service_name="s3", operation_name=input())`,
	"no call":      `1 + 1`,
	"any region":   `await call_boto3(service_name="s3", operation_name="ListObjectsV2", region_name=str(1))`,
	"unknown call": `await call_boto3(service_name="s3", operation_name="Nonesuch")`,
}

func scriptCall(code string) policy.Request {
	r := call("aws___run_script", `{"code":"x"}`)
	r.Script = awsscript.Of(code)
	return r
}

// permitWhen allows scripts for which a condition holds.
func permitWhen(condition string) string {
	return `permit(principal, action == MCP::Action::"aws___run_script", resource) when { context has aws && ` + condition + ` };`
}

const permitScripts = `permit(principal, action == MCP::Action::"aws___run_script", resource);`

// What people write, and which scripts it lets through; warnings are what validate
// says of it.
var scriptPolicies = map[string]struct {
	policies string
	allows   []string
	warning  string
}{
	"read-only without secrets":           {permitWhen(`context.aws.readOnly && !context.aws.secrets`), []string{"any region", "no call", "reads", "reads two"}, ""},
	"read-only":                           {permitWhen(`context.aws.readOnly`), []string{"any region", "no call", "reads", "reads two", "secrets"}, ""},
	"these services":                      {permitWhen(`["s3", "ec2"].containsAll(context.aws.services)`), []string{"any region", "no call", "reads", "reads two", "tags", "writes"}, ""},
	"this Region":                         {permitWhen(`["eu-west-1"].containsAll(context.aws.regions)`), []string{"no call", "reads", "secrets", "tags", "writes"}, ""},
	"this one operation":                  {permitWhen(`context.aws.calls == ["ec2:StopInstances"]`), []string{"writes"}, ""},
	"these actions":                       {permitWhen(`["s3:ListBucket"].containsAll(context.aws.actions)`), []string{"any region", "no call", "reads"}, ""},
	"complete ones":                       {permitWhen(`context.aws.complete`), []string{"any region", "no call", "permissions", "reads", "reads two", "secrets", "tags", "writes"}, ""},
	"negative: no level Write":            {permitWhen(`!context.aws.levels.contains("Write")`), []string{"any region", "no call", "reads", "reads two", "secrets"}, ""},
	"negative: none of some levels":       {permitWhen(`!context.aws.levels.containsAny(["Tagging", "PermissionsManagement"])`), []string{"any region", "no call", "reads", "reads two", "secrets", "writes"}, ""},
	"negative: not this service":          {permitWhen(`context.aws.complete && !context.aws.services.contains("iam")`), []string{"any region", "no call", "reads", "reads two", "secrets", "tags", "writes"}, ""},
	"a forbid behind complete":            {permitWhen(`context.aws.complete`) + ` forbid(principal, action, resource) when { context has aws && context.aws.services.contains("iam") };`, []string{"any region", "no call", "reads", "reads two", "secrets", "tags", "writes"}, ""},
	"a forbid that what hides walks past": {permitScripts + ` forbid(principal, action, resource) when { context has aws && context.aws.services.contains("iam") };`, []string{"any region", "no call", "reads", "reads two", "secrets", "tags", "unknown", "unknown call", "writes"}, "forbids by context.aws.services, and no policy asks context.aws.complete"},
	"incomplete ones for admins only":     {permitScripts + ` forbid(principal, action == MCP::Action::"aws___run_script", resource) when { context has aws && !context.aws.complete } unless { principal in MCP::Group::"admins" };`, []string{"any region", "no call", "permissions", "reads", "reads two", "secrets", "tags", "writes"}, ""},
	"a typo in a level":                   {permitWhen(`!context.aws.levels.contains("Writes")`), []string{"any region", "no call", "permissions", "reads", "reads two", "secrets", "tags", "unknown", "unknown call", "writes"}, `"Writes", which is compared with context.aws.levels, is no access level (List, Read, Write, Tagging, PermissionsManagement)`},
	"an operation for an action":          {permitWhen(`["s3:ListObjectsV2"].containsAll(context.aws.actions)`), []string{"no call"}, `"s3:ListObjectsV2", which is compared with context.aws.actions, is no action of IAM`},
	"an action for an operation":          {permitWhen(`["s3:ListBucket"].containsAll(context.aws.calls)`), []string{"no call"}, `"s3:ListBucket", which is compared with context.aws.calls, is no operation of AWS`},
	"an action in another case":           {permitWhen(`["s3:listbucket"].containsAll(context.aws.actions)`), []string{"no call"}, `"s3:listbucket", which is compared with context.aws.actions, is no action of IAM (s3:ListBucket is)`},
	"a prefix for a service":              {permitWhen(`["elasticloadbalancing"].containsAll(context.aws.services)`), []string{"no call"}, `"elasticloadbalancing", which is compared with context.aws.services, is no service of boto3`},
	"a wildcard":                          {permitWhen(`["s3:*"].containsAll(context.aws.actions)`), []string{"no call"}, `"s3:*" in context.aws.actions is no pattern`},
	"a wildcard for everything":           {permitWhen(`!context.aws.calls.contains("*")`), []string{"any region", "no call", "permissions", "reads", "reads two", "secrets", "tags", "writes"}, `"*" in context.aws.calls is no pattern`},
	"the reason":                          {permitWhen(`context.aws.reason == ""`), []string{"any region", "no call", "permissions", "reads", "reads two", "secrets", "tags", "writes"}, ""},
}

func TestPoliciesOnScripts(t *testing.T) {
	for name, c := range scriptPolicies {
		t.Run(name, func(t *testing.T) {
			set, warnings, errs := source{policies: c.policies}.compile()
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			var allows []string
			for script, code := range scripts {
				if set.Decide(t.Context(), scriptCall(code)).Allowed {
					allows = append(allows, script)
				}
			}
			if slices.Sort(allows); !slices.Equal(allows, c.allows) {
				t.Errorf("allows %q", allows)
			}
			all := strings.Join(warnings, "\n")
			if c.warning == "" && all != "" || !strings.Contains(all, c.warning) {
				t.Errorf("warnings %s", all)
			}
		})
	}
}

func TestToolsWithoutAScriptHaveNoContextOfAWS(t *testing.T) {
	set := source{policies: `permit(principal, action, resource) unless { context has aws };`}.must(t)
	if !set.Decide(t.Context(), call("list", `{}`)).Allowed || set.Decide(t.Context(), scriptCall("1")).Allowed {
		t.Error("context has aws is not what tells scripts")
	}
}

func TestContextOfAWSHasItsTypes(t *testing.T) {
	for _, condition := range []string{
		`context.aws.readOnly`, // without has
		`context has aws && context.aws.levels == "Read"`,
		`context has aws && context.aws.calls.contains(1)`,
		`context has aws && context.aws.complete.contains("x")`,
		`context has aws && context.aws.nonesuch`,
		`context has aws && context.aws.readOnly == context.aws`,
		`context has aws && context.aws.services like "s3"`,
		`context has aws && context.aws.reason`,
		`context has aws && context.aws.secrets.contains("secret")`,
	} {
		if _, _, errs := (source{policies: `permit(principal, action in MCP::Action::"CallTool", resource) when { ` + condition + ` };`, tools: toolsJSON}).compile(); len(errs) == 0 {
			t.Errorf("%s is valid", condition)
		}
	}
}

func TestWhichPoliciesReadAScriptsRegions(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		want     bool
	}{
		"none":                      {permitWhen(`context.aws.readOnly`), false},
		"a permit":                  {permitWhen(`["eu-west-1"].containsAll(context.aws.regions)`), true},
		"a forbid":                  {permitScripts + ` forbid(principal, action, resource) when { context has aws && context.aws.regions.contains("us-east-1") };`, true},
		"one for another principal": {permitScripts + ` permit(principal == MCP::User::"bob", action, resource) when { context has aws && context.aws.regions == ["x"] };`, false},
		"one for another tool":      {permitScripts + ` permit(principal, action == MCP::Action::"list", resource) when { context has aws && context.aws.regions == ["x"] };`, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := source{policies: c.policies}.must(t)
			if got := set.ReadsScriptRegions(scriptCall(scripts["reads"])); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestAnUnknownRegionPassesNoRuleThatExcludesOne: whether it is the one excluded
// nobody can say.
func TestAnUnknownRegionPassesNoRuleThatExcludesOne(t *testing.T) {
	exclude := ` forbid(principal, action, resource) when { context has aws && context.aws.regions.contains("us-west-2") };`
	for name, c := range map[string]struct {
		policies, script string
		want             bool
	}{
		"a forbid, and any Region":             {permitWhen(`context.aws.complete`) + exclude, "any region", false},
		"a forbid, and another Region":         {permitWhen(`context.aws.complete`) + exclude, "reads", true},
		"a permit that excludes":               {permitWhen(`!context.aws.regions.contains("us-west-2")`), "any region", false},
		"no rule on Regions":                   {permitWhen(`context.aws.complete`), "any region", true},
		"one that forbids what is not known":   {permitScripts + ` forbid(principal, action, resource) when { context has aws && context.aws.regions.contains("*") };`, "reads", true},
		"a forbid for somebody else's scripts": {permitScripts + ` forbid(principal == MCP::User::"bob", action, resource) when { context has aws && context.aws.regions.contains("us-west-2") };`, "any region", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (source{policies: c.policies}).must(t).Decide(t.Context(), scriptCall(scripts[c.script])); got.Allowed != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestNoWarningWhereThereIsNothingToMend(t *testing.T) {
	for name, policies := range map[string]string{
		"a service of requests":            permitWhen(`["aoss", "es"].containsAll(context.aws.services) && context.aws.calls.contains("aoss:GET")`),
		"an unknown Region":                permitWhen(`!context.aws.regions.contains("*")`),
		"levels, which are all there":      permitScripts + ` forbid(principal, action, resource) when { context has aws && context.aws.levels.contains("Write") };`,
		"another forbid asks for complete": permitScripts + ` forbid(principal, action, resource) when { context has aws && context.aws.services.contains("iam") }; forbid(principal, action, resource) when { context has aws && !context.aws.complete };`,
		"within a set":                     permitScripts + ` forbid(principal, action, resource) when { context has aws && !(["s3"].containsAll(context.aws.services)) };`,
	} {
		if _, warnings, errs := (source{policies: policies}).compile(); len(errs)+len(warnings) > 0 {
			t.Errorf("%s: %v %v", name, errs, warnings)
		}
	}
}
