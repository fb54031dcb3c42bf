//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Its file is the last, after that of TestUninstalling: there is one Countersign in a cluster.
func TestHelmInstallsUpgradesRollsBackAndUninstalls(t *testing.T) {
	if os.Getenv("HELM") == "" {
		t.Skip("HELM names no program; hack/e2e/run builds one")
	}
	var ns string
	chart := []string{"../manifests/chart", "--namespace", "countersign-system", "--wait", "--timeout", "3m",
		"--set", "sidecar.env.AWS_ENDPOINT_URL_STS=https://sts.standins.svc.cluster.local"}
	injects := func(t *testing.T, pod string) {
		t.Helper()
		apply(t, agentPod(ns, pod, "hosts", "aws", ""))
		waitReady(t, ns, pod)
		if got := call(t, ns, pod, "", "aws___run_script"); got.Error != "" {
			t.Error(got.Error)
		}
	}
	logLevelOf := func(t *testing.T) string {
		t.Helper()
		d, err := clients.AppsV1().Deployments("countersign-system").Get(t.Context(), "countersign-webhook", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, argument := range d.Spec.Template.Spec.Containers[0].Args {
			if level, ok := strings.CutPrefix(argument, "--log-level="); ok {
				return level
			}
		}
		return ""
	}
	testEnvironment.Test(t, feature("Helm", "").
		Setup(step(func(t *testing.T) {
			helm(t, append([]string{"install", "countersign", "--create-namespace"}, chart...)...)
			if err := untilAdmissionAnswers(t.Context()); err != nil {
				t.Fatal(err)
			}
			ns = namespace(t, "e2e-helm", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""))
		})).
		Assess("installs what injects", step(func(t *testing.T) { injects(t, "agent-of-install") })).
		Assess("upgrades", step(func(t *testing.T) {
			helm(t, append([]string{"upgrade", "countersign", "--set", "logLevel=debug"}, chart...)...)
			if got := logLevelOf(t); got != "debug" {
				t.Errorf("the log level is %q", got)
			}
			injects(t, "agent-of-upgrade")
		})).
		Assess("rolls back", step(func(t *testing.T) {
			helm(t, "rollback", "countersign", "1", "--namespace", "countersign-system", "--wait", "--timeout", "3m")
			// The default is not written out.
			if got := logLevelOf(t); got != "" {
				t.Errorf("the log level is %q", got)
			}
			injects(t, "agent-of-rollback")
		})).
		Assess("uninstalls, and leaves injected Pods running", step(func(t *testing.T) {
			helm(t, "uninstall", "countersign", "--namespace", "countersign-system", "--wait", "--timeout", "3m")
			output, err := kubectl(t.Context(), "", "get", "-o", "name", "-l", "app.kubernetes.io/part-of=countersign",
				"clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings")
			if err != nil || strings.Contains(output, "/") {
				t.Errorf("left behind: %v: %s", err, output)
			}
			if got := call(t, ns, "agent-of-install", "", "aws___run_script"); got.Error != "" {
				t.Error(got.Error)
			}
		})).
		Feature())
}

func helm(t *testing.T, arguments ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), os.Getenv("HELM"), arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
}
