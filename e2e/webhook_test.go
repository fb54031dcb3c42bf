//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-io/countersign/pkg/inject"
)

func TestTheWebhookIsRestarted(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("a rolling restart of the webhook", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-restart", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""))
		})).
		Assess("refuses no Pod", step(func(t *testing.T) {
			stop, done := make(chan struct{}), make(chan struct{})
			var count int
			var failures []string
			go func() {
				defer close(done)
				count, failures = admitPods(ns, stop)
			}()
			end := sync.OnceFunc(func() { close(stop); <-done })
			defer end()
			before := webhookPods(t)
			if _, err := kubectl(t.Context(), "", "-n", "countersign-system", "rollout", "restart", "deployment/countersign-webhook"); err != nil {
				t.Fatal(err)
			}
			rolledOut(t, "countersign-system", "countersign-webhook")
			eventually(t, "the replicas of before have ended", 90*time.Second, func(context.Context) error {
				for _, name := range webhookPods(t) {
					if slices.Contains(before, name) {
						return fmt.Errorf("%s is there", name)
					}
				}
				return nil
			})
			end()
			if len(failures) > 0 || count == 0 {
				t.Errorf("%d of %d Pods were not admitted: %v", len(failures), count, failures)
			}
			t.Logf("%d Pods admitted meanwhile", count)
		})).
		Feature())
}

func webhookPods(t *testing.T) (names []string) {
	t.Helper()
	pods, err := clients.CoreV1().Pods("countersign-system").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		names = append(names, pod.Name)
	}
	return names
}

// admitPods makes Pods that ask, dry.
func admitPods(ns string, stop <-chan struct{}) (count int, failures []string) {
	for {
		select {
		case <-stop:
			return count, failures
		case <-time.After(10 * time.Millisecond):
		}
		count++
		pod, err := clients.CoreV1().Pods(ns).Create(context.Background(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "asks-", Annotations: map[string]string{inject.AnnotationAuthConfig: "aws"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "countersign.io/e2e/agent:1"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err != nil:
			failures = append(failures, err.Error())
		case len(pod.Spec.InitContainers) == 0:
			failures = append(failures, "admitted bare")
		}
	}
}

func TestTheWebhookIsDown(t *testing.T) {
	var ns string
	scale := func(replicas string) {
		if _, err := kubectl(context.Background(), "", "-n", "countersign-system", "scale", "deployment/countersign-webhook", "--replicas="+replicas); err != nil {
			t.Fatal(err)
		}
	}
	testEnvironment.Test(t, feature("the webhook is down", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-down", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""))
			scale("0")
		})).
		Assess("a Pod that asks is refused", step(func(t *testing.T) {
			eventually(t, "it is refused", 60*time.Second, func(ctx context.Context) error {
				_, err := kubectl(ctx, agentPod(ns, "asks", "hosts", "aws", ""), "apply", "--dry-run=server", "-f", "-")
				if err == nil || !strings.Contains(err.Error(), `failed calling webhook "pods.countersign.io"`) {
					return errors.Join(err, errors.New("not refused so"))
				}
				return nil
			})
		})).
		Assess("a Pod that does not ask starts", step(func(t *testing.T) {
			apply(t, strings.Replace(agentPod(ns, "plain", "hosts", "aws", ""), "countersign.io/auth-config: aws, ", "", 1))
			eventually(t, "it runs", 60*time.Second, func(context.Context) error {
				if phase := getPod(t, ns, "plain").Status.Phase; phase != corev1.PodRunning {
					return fmt.Errorf("it is %s", phase)
				}
				return nil
			})
		})).
		Teardown(step(func(t *testing.T) {
			scale("2")
			rolledOut(t, "countersign-system", "countersign-webhook")
			// kube-proxy learns of the replicas a little later.
			eventually(t, "Pods that ask are admitted again", 30*time.Second, func(ctx context.Context) error {
				_, err := kubectl(ctx, agentPod(ns, "asks", "hosts", "aws", ""), "apply", "--dry-run=server", "-f", "-")
				return err
			})
		})).
		Feature())
}
