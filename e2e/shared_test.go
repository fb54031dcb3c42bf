//go:build e2e

package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSharedConfigs(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("an auth-config is shared", "").
		Setup(step(func(t *testing.T) {
			apply(t, authConfig("countersign-system", "e2e-shared", accountConfig, "", `countersign.io/shared: "true"`))
			t.Cleanup(func() {
				_, _ = kubectl(context.Background(), "", "-n", "countersign-system", "delete", "configmap", "e2e-shared")
			})
			ns = namespace(t, "e2e-sharing", "privileged")
			apply(t, agentPod(ns, "agent", "hosts", "e2e-shared", ""))
			waitReady(t, ns, "agent")
		})).
		Assess("a Pod of another namespace uses it", step(func(t *testing.T) {
			if got := call(t, ns, "agent", "", "aws___run_script"); got.Error != "" {
				t.Error(got.Error)
			}
		})).
		Assess("a tenant cannot write a copy", step(func(t *testing.T) {
			_, err := kubectl(t.Context(), authConfig(ns, "countersign-shared-own", accountConfig, ""), "apply", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), "only the Countersign controller may write them") {
				t.Errorf("got %v", err)
			}
		})).
		Assess("a namespace with a copy can go", step(func(t *testing.T) {
			if err := clients.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it goes", 90*time.Second, func(ctx context.Context) error {
				_, err := clients.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				return errors.Join(err, errors.New("it is there"))
			})
		})).
		Feature())
}
