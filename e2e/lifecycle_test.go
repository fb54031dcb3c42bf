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
)

func TestInitContainersAndJobs(t *testing.T) {
	var ns string
	f := feature("what runs to its end", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-jobs", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""))
			for _, mode := range modes {
				apply(t, job(ns, mode), cronJob(ns, mode))
			}
		}))
	for _, mode := range modes {
		f.Assess("a Job in mode "+mode+", whose init container uses MCP already, completes", step(func(t *testing.T) {
			waitForJobs(t, ns, "mode="+mode)
		}))
	}
	for _, mode := range modes {
		f.Assess("a CronJob's Job in mode "+mode+" completes", step(func(t *testing.T) { waitForJobs(t, ns, "mode=cron-"+mode) }))
	}
	testEnvironment.Test(t, f.Feature())
}

func waitForJobs(t *testing.T, ns, selector string) {
	t.Helper()
	eventually(t, "the Job completes", 120*time.Second, func(ctx context.Context) error {
		jobs, err := clients.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(jobs.Items) == 0 {
			return errors.Join(err, errors.New("there is none"))
		}
		if jobs.Items[0].Status.Failed > 0 {
			log, _ := kubectl(ctx, "", "-n", ns, "logs", "job/"+jobs.Items[0].Name, "--all-containers")
			t.Fatalf("it failed: %s", log)
		}
		if jobs.Items[0].Status.Succeeded == 0 {
			return errors.New("it runs")
		}
		return nil
	})
}

// oneCall is a container that calls a tool and ends; its name is to be added.
func oneCall(mode string) string {
	arguments := `["--url", "` + upstream + `", "--call", aws___run_script]`
	if mode == "loopback" {
		arguments = `["--call", aws___run_script]`
	}
	return `{image: "countersign.io/e2e/agent:1", imagePullPolicy: Never, args: ` + arguments + `, name: `
}

func job(ns, mode string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: job-%[2]s, namespace: %[1]s, labels: {mode: %[2]s}}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: %[2]s}}
    spec:
      restartPolicy: Never
      initContainers: [%[3]s early}]
      containers: [%[3]s work}]
`, ns, mode, oneCall(mode))
}

func cronJob(ns, mode string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: CronJob
metadata: {name: cron-%[2]s, namespace: %[1]s}
spec:
  schedule: "* * * * *"
  jobTemplate:
    metadata: {labels: {mode: cron-%[2]s}}
    spec:
      backoffLimit: 0
      template:
        metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: %[2]s}}
        spec: {restartPolicy: Never, containers: [%[3]s work}]}
`, ns, mode, oneCall(mode))
}

func TestASidecarIsKilled(t *testing.T) {
	for _, mode := range modes {
		var ns string
		var before conversation
		testEnvironment.Test(t, feature("a sidecar is killed with SIGKILL", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-killed-"+mode, "privileged")
				// Only root in a Pod that shares its processes can do it.
				apply(t, authConfig(ns, "aws", accountConfig, ""), sharingProcesses(agentPod(ns, "agent", mode, "aws", ""), 0))
				waitReady(t, ns, "agent")
				if before = call(t, ns, "agent", "", "aws___run_script"); before.Error != "" {
					t.Fatal(before.Error)
				}
				if text, err := viaPod(t.Context(), "POST", ns, "agent", "/kill?program=/sidecar", nil); err != nil || strings.TrimSpace(string(text)) != "1" {
					t.Fatalf("killed %s: %v", text, err)
				}
			})).
			// With the roots that it has read: the CA outlives the container.
			Assess("the app goes on", step(func(t *testing.T) {
				eventually(t, "the app is served again", 60*time.Second, func(context.Context) error {
					if again := call(t, ns, "agent", "", "aws___run_script"); again.Text != before.Text {
						return errors.New(again.Error)
					}
					return nil
				})
			})).
			Assess("the sidecar alone has restarted", step(func(t *testing.T) {
				eventually(t, "it is seen", 30*time.Second, func(context.Context) error {
					status := getPod(t, ns, "agent").Status
					if sidecar, app := status.InitContainerStatuses[0].RestartCount, status.ContainerStatuses[0].RestartCount; sidecar != 1 || app != 0 {
						return fmt.Errorf("restarts: sidecar %d, app %d", sidecar, app)
					}
					return nil
				})
			})).
			Feature())
	}
}

func TestARollingUpdate(t *testing.T) {
	for _, mode := range modes {
		var ns string
		testEnvironment.Test(t, feature("a rolling update", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-rolling-"+mode, "privileged")
				apply(t, authConfig(ns, "aws", accountConfig, ""), rollingDeployment(ns, mode, "1"))
				rolledOut(t, ns, "agent")
			})).
			Assess("fails no request", step(func(t *testing.T) {
				stop, done := make(chan struct{}), make(chan struct{})
				var count int
				var failures []string
				go func() {
					defer close(done)
					count, failures = callReadyPods(ns, stop)
				}()
				end := sync.OnceFunc(func() { close(stop); <-done })
				defer end()
				apply(t, rollingDeployment(ns, mode, "2"))
				rolledOut(t, ns, "agent")
				end()
				if len(failures) > 0 || count == 0 {
					t.Errorf("%d of %d requests failed: %v", len(failures), count, failures)
				}
				t.Logf("%d requests meanwhile", count)
			})).
			Feature())
	}
}

func rollingDeployment(ns, mode, version string) string {
	deployment := agentDeployment(ns, "agent", mode, "aws")
	deployment = strings.Replace(deployment, "spec:\n", "spec:\n  replicas: 2\n  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}\n", 1)
	deployment = strings.Replace(deployment, "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 30", 1)
	deployment = strings.Replace(deployment, "labels: {app: agent}, annotations", "labels: {app: agent, version: \""+version+"\"}, annotations", 1)
	return strings.Replace(deployment, "readinessProbe:", "lifecycle: {preStop: {sleep: {seconds: 3}}}, readinessProbe:", 1)
}

// callReadyPods calls, in turn, every Pod that a Service would send requests to.
func callReadyPods(ns string, stop <-chan struct{}) (count int, failures []string) {
	ctx := context.Background()
	for {
		pods, err := clients.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=agent"})
		if err != nil {
			failures = append(failures, err.Error())
		}
		time.Sleep(20 * time.Millisecond)
		for _, pod := range pods.Items {
			select {
			case <-stop:
				return count, failures
			default:
			}
			if pod.DeletionTimestamp != nil || !isReady(&pod) {
				continue
			}
			text, err := viaPod(ctx, "POST", ns, pod.Name, "/call", whoAmI())
			count++
			if err != nil || !strings.Contains(string(text), "Workload") {
				failures = append(failures, fmt.Sprintf("%v: %s", err, text))
			}
		}
	}
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
