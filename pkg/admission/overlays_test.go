package admission_test

import (
	"strings"
	"testing"
)

func TestTheOverlaysRender(t *testing.T) {
	render := func(path string) string {
		t.Helper()
		output, err := plane.Kubectl(t.Context(), "kustomize", path)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	single := render("manifests/overlays/single-replica")
	if !strings.Contains(single, "replicas: 1\n") || strings.Contains(single, "PodDisruptionBudget") {
		t.Error("single-replica has more than one, or a budget that no node can be drained with")
	}
	managed := render("manifests/overlays/cert-manager")
	for _, want := range []string{
		"--cert-dir=/certificate", "cert-manager.io/inject-ca-from: countersign-system/countersign-webhook", "isCA: true",
		"secretName: countersign-webhook-certificate",
	} {
		if !strings.Contains(managed, want) {
			t.Errorf("cert-manager lacks %q", want)
		}
	}
	for _, unwanted := range []string{"kind: Secret\n", "  - secrets\n", "  - validatingwebhookconfigurations\n"} {
		if strings.Contains(managed, unwanted) {
			t.Errorf("cert-manager still has %q", unwanted)
		}
	}
	if strings.Contains(render("manifests/base"), "caBundle") {
		t.Error("the base sets caBundle: GitOps would fight over it")
	}
	render("manifests/examples/gateway")
}
