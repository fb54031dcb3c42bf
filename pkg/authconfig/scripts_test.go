package authconfig_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// withUpstream is an auth-config with an upstream at the URL that has more fields.
func withUpstream(url, more string) string {
	return strings.Replace(good, "    url: https://aws-mcp.us-east-1.api.aws/mcp\n", "    url: "+url+"\n"+more, 1)
}

func TestToolsThatTakeScripts(t *testing.T) {
	const ofAWS = "[{aws___run_script code}]"
	for name, c := range map[string]struct {
		url, more, scripts string
		sessions           authconfig.ScriptSessions
	}{
		"AWS's MCP server":                    {"https://aws-mcp.us-east-1.api.aws/mcp", "", ofAWS, authconfig.ScriptSessionsAuto},
		"in another Region":                   {"https://aws-mcp.eu-west-1.api.aws/mcp", "", ofAWS, authconfig.ScriptSessionsAuto},
		"another server of AWS":               {"https://eks-mcp.eu-west-1.api.aws/mcp", "", "[]", authconfig.ScriptSessionsAuto},
		"a host that only looks like it":      {"https://aws-mcp.us-east-1.example.com/mcp", "", "[]", authconfig.ScriptSessionsAuto},
		"none, written":                       {"https://aws-mcp.us-east-1.api.aws/mcp", "    scripts: []\n", "[]", authconfig.ScriptSessionsAuto},
		"others":                              {"https://gw.example.com/mcp", "    scripts: [{tool: a, argument: b}, {tool: c, argument: d}]\n    scriptSessions: exact\n", "[{a b} {c d}]", authconfig.ScriptSessionsExact},
		"AWS's with the session of the role":  {"https://aws-mcp.us-east-1.api.aws/mcp", "    scriptSessions: role\n", ofAWS, authconfig.ScriptSessionsRole},
		"AWS's with sessions where they help": {"https://aws-mcp.us-east-1.api.aws/mcp", "    scriptSessions: auto\n", ofAWS, authconfig.ScriptSessionsAuto},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := parse(withUpstream(c.url, c.more))
			if err != nil {
				t.Fatal(err)
			}
			u := config.Upstreams[0]
			if got := fmt.Sprint(u.Scripts); got != c.scripts || u.ScriptSessions != c.sessions {
				t.Errorf("%s, %s", got, u.ScriptSessions)
			}
		})
	}
}

func TestMistakesInScriptsAreNamed(t *testing.T) {
	many := strings.Repeat("{tool: x, argument: y}, ", 17)
	for more, want := range map[string]string{
		"    scripts: [{argument: code}]\n":                               "spec.upstreams[0].scripts[0].tool: is required",
		"    scripts: [{tool: a}]\n":                                      "spec.upstreams[0].scripts[0].argument: is required",
		"    scripts: [{tool: a, argument: b}, {tool: a, argument: c}]\n": `spec.upstreams[0].scripts[1].tool: "a" is there twice`,
		"    scripts: [{tool: a, argument: b, language: python}]\n":       "spec.upstreams[0].scripts[0].language",
		"    scripts: [" + strings.TrimSuffix(many, ", ") + "]\n":         "spec.upstreams[0].scripts: has more than 16 entries",
		"    scriptSessions: never\n":                                     "spec.upstreams[0].scriptSessions",
		"    scripts: aws___run_script\n":                                 "spec.upstreams[0].scripts",
	} {
		_, err := parse(withUpstream("https://aws-mcp.us-east-1.api.aws/mcp", more))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", more, err, want)
		}
	}
}
