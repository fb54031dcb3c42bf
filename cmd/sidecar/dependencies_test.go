package main_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The sidecar runs beside every agent: what it does not link cannot be attacked
// and takes no memory.
func TestTheSidecarLinksNoKubernetesClient(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dependency := range strings.Lines(string(out)) {
		if strings.HasPrefix(dependency, "k8s.io/") || strings.HasPrefix(dependency, "sigs.k8s.io/") {
			t.Errorf("it links %s", dependency)
		}
	}
}
