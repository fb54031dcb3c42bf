package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestInjectFindsTemplatesWhereverTheyAre(t *testing.T) {
	const template = "{metadata: {annotations: {countersign.io/auth-config: aws-mcp}}, spec: {containers: [{name: a, image: a}]}}"
	for name, c := range map[string]struct {
		text     string
		injected int
	}{
		"RayCluster":      {"apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: x}\nspec:\n  headGroupSpec: {template: " + template + "}\n  workerGroupSpecs: [{template: " + template + "}]\n", 2},
		"LeaderWorkerSet": {"apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: x}\nspec: {leaderWorkerTemplate: {leaderTemplate: " + template + ", workerTemplate: " + template + "}}\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := webhook(c.text, "inject", "-f", "-", "--config", config)
			if err != nil || strings.Count(stdout, "restartPolicy: Always") != c.injected {
				t.Errorf("%v\n%s\n%s", err, stdout, stderr)
			}
		})
	}
}

func TestInjectTellsOfWhatItPassedOver(t *testing.T) {
	for name, text := range map[string]string{
		"a workflow":             "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\nspec: {podMetadata: {annotations: {countersign.io/auth-config: aws-mcp}}, templates: [{name: a, container: {image: a}}]}\n",
		"an inference service":   "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: x, annotations: {countersign.io/auth-config: aws-mcp}}\nspec: {predictor: {containers: [{name: a, image: a}]}}\n",
		"a workload's own place": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, annotations: {countersign.io/auth-config: aws-mcp}}\nspec: {template: {metadata: {}, spec: {containers: [{name: a, image: a}]}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := webhook(text, "inject", "-f", "-", "--config", config)
			wantError(t, err, "1 places carry the annotation countersign.io/auth-config and were not injected")
			if stdout != text || !strings.Contains(stderr, "Warning: ") || !strings.Contains(stderr, "no Pod template") {
				t.Errorf("%s\n%s", stdout, stderr)
			}
		})
	}
	out := "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\nspec: {podMetadata: {annotations: {countersign.io/auth-config: aws-mcp, countersign.io/inject: \"false\"}}}\n"
	if _, stderr, err := webhook(out, "inject", "-f", "-", "--config", config); err != nil || stderr != "" {
		t.Errorf("what opts out: %v, %s", err, stderr)
	}
}

func TestABareAuthConfigIsTaken(t *testing.T) {
	text, err := os.ReadFile("../../docs/example/auth-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "auth-config.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, err := webhook("", "validate", "-f", file); err != nil || !strings.Contains(stdout, "valid (upstreams 1") || strings.Contains(stderr, "label") {
		t.Errorf("validate: %v\n%s\n%s", err, stdout, stderr)
	}
	if stdout, _, err := webhook("", "iam", "-f", file); err != nil || !strings.Contains(stdout, "AssumeRoleWithWebIdentity") {
		t.Errorf("iam: %v\n%s", err, stdout)
	}
	_, _, err = webhook(strings.Replace(string(text), "groups", "", 1)+"  nonsense: 1\n", "validate", "-f", "-")
	wantError(t, err, "spec.nonsense: ", "unknown field")
}

func TestIssuersThatIAMKnowsByItself(t *testing.T) {
	for issuer, c := range map[string]struct{ principal, key string }{
		"https://accounts.google.com":            {"accounts.google.com", "accounts.google.com:aud"},
		"https://cognito-identity.amazonaws.com": {"cognito-identity.amazonaws.com", "cognito-identity.amazonaws.com:aud"},
		"https://www.amazon.com":                 {"www.amazon.com", "www.amazon.com:app_id"},
		"https://graph.facebook.com":             {"graph.facebook.com", "graph.facebook.com:app_id"},
	} {
		text, err := os.ReadFile("../../docs/example/auth-config.yaml")
		if err != nil {
			t.Fatal(err)
		}
		replaced := strings.Replace(string(text), "https://idp.example.com", issuer, 1)
		for _, format := range []string{"json", "shell", "terraform", "cloudformation"} {
			stdout, _, err := webhook(replaced, "iam", "-f", "-", "-o", format)
			flat := strings.NewReplacer(" ", "", "\n", "").Replace(stdout)
			if err != nil || !strings.Contains(flat, `"Federated":"`+c.principal+`"`) || !strings.Contains(flat, `"`+c.key+`":`) ||
				strings.Contains(flat, "oidc-provider/") || strings.Contains(flat, "create-open-id") || strings.Contains(flat, "openid_connect_provider") || strings.Contains(flat, "AWS::IAM::OIDCProvider") {
				t.Errorf("%s, %s: %v\n%s", issuer, format, err, stdout)
			}
		}
	}
}

func TestAPodOfVeryManyContainersIsInjected(t *testing.T) {
	var pod strings.Builder
	pod.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {countersign.io/auth-config: aws-mcp}}\nspec:\n  containers:\n")
	const containers = 5_000
	for n := range containers {
		fmt.Fprintf(&pod, "  - {name: c%d, image: x}\n", n)
	}
	type answer struct {
		stdout string
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		stdout, _, err := webhook(pod.String(), "inject", "-f", "-", "--config", config, "--sidecar-image", "x")
		answers <- answer{stdout, err}
	}()
	select {
	case got := <-answers:
		if got.err != nil || strings.Count(got.stdout, "SSL_CERT_FILE") != containers {
			t.Errorf("%v, %d containers have the environment", got.err, strings.Count(got.stdout, "SSL_CERT_FILE"))
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}
