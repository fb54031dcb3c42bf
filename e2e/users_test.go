//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var modes = []string{"hosts", "redirect", "loopback"}

func TestAnAppActsForTwoUsersInEveryMode(t *testing.T) {
	ns := namespace(t, "e2e-users", "privileged")
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
	alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
	bob := token(t, map[string]any{"sub": "bob", "groups": []string{"admins"}})
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			pod := "agent-" + mode
			apply(t, agentPod(ns, pod, mode, "aws", ""))
			waitReady(t, ns, pod)
			before := standinsSaw(t)
			asAlice := call(t, ns, pod, alice, "aws___whoami")
			if asAlice.Text != role+"S3/alice" || slices.Contains(asAlice.Tools, "s3___delete_bucket") || !slices.Contains(asAlice.Tools, "s3___list_objects") {
				t.Errorf("alice: %+v", asAlice)
			}
			if denied := call(t, ns, pod, alice, "s3___delete_bucket"); !strings.Contains(denied.Error, "denied") {
				t.Errorf("alice deletes: %+v", denied)
			}
			asBob := call(t, ns, pod, bob, "s3___delete_bucket")
			if asBob.Error != "" || !slices.Contains(asBob.Tools, "s3___delete_bucket") {
				t.Errorf("bob: %+v", asBob)
			}
			if nobody := call(t, ns, pod, "", "aws___whoami"); !strings.Contains(nobody.Error, "401") && !strings.Contains(strings.ToLower(nobody.Error), "unauthorized") {
				t.Errorf("nobody: %+v", nobody)
			}
			after := standinsSaw(t)
			if after.Refused != before.Refused || after.Verified == before.Verified {
				t.Errorf("signatures: before %+v, after %+v", before, after)
			}
		})
	}
}

func TestTheAppReachesNoSecret(t *testing.T) {
	ns := namespace(t, "e2e-secrets", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	apply(t, agentPod(ns, "agent", "hosts", "aws", ""))
	waitReady(t, ns, "agent")
	text, err := viaPod(t.Context(), "GET", ns, "agent", "/files?dir=/var/run/countersign", nil)
	if err != nil {
		t.Fatal(err)
	}
	var readable []string
	if err := json.Unmarshal(text, &readable); err != nil {
		t.Fatal(err)
	}
	slices.Sort(readable)
	if want := []string{"/var/run/countersign/ca/bundle.crt", "/var/run/countersign/ca/ca.crt", "/var/run/countersign/ca/truststore.p12"}; !slices.Equal(readable, want) {
		t.Errorf("it reads %v", readable)
	}
}

func TestAWorkloadActsAsItselfWithinTheRestrictedLevel(t *testing.T) {
	ns := namespace(t, "e2e-restricted", "restricted")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	for _, mode := range []string{"hosts", "loopback"} {
		t.Run(mode, func(t *testing.T) {
			apply(t, agentPod(ns, "agent-"+mode, mode, "aws", ""))
			waitReady(t, ns, "agent-"+mode)
			got := call(t, ns, "agent-"+mode, "", "aws___whoami")
			if want := role + "Workload/system-serviceaccount-" + ns + "-default"; !strings.HasPrefix(got.Text, want) {
				t.Errorf("it is %q, %s", got.Text, got.Error)
			}
		})
	}
	t.Run("redirect is refused with a reason", func(t *testing.T) {
		_, err := kubectl(t.Context(), agentPod(ns, "agent-redirect", "redirect", "aws", ""), "apply", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), "mode redirect needs an init container with NET_ADMIN") {
			t.Errorf("got %v", err)
		}
	})
}

func TestForeignTrafficPassesUntouched(t *testing.T) {
	ns := namespace(t, "e2e-foreign", "privileged")
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
	issuers := map[string]string{}
	for _, mode := range modes {
		apply(t, agentPod(ns, "agent-"+mode, mode, "aws", ""))
		waitReady(t, ns, "agent-"+mode)
		text, err := viaPod(t.Context(), "GET", ns, "agent-"+mode, "/fetch?url=https://foreign.standins.svc.cluster.local/", nil)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		var answer struct{ Body, Root string }
		if err := json.Unmarshal(text, &answer); err != nil || answer.Body != "foreign" {
			t.Fatalf("%s: %v: %s", mode, err, text)
		}
		issuers[mode] = answer.Root
	}
	if issuers["redirect"] != issuers["loopback"] || issuers["hosts"] != issuers["loopback"] {
		t.Errorf("the certificates differ: %v", issuers)
	}
	// And an upstream's is ours.
	text, err := viaPod(t.Context(), "GET", ns, "agent-redirect", "/fetch?url="+upstream, nil)
	if err != nil || !strings.Contains(string(text), "countersign pod CA") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestInitContainersAndJobsUseMCPAndEnd(t *testing.T) {
	ns := namespace(t, "e2e-jobs", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	for _, mode := range modes {
		arguments := `["--url", "` + upstream + `", "--call", aws___whoami]`
		if mode == "loopback" {
			arguments = `["--call", aws___whoami]`
		}
		container := `{image: "countersign.io/e2e/agent:1", imagePullPolicy: Never, args: ` + arguments + `, name: `
		apply(t, fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: job-%s, namespace: %s}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: %s}}
    spec:
      restartPolicy: Never
      initContainers: [%s early}]
      containers: [%s work}]
`, mode, ns, mode, container, container))
	}
	apply(t, fmt.Sprintf(`apiVersion: batch/v1
kind: CronJob
metadata: {name: cron, namespace: %s}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: loopback}}
        spec: {restartPolicy: Never, containers: [{name: work, image: "countersign.io/e2e/agent:1", imagePullPolicy: Never, args: [--call, aws___whoami]}]}
`, ns))
	eventually(t, "the Jobs complete, that of the CronJob too", 120*time.Second, func(ctx context.Context) error {
		jobs, err := clients.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		done := 0
		for _, job := range jobs.Items {
			if job.Status.Failed > 0 {
				log, _ := kubectl(ctx, "", "-n", ns, "logs", "job/"+job.Name, "--all-containers")
				t.Fatalf("%s failed: %s", job.Name, log)
			}
			done += int(job.Status.Succeeded)
		}
		if done < len(modes)+1 {
			return fmt.Errorf("%d are done", done)
		}
		return nil
	})
}

func TestASidecarThatIsKilledComesBack(t *testing.T) {
	ns := namespace(t, "e2e-killed", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	root := strings.Replace(agentPod(ns, "agent", "hosts", "aws", ""), "  securityContext: {runAsNonRoot: true, runAsUser: 10001,", "  shareProcessNamespace: true\n  securityContext: {runAsUser: 0,", 1)
	root = strings.Replace(root, "capabilities: {drop: [ALL]}", "runAsUser: 0", 1)
	apply(t, root)
	waitReady(t, ns, "agent")
	first := call(t, ns, "agent", "", "aws___whoami")
	if first.Error != "" {
		t.Fatal(first.Error)
	}
	if text, err := viaPod(t.Context(), "POST", ns, "agent", "/kill?program=/sidecar", nil); err != nil || strings.TrimSpace(string(text)) != "1" {
		t.Fatalf("killed %s: %v", text, err)
	}
	// The app goes on with the roots that it has read.
	eventually(t, "the app is served again", 60*time.Second, func(context.Context) error {
		if again := call(t, ns, "agent", "", "aws___whoami"); again.Text != first.Text {
			return errors.New(again.Error)
		}
		return nil
	})
	eventually(t, "the sidecar alone has restarted", 30*time.Second, func(ctx context.Context) error {
		pod, err := clients.CoreV1().Pods(ns).Get(ctx, "agent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		sidecar, app := pod.Status.InitContainerStatuses[0].RestartCount, pod.Status.ContainerStatuses[0].RestartCount
		if sidecar != 1 || app != 0 {
			return fmt.Errorf("restarts: sidecar %d, app %d", sidecar, app)
		}
		return nil
	})
}

func TestAnEditChangesDecisionsInRunningPods(t *testing.T) {
	ns := namespace(t, "e2e-edit", "privileged")
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
	apply(t, agentPod(ns, "agent", "hosts", "aws", ""))
	waitReady(t, ns, "agent")
	alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
	if got := call(t, ns, "agent", alice, "s3___delete_bucket"); !strings.Contains(got.Error, "denied") {
		t.Fatalf("before: %+v", got)
	}
	if _, err := kubectl(t.Context(), authConfig(ns, "aws", bearerConfig, "permit (principal, action == MCP::Action::"), "apply", "-f", "-"); err == nil || !strings.Contains(err.Error(), "tools.cedar: ") {
		t.Errorf("a broken edit: %v", err)
	}
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies+`permit (principal, action == MCP::Action::"s3___delete_bucket", resource);`))
	eventually(t, "the new policy is in use", 90*time.Second, func(context.Context) error {
		if got := call(t, ns, "agent", alice, "s3___delete_bucket"); got.Error != "" {
			return errors.New(got.Error)
		}
		return nil
	})
}

func TestARefusalIsSeenWhereUsersLook(t *testing.T) {
	ns := namespace(t, "e2e-refused", "privileged")
	apply(t, fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: %s}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}, annotations: {countersign.io/auth-config: nowhere}}
    spec: {containers: [{name: agent, image: "countersign.io/e2e/agent:1"}]}
`, ns))
	eventually(t, "kubectl describe tells why", 60*time.Second, func(ctx context.Context) error {
		output, err := kubectl(ctx, "", "-n", ns, "describe", "replicaset")
		if err != nil {
			return err
		}
		if want := `there is no ConfigMap "nowhere" in the namespace "` + ns + `"`; !strings.Contains(output, want) || !strings.Contains(output, "(ConfigMapNotFound)") {
			return fmt.Errorf("it says: %s", output)
		}
		return nil
	})
}

func TestARollingUpdateFailsNoRequest(t *testing.T) {
	ns := namespace(t, "e2e-rolling", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	deployment := func(version string) string {
		return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: %s}
spec:
  replicas: 2
  selector: {matchLabels: {app: agent}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: agent, version: "%s"}, annotations: {countersign.io/auth-config: aws}}
    spec:
      containers:
      - {name: agent, image: "countersign.io/e2e/agent:1", imagePullPolicy: Never, args: [--url, "%s"], readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}, lifecycle: {preStop: {sleep: {seconds: 3}}}}
`, ns, version, upstream)
	}
	rolled := func() {
		if output, err := kubectl(t.Context(), "", "-n", ns, "rollout", "status", "deployment/agent", "--timeout=120s"); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	apply(t, deployment("1"))
	rolled()
	stop, failures, count := make(chan struct{}), []string{}, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			pods, err := clients.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{LabelSelector: "app=agent"})
			if err != nil {
				continue
			}
			for _, pod := range pods.Items {
				if pod.DeletionTimestamp != nil || !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }) {
					continue
				}
				body := []byte(`{"tool": "aws___whoami", "arguments": {}}`)
				text, err := viaPod(context.Background(), "POST", ns, pod.Name, "/call", body)
				count++
				if err != nil || !strings.Contains(string(text), "Workload") {
					failures = append(failures, fmt.Sprintf("%v: %s", err, text))
				}
			}
		}
	}()
	apply(t, deployment("2"))
	rolled()
	close(stop)
	<-done
	if len(failures) > 0 || count == 0 {
		t.Errorf("%d of %d requests failed: %v", len(failures), count, failures)
	}
	t.Logf("%d requests meanwhile", count)
}

func TestSharedConfigsAndANamespaceThatGoes(t *testing.T) {
	apply(t, authConfig("countersign-system", "e2e-shared", accountConfig, "", `countersign.io/shared: "true"`))
	defer func() {
		_, _ = kubectl(context.Background(), "", "-n", "countersign-system", "delete", "configmap", "e2e-shared")
	}()
	ns := namespace(t, "e2e-sharing", "privileged")
	apply(t, agentPod(ns, "agent", "hosts", "e2e-shared", ""))
	waitReady(t, ns, "agent")
	if got := call(t, ns, "agent", "", "aws___whoami"); got.Error != "" {
		t.Error(got.Error)
	}
	_, err := kubectl(t.Context(), authConfig(ns, "countersign-shared-own", accountConfig, ""), "apply", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "only the Countersign controller may write them") {
		t.Errorf("a copy of a tenant's own: %v", err)
	}
	if err := clients.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace goes", 90*time.Second, func(ctx context.Context) error {
		_, err := clients.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
}

func TestYWithoutTheWebhookOnlyPodsThatAskAreStopped(t *testing.T) {
	ns := namespace(t, "e2e-down", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	scale := func(replicas string) {
		if _, err := kubectl(context.Background(), "", "-n", "countersign-system", "scale", "deployment/countersign-webhook", "--replicas="+replicas); err != nil {
			t.Fatal(err)
		}
	}
	scale("0")
	defer func() {
		scale("2")
		_, _ = kubectl(context.Background(), "", "-n", "countersign-system", "rollout", "status", "deployment/countersign-webhook", "--timeout=60s")
	}()
	eventually(t, "a Pod that asks is refused", 60*time.Second, func(ctx context.Context) error {
		_, err := kubectl(ctx, agentPod(ns, "asks", "hosts", "aws", ""), "apply", "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), `failed calling webhook "pods.countersign.io"`) {
			return fmt.Errorf("not refused so: %w", errors.Join(err, errors.New("see before")))
		}
		return nil
	})
	plain := strings.Replace(agentPod(ns, "plain", "hosts", "aws", ""), "countersign.io/auth-config: aws, ", "", 1)
	apply(t, plain)
	waitPlain := func(ctx context.Context) error {
		pod, err := clients.CoreV1().Pods(ns).Get(ctx, "plain", metav1.GetOptions{})
		if err != nil || pod.Status.Phase != corev1.PodRunning {
			return errors.Join(err, errors.New("not running"))
		}
		return nil
	}
	eventually(t, "a Pod that does not ask starts", 60*time.Second, waitPlain)
}

func TestZUninstallLeavesInjectedPodsAndNothingElse(t *testing.T) {
	apply(t, authConfig("countersign-system", "e2e-shared", accountConfig, "", `countersign.io/shared: "true"`))
	ns := namespace(t, "e2e-uninstall", "privileged")
	apply(t, agentPod(ns, "agent", "hosts", "e2e-shared", ""))
	waitReady(t, ns, "agent")
	if _, err := kubectl(t.Context(), "", "delete", "-k", "manifests/install", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	if got := call(t, ns, "agent", "", "aws___whoami"); got.Error != "" {
		t.Errorf("an injected Pod no longer works: %s", got.Error)
	}
	eventually(t, "the copies go", 60*time.Second, func(ctx context.Context) error {
		list, err := clients.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: "countersign.io/auth-config=copy"})
		if err != nil || len(list.Items) > 0 {
			return errors.Join(err, fmt.Errorf("%d are there", len(list.Items)))
		}
		return nil
	})
	output, err := kubectl(t.Context(), "", "get", "-o", "name", "-l", "app.kubernetes.io/part-of=countersign",
		"namespaces,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings")
	if err != nil || strings.Contains(output, "/") {
		t.Errorf("left behind: %v: %s", err, output)
	}
}
