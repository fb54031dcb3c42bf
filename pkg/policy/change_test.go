package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
)

func setOf(t *testing.T, policies string) *policy.Set {
	t.Helper()
	config, err := authconfig.Parse(authconfig.Files{"auth-config.yaml": `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: aud}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
`, "p.cedar": policies})
	if err != nil {
		t.Fatal(err)
	}
	set, _, errs := policy.Compile(config, policy.Pod{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return set
}

func TestTheSmallestChangesThatWouldAllowACall(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		want     []string
	}{
		"nothing permits it": {`permit (principal, action == MCP::Action::"other", resource);`,
			[]string{`add  permit ( principal == MCP::User::"bob", action == MCP::Action::"read", resource in MCP::Server::"aws" );`, `relax action == MCP::Action::"other"`}},
		"a group fits not": {`@id("g") permit (principal in MCP::Group::"readers", action == MCP::Action::"read", resource);`,
			[]string{"add", `relax principal in MCP::Group::"readers"`}},
		"a condition fits not": {`permit (principal, action == MCP::Action::"read", resource) when { context.input has b && context.input.b == 2 };`,
			[]string{"add", `relax when {`}},
		"an exception holds": {`permit (principal, action == MCP::Action::"read", resource) unless { principal.sub == "bob" };`,
			[]string{"add", `relax unless {`}},
		"two parts fit not: no one relaxation helps": {`permit (principal in MCP::Group::"readers", action == MCP::Action::"read", resource) when { context.role == "x" };`,
			[]string{"add"}},
		"a forbid stands in the way": {`permit (principal, action, resource); @id("f") forbid (principal, action == MCP::Action::"read", resource);`,
			[]string{`exempt unless { principal == MCP::User::"bob" && action == MCP::Action::"read" && resource in MCP::Server::"aws" }`}},
		"two forbids stand in the way": {`permit (principal, action, resource); forbid (principal, action == MCP::Action::"read", resource); forbid (principal == MCP::User::"bob", action, resource);`,
			[]string{"exempt+", "exempt+"}},
		"a forbid, and nothing permits it": {`forbid (principal, action == MCP::Action::"read", resource);`,
			[]string{"exempt+ unless", "add"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := setOf(t, c.policies)
			request := policy.Request{
				Principal: policy.NewUser("bob", "https://idp.example.com", nil, nil, nil), Server: "aws", Host: "aws-mcp.us-east-1.api.aws",
				Action: policy.CallTool, Name: "read", Arguments: jsontext.Value(`{"b":1}`), Now: time.Now(),
			}
			var got []string
			changes := set.Changes(t.Context(), request)
			for _, change := range changes {
				mark := ""
				if change.WithAnother {
					mark = "+"
				}
				got = append(got, fmt.Sprintf("%s%s %s", change.Kind, mark, strings.Join(strings.Fields(change.Text), " ")))
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d changes: %q", len(got), got)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], strings.Replace(want, "  ", " ", 1)) {
					t.Errorf("got %s, want %s", got[i], want)
				}
			}
			// What is to be added is a policy that the auth-config takes, and allows the call.
			for _, change := range changes {
				if change.Kind == policy.ChangeAdd && !strings.Contains(c.policies, "forbid") {
					if decision := setOf(t, c.policies+"\n"+change.Text).Decide(t.Context(), request); !decision.Allowed {
						t.Errorf("with %s it is denied all the same", change.Text)
					}
				}
			}
		})
	}
}

func TestWhatIsAllowedNeedsNoChange(t *testing.T) {
	set := setOf(t, `permit (principal, action, resource);`)
	request := policy.Request{Principal: policy.NewUser("bob", "i", nil, nil, nil), Server: "aws", Action: policy.CallTool, Name: "read", Now: time.Now()}
	if changes := set.Changes(t.Context(), request); changes != nil {
		t.Errorf("%v", changes)
	}
	request.Name = "CallTool" // reserved: no policy allows it
	if changes := set.Changes(t.Context(), request); changes != nil {
		t.Errorf("%v", changes)
	}
}
