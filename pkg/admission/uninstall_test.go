package admission_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestZUninstall is the last in the package: it takes everything away.
func TestZUninstall(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	create(t, pod)
	replicas.stopAll()
	replicas.running = map[string]*replica{}
	// Namespaces do not go without their controller, which does not run here.
	if output, err := plane.Kubectl(t.Context(), "delete", "-k", "manifests/base", "--wait=false"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	output, err := plane.Kubectl(t.Context(), "get", "-o", "name", "-l", "app.kubernetes.io/part-of=countersign",
		"clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings")
	if err != nil {
		t.Fatal(err)
	}
	if left := strings.TrimSpace(output); left != "" && left != "No resources found" {
		t.Errorf("left behind:\n%s", left)
	}
	var system corev1.Namespace
	if err := get(t.Context(), "", systemNamespace, &system); err != nil || system.DeletionTimestamp == nil {
		t.Errorf("the namespace is not going: %v", err)
	}
	if err := get(t.Context(), namespace, pod.Name, &corev1.Pod{}); err != nil {
		t.Errorf("an injected Pod is gone: %v", err)
	}
	eventually(t, "Pods start as if nothing had been installed", func(ctx context.Context) error {
		return admin.Create(ctx, asking(namespace, "aws"))
	})
}
