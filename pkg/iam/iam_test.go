package iam_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/iam"
)

var update = flag.Bool("update", false, "write the golden files anew")

func plan(t *testing.T, name string, options iam.Options) *iam.Plan {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := authconfig.Parse(authconfig.Files{authconfig.FileConfig: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := iam.NewPlan(config, options)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var cases = map[string]iam.Options{
	"people":    {},
	"exchanged": {DenyDirect: true},
	"workload":  {Issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", Namespace: "reports"},
}

func TestGolden(t *testing.T) {
	for name, options := range cases {
		p := plan(t, name, options)
		for ending, write := range map[string]func(*bytes.Buffer) error{
			"json":                func(b *bytes.Buffer) error { return p.WriteJSON(b) },
			"sh":                  func(b *bytes.Buffer) error { return p.WriteShell(b) },
			"tf":                  func(b *bytes.Buffer) error { return p.WriteTerraform(b) },
			"cloudformation.json": func(b *bytes.Buffer) error { return p.WriteCloudFormation(b) },
		} {
			t.Run(name+"."+ending, func(t *testing.T) {
				var got bytes.Buffer
				if err := write(&got); err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", name+"."+ending)
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatalf("no golden file; go test ./pkg/iam -update writes it: %v", err)
				}
				if got.String() != string(want) {
					t.Errorf("differs from %s:\n%s", golden, got.String())
				}
			})
		}
	}
}

// document is what a reviewer reads in a policy.
type document struct {
	Statement []struct {
		Effect    string
		Action    any
		Principal map[string]string
		Condition map[string]map[string]string
	}
}

func read(t *testing.T, policy iam.Document) document {
	t.Helper()
	text, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRoleTrustsTheIssuerForTheAudienceOnly(t *testing.T) {
	for name, test := range map[string]struct {
		key, audience, subjects string
	}{
		"people":   {"idp.example.com/realms/it's", "countersign", ""},
		"workload": {"oidc.eks.eu-west-1.amazonaws.com/id/ABC", "sts.amazonaws.com", "system:serviceaccount:reports:*"},
	} {
		for _, account := range plan(t, name, cases[name]).Accounts {
			if want := "arn:aws:iam::" + account.ID + ":oidc-provider/" + test.key; account.Provider.ARN != want {
				t.Errorf("%s: provider %s, want %s", name, account.Provider.ARN, want)
			}
			for _, role := range account.Roles {
				trust := read(t, role.TrustPolicy)
				if len(trust.Statement) != 1 || trust.Statement[0].Principal["Federated"] != account.Provider.ARN ||
					trust.Statement[0].Condition["StringEquals"][test.key+":aud"] != test.audience ||
					trust.Statement[0].Condition["StringLike"][test.key+":sub"] != test.subjects {
					t.Errorf("%s: %s trusts %+v", name, role.ARN, trust)
				}
			}
		}
	}
}

func TestTheGuardrailIsInEveryRoleUnlessAnUpstreamIsCalledDirectly(t *testing.T) {
	denies := func(role *iam.Role) bool {
		d := read(t, role.PermissionPolicy)
		last := d.Statement[len(d.Statement)-1]
		return last.Effect == "Deny" && last.Action == "*" && last.Condition["BoolIfExists"]["aws:ViaAWSMCPService"] == "false"
	}
	for name, want := range map[string]bool{"people": true, "workload": false} {
		p := plan(t, name, cases[name])
		for _, account := range p.Accounts {
			for _, role := range account.Roles {
				if denies(role) != want {
					t.Errorf("%s: %s denies outside MCP: %v", name, role.ARN, !want)
				}
			}
		}
		if warned := strings.Contains(strings.Join(p.Warnings, "\n"), "not every upstream has guardrail mcpOnly"); warned == want {
			t.Errorf("%s: warnings %q", name, p.Warnings)
		}
	}
}

func TestWhatIAMCannotTakeIsRefused(t *testing.T) {
	text, err := os.ReadFile("testdata/workload.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := authconfig.Parse(authconfig.Files{authconfig.FileConfig: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	for issuer, want := range map[string]string{
		"":                     "--issuer is required",
		"http://idp.internal":  "not an https URL",
		"https://idp?x=y":      "not an https URL",
		"https://u:p@idp/path": "not an https URL",
	} {
		if _, err := iam.NewPlan(config, iam.Options{Issuer: issuer}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

// fakeAWS stands for the AWS command line: it records calls, fails for what was
// not created yet, and knows one account.
const fakeAWS = `#!/bin/sh
printf '%s\n' "$*" >> "$RECORD"
case "$2" in
get-caller-identity) echo 123456789012 ;;
get-role) grep -q -- "create-role.*--role-name $4 " "$RECORD" ;;
get-open-id-connect-provider) grep -q -- create-open-id-connect-provider "$RECORD" ;;
esac
`

func TestTheScriptCreatesUpdatesAndRemoves(t *testing.T) {
	dir := t.TempDir()
	record, script := filepath.Join(dir, "record"), filepath.Join(dir, "iam.sh")
	var text bytes.Buffer
	if err := plan(t, "people", cases["people"]).WriteShell(&text); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{filepath.Join(dir, "aws"): fakeAWS, script: text.String()} {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := func(arguments ...string) []string {
		t.Helper()
		begun, _ := os.ReadFile(record)
		command := exec.CommandContext(t.Context(), "sh", append([]string{script}, arguments...)...)
		command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "RECORD="+record)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", arguments, err, output)
		}
		all, err := os.ReadFile(record)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(all[len(begun):])), "\n")
	}
	calls := func(lines []string, want string) (count int) {
		for _, line := range lines {
			if strings.HasPrefix(line, "iam "+want+" ") {
				count++
			}
		}
		return count
	}
	first := run()
	if calls(first, "create-open-id-connect-provider") != 1 || calls(first, "create-role") != 2 || calls(first, "put-role-policy") != 2 {
		t.Errorf("the first run:\n%s", strings.Join(first, "\n"))
	}
	if !strings.Contains(strings.Join(first, "\n"), "--url https://idp.example.com/realms/it's ") {
		t.Error("the quote in the issuer did not survive the shell")
	}
	second := run("create")
	if calls(second, "create-role") != 0 || calls(second, "update-assume-role-policy") != 2 || calls(second, "put-role-policy") != 2 {
		t.Errorf("the second run:\n%s", strings.Join(second, "\n"))
	}
	removed := run("remove")
	if calls(removed, "delete-role-policy") != 2 || calls(removed, "delete-role") != 2 || calls(removed, "delete-open-id-connect-provider") != 0 {
		t.Errorf("removal:\n%s", strings.Join(removed, "\n"))
	}
	if calls(run("remove-provider"), "delete-open-id-connect-provider") != 1 {
		t.Error("the provider stays")
	}
}

func TestCloudFormationKeepsAccountsApart(t *testing.T) {
	var text bytes.Buffer
	if err := plan(t, "people", cases["people"]).WriteCloudFormation(&text); err != nil {
		t.Fatal(err)
	}
	var template struct {
		Conditions map[string]any
		Resources  map[string]struct{ Condition string }
	}
	if err := json.Unmarshal(text.Bytes(), &template); err != nil {
		t.Fatal(err)
	}
	if len(template.Resources) != 5 {
		t.Errorf("%d resources", len(template.Resources))
	}
	for name, r := range template.Resources {
		if _, ok := template.Conditions[r.Condition]; !ok || !strings.HasSuffix(r.Condition, name[len(name)-12:]) {
			t.Errorf("%s has the condition %q", name, r.Condition)
		}
	}
}

func TestAMappingsDenyAndWideningDoNotGoUnnoticed(t *testing.T) {
	const text = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com:8443", audience: countersign}}
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/R
    roleMappings:
    - claim: admins
      roleArn: arn:aws:iam::123456789012:role/R
      sessionPolicy: '{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, {"Effect": "Deny", "Action": "sts:*", "Resource": "*"}]}'
`
	config, err := authconfig.Parse(authconfig.Files{authconfig.FileConfig: text})
	if err != nil {
		t.Fatal(err)
	}
	p, err := iam.NewPlan(config, iam.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range p.Accounts[0].Roles[0].PermissionPolicy.Statement {
		if strings.Contains(string(statement), "sts:*") {
			t.Errorf("a mapping's Deny binds every session of the role: %s", statement)
		}
	}
	warnings := strings.Join(p.Warnings, "\n")
	for _, want := range []string{"is also given without a session policy", "the issuer has a port"} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning %q in %q", want, warnings)
		}
	}
}
