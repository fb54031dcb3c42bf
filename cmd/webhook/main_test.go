package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	examples = "../../manifests/examples"
	config   = examples + "/bearer/auth-config.yaml"
)

// webhook runs the command line as a user does.
func webhook(stdin string, arguments ...string) (stdout, stderr string, err error) {
	command := rootCommand()
	var out, errs bytes.Buffer
	command.SetArgs(arguments)
	command.SetIn(strings.NewReader(stdin))
	command.SetOut(&out)
	command.SetErr(&errs)
	err = command.Execute()
	return out.String(), errs.String(), err
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %q", text, err)
		}
	}
}

func TestInjectChangesWhatAsksAndLeavesTheRest(t *testing.T) {
	const before = `# our agents
apiVersion: v1
kind: Service
metadata: {name:   agent}   # as it was
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: agent
spec:
  template:
    metadata:
      annotations: # who it acts for
        countersign.io/auth-config: aws-mcp
    spec:
      containers:
      - name: agent # the agent
        image: agent:1
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {countersign.io/auth-config: aws-mcp, countersign.io/intercept: loopback}}
        spec: {containers: [{name: report, image: "report:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec: {containers: [{name: plain, image: "plain:1"}]}
`
	stdout, stderr, err := webhook(before, "inject", "-f", "-", "--config", config, "--sidecar-image", "sidecar:9", "--sidecar-env", "HTTPS_PROXY=http://proxy:3128")
	if err != nil {
		t.Fatal(err)
	}
	if stderr != "" {
		t.Errorf("on standard error: %s", stderr)
	}
	for _, want := range []string{
		"# our agents\napiVersion: v1\nkind: Service\nmetadata: {name:   agent}   # as it was\n---\n",
		"- name: agent # the agent\n", "annotations: # who it acts for\n",
		"kind: Pod\nmetadata: {name: plain}\nspec: {containers: [{name: plain, image: \"plain:1\"}]}\n",
		"value: http://127.0.0.1:15380/mcp\n", "ip: 127.0.0.137\n", "image: sidecar:9\n", "name: HTTPS_PROXY\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in:\n%s", want, stdout)
		}
	}
	if count := strings.Count(stdout, "restartPolicy: Always"); count != 2 {
		t.Errorf("%d sidecars", count)
	}
	again, _, err := webhook(stdout, "inject", "-f", "-", "--config", config, "--sidecar-image", "sidecar:9", "--sidecar-env", "HTTPS_PROXY=http://proxy:3128")
	if err != nil || again != stdout {
		t.Errorf("injected twice it differs: %v\n%s", err, again)
	}
}

func TestInjectReadsListsAndWritesJSON(t *testing.T) {
	list := `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod",
		"metadata": {"name": "a", "annotations": {"countersign.io/auth-config": "anything"}}, "spec": {"containers": [{"name": "a", "image": "a:1", "unknown": 1}]}}]}`
	stdout, _, err := webhook(list, "inject", "-f", "-", "--config", "../../docs/example", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Items []struct {
			Spec struct {
				InitContainers []struct{ Name string }
				Containers     []struct{ Unknown int }
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	if len(got.Items) != 1 || got.Items[0].Spec.InitContainers[0].Name != "countersign" || got.Items[0].Spec.Containers[0].Unknown != 1 {
		t.Errorf("got %s", stdout)
	}
}

func TestInjectTellsEveryRefusalAndWritesNothing(t *testing.T) {
	const two = `kind: Pod
metadata: {name: a, namespace: agents, annotations: {countersign.io/auth-config: aws-mcp}}
spec: {hostNetwork: true, containers: [{name: a}]}
---
kind: Pod
metadata: {name: b, annotations: {countersign.io/auth-config: other}}
spec: {containers: [{name: b}]}
`
	stdout, _, err := webhook(two, "inject", "-f", "-", "--config", config)
	wantError(t, err, "Pod agents/a: hostNetwork is true", "(HostNetwork)", `Pod b: the auth-config "other" is not in the file given with --config (ConfigMapNotFound)`)
	if stdout != "" {
		t.Errorf("written: %s", stdout)
	}
}

func TestInjectWarnsOnStandardError(t *testing.T) {
	stdout, stderr, err := webhook("kind: Pod\nmetadata: {name: a, annotations: {countersign.io/auth-config: aws-mcp}}\nspec: {shareProcessNamespace: true, containers: [{name: a}]}\n",
		"inject", "-f", "-", "--config", config)
	if err != nil || !strings.Contains(stderr, "Warning: -: Pod a: the containers share a process namespace") || strings.Contains(stdout, "Warning") {
		t.Errorf("%v: %q", err, stderr)
	}
}

func TestInjectSeesTheNamespaceThatStandsBesideTheWorkload(t *testing.T) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: agents, annotations: {openshift.io/sa.scc.uid-range: 1000650000/10000}}\n---\n"
	const pod = "kind: Pod\nmetadata: {name: a, namespace: agents, annotations: {countersign.io/auth-config: aws-mcp}}\nspec: {containers: [{name: a}]}\n"
	for input, user := range map[string]string{namespace + pod: "runAsUser: 1000650001\n", pod: "runAsUser: 15337\n"} {
		stdout, stderr, err := webhook(input, "inject", "-f", "-", "--config", config, "--sidecar-uid=auto")
		if err != nil || !strings.Contains(stdout, user) {
			t.Errorf("%v: %s\n%s lacks %s", err, stderr, stdout, user)
		}
	}
}

func TestInjectUsesTheCopyOfASharedConfig(t *testing.T) {
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "shared.yaml")
	shared := strings.Replace(string(text), `countersign.io/auth-config: "true"`, `countersign.io/auth-config: "true"`+"\n    countersign.io/shared: \"true\"", 1)
	if err := os.WriteFile(file, []byte(shared), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := webhook("", "inject", "-f", examples+"/bearer/deployment.yaml", "--config", file)
	if err != nil || !strings.Contains(stdout, "name: countersign-shared-aws-mcp\n") {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	base := []string{"inject", "-f", examples + "/bearer/deployment.yaml", "--config", config}
	for want, flags := range map[string][]string{
		`--sidecar-env: "no name" is not the name of a variable`: {"--sidecar-env", "no name=secret"},
		`--sidecar-memory-limit: "much"`:                         {"--sidecar-memory-limit", "much"},
		`--sidecar-image-pull-policy: "Sometimes"`:               {"--sidecar-image-pull-policy", "Sometimes"},
		`--output: "xml" is not one of yaml, json`:               {"-o", "xml"},
		`--sidecar-image: must not be empty`:                     {"--sidecar-image", ""},
	} {
		_, _, err := webhook("", append(base, flags...)...)
		wantError(t, err, want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the value of a variable is told: %v", err)
		}
	}
}

func TestValidateTellsEveryFaultOfEveryFile(t *testing.T) {
	dir := t.TempDir()
	broken := "apiVersion: countersign.io/v1alpha1\nkind: AuthConfig\nspec:\n  upstream: []\n  awsSts: {region: us-east-1, roleMappings: [{matcher: 'claim', roleArn: x}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "auth-config.yaml"), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := webhook("kind: ConfigMap\nmetadata: {name: other}\ndata: {a: b}\n---\nkind: ConfigMap\nmetadata: {name: empty, labels: {countersign.io/auth-config: \"true\"}}\n",
		"validate", "-f", config, "-f", dir, "-f", "-")
	wantError(t, err,
		dir+`: spec.upstream: 4:3: unknown field; did you mean "upstreams"?`,
		dir+`: spec.awsSts.roleMappings[0].matcher: 1:1: undeclared reference to 'claim'`,
		dir+`: spec.awsSts.roleMappings[0].roleArn: "x" is not the ARN of an IAM role`,
		"-: ConfigMap empty: auth-config.yaml: is missing")
	if want := config + ": ConfigMap aws-mcp: valid (upstreams 1, role mappings 2, policies 4)\n"; stdout != want {
		t.Errorf("on standard output: %q, want %q", stdout, want)
	}
	if !strings.Contains(stderr, "ConfigMap other: is not an auth-config, passed over") {
		t.Errorf("on standard error: %q", stderr)
	}
}

func TestValidateWantsSomethingToValidate(t *testing.T) {
	_, _, err := webhook("kind: Pod\nmetadata: {name: a}\n", "validate", "-f", "-")
	wantError(t, err, "there is no auth-config in what was given")
	_, _, err = webhook("", "validate")
	wantError(t, err, "give files or directories with -f")
	_, _, err = webhook("", "validate", "-f", "/nowhere")
	wantError(t, err, "no such file")
}

func TestValidateWarnsOfAMissingLabel(t *testing.T) {
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	unlabelled := strings.Replace(string(text), "countersign.io/auth-config", "app", 1)
	_, stderr, err := webhook(unlabelled, "validate", "-f", "-")
	if err != nil || !strings.Contains(stderr, "lacks the label countersign.io/auth-config") {
		t.Errorf("%v: %q", err, stderr)
	}
}

func TestEveryExampleIsValid(t *testing.T) {
	for _, path := range []string{config, examples + "/service-account/auth-config.yaml", examples + "/gateway/auth-config.yaml", "../../docs/example"} {
		if _, _, err := webhook("", "validate", path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestIAM(t *testing.T) {
	for format, want := range map[string]string{
		"json": `"accounts": [`, "shell": "#!/bin/sh\n", "terraform": `resource "aws_iam_role"`, "cloudformation": `"AWS::IAM::OIDCProvider"`,
	} {
		stdout, stderr, err := webhook("", "iam", "-f", config, "-o", format)
		if err != nil || !strings.Contains(stdout, want) || !strings.Contains(stderr, "Warning: AWS compares azp where a token has one") {
			t.Errorf("%s: %v: %s", format, err, stderr)
		}
	}
	without := filepath.Join("..", "..", "docs", "example")
	if _, stderr, err := webhook("", "iam", "-f", without); err != nil || !strings.Contains(stderr, "Warning: a trust policy sees issuer and audience") {
		t.Errorf("%v: %s", err, stderr)
	}
	account := examples + "/service-account/auth-config.yaml"
	_, _, err := webhook("", "iam", "-f", account)
	wantError(t, err, "--issuer is required with identity.source serviceAccount")
	stdout, _, err := webhook("", "iam", "-f", account, "--issuer", "https://oidc.example.com/id/X")
	if err != nil || !strings.Contains(stdout, `"arn:aws:iam::123456789012:oidc-provider/oidc.example.com/id/X"`) {
		t.Errorf("%v: %s", err, stdout)
	}
	_, _, err = webhook("", "iam", "-f", config, "--issuer", "https://other.example.com")
	wantError(t, err, "is not spec.identity.oidc.exchange.issuer")
}
