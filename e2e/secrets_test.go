//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheAppReachesNoSecret(t *testing.T) {
	var ns string
	testEnvironment.Test(t, feature("the app reaches no secret", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-secrets", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""), agentPod(ns, "agent", "hosts", "aws", ""), agentPod(ns, "redirected", "redirect", "aws", ""), agentPod(ns, "plain", "loopback", "aws", ""))
			apply(t, sharingProcesses(agentPod(ns, "sharing", "hosts", "aws", ""), 0))
			for _, pod := range []string{"agent", "redirected", "plain", "sharing"} {
				waitReady(t, ns, pod)
				if got := call(t, ns, pod, "", "aws___run_script"); got.Error != "" {
					t.Fatal(got.Error)
				}
			}
		})).
		Assess("of the sidecar's files it reads certificates only", step(func(t *testing.T) {
			certificates := []string{"/var/run/countersign/ca/bundle.crt", "/var/run/countersign/ca/ca.crt", "/var/run/countersign/ca/truststore.p12"}
			for pod, want := range map[string][]string{"agent": certificates, "redirected": certificates, "sharing": certificates, "plain": nil} {
				var readable []string
				decode(t, viaAgent(t, ns, pod, "/files?dir=/var/run/countersign"), &readable)
				slices.Sort(readable)
				if !slices.Equal(readable, want) {
					t.Errorf("%s reads %v", pod, readable)
				}
			}
		})).
		Assess("it does not see the sidecar's process", step(func(t *testing.T) {
			for _, pod := range []string{"agent", "redirected", "plain"} {
				if got := viaAgent(t, ns, pod, "/processes?program=/sidecar"); strings.TrimSpace(string(got)) != "{}" {
					t.Errorf("%s sees %s", pod, got)
				}
			}
		})).
		Assess("where it sees it, as root, it does not get into it", step(func(t *testing.T) {
			var seen map[string][]string
			decode(t, viaAgent(t, ns, "sharing", "/processes?program=/sidecar"), &seen)
			if len(seen) != 1 {
				t.Fatalf("%d sidecars are seen: what follows shows nothing", len(seen))
			}
			for process, open := range seen {
				if len(open) > 0 {
					t.Errorf("of process %s it reads %v", process, open)
				}
			}
		})).
		Assess("the sidecar's own port and log tell none", step(func(t *testing.T) {
			log, err := clients.CoreV1().Pods(ns).GetLogs("agent", &corev1.PodLogOptions{Container: "countersign"}).DoRaw(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			texts := map[string]string{"log": string(log)}
			for _, path := range []string{"/metrics", "/status", "/debug/pprof/", "/debug/vars"} {
				texts[path] = string(viaAgent(t, ns, "agent", "/get?url=http://127.0.0.1:15390"+path))
			}
			if !strings.Contains(texts["/metrics"], "countersign_") {
				t.Errorf("no metrics: what follows shows nothing: %s", texts["/metrics"])
			}
			for from, text := range texts {
				for _, secret := range []string{"eyJ", "ASIA", "PRIVATE KEY", "Signature="} {
					if strings.Contains(text, secret) {
						t.Errorf("%s has %q: %s", from, secret, text)
					}
				}
			}
		})).
		Assess("an ephemeral container that asks for a reserved volume or uid is refused", step(func(t *testing.T) {
			uid := int64(15337)
			for want, container := range map[string]corev1.EphemeralContainerCommon{
				"may not mount a volume of the Countersign sidecar": {Name: "debug", VolumeMounts: []corev1.VolumeMount{{Name: "countersign-token", MountPath: "/t"}}},
				"15337": {Name: "debug", SecurityContext: &corev1.SecurityContext{RunAsUser: &uid}},
			} {
				container.Image = "countersign.io/e2e/agent:1"
				pod := getPod(t, ns, "agent")
				pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: container}}
				_, err := clients.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), "agent", pod, metav1.UpdateOptions{})
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v", err)
				}
			}
		})).
		Feature())
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
