//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Go runs tests in the order of their files: this one, in which what the others
// need goes away, is last.
func TestUninstalling(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("uninstalling", "").
		Setup(step(func(t *testing.T) {
			apply(t, authConfig("countersign-system", "e2e-shared", accountConfig, "", `countersign.io/shared: "true"`))
			ns = namespace(t, "e2e-uninstall", "privileged")
			apply(t, agentPod(ns, "agent", "hosts", "e2e-shared", ""))
			waitReady(t, ns, "agent")
			if _, err := kubectl(t.Context(), "", "delete", "-k", "manifests/install", "--timeout=90s"); err != nil {
				t.Fatal(err)
			}
		})).
		Assess("leaves injected Pods running", step(func(t *testing.T) {
			if got := call(t, ns, "agent", "", "aws___run_script"); got.Error != "" {
				t.Error(got.Error)
			}
		})).
		Assess("and no copy of a shared auth-config", step(func(t *testing.T) {
			eventually(t, "the copies go", 60*time.Second, func(ctx context.Context) error {
				list, err := clients.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: "countersign.io/auth-config=copy"})
				if err != nil || len(list.Items) > 0 {
					return errors.Join(err, fmt.Errorf("%d are there", len(list.Items)))
				}
				return nil
			})
		})).
		Assess("and nothing else", step(func(t *testing.T) {
			output, err := kubectl(t.Context(), "", "get", "-o", "name", "-l", "app.kubernetes.io/part-of=countersign",
				"namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings")
			if err != nil || strings.Contains(output, "/") {
				t.Errorf("left behind: %v: %s", err, output)
			}
		})).
		Feature())
}
