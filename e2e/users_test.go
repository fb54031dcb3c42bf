//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var modes = []string{"hosts", "redirect", "loopback"}

func TestAnAppActsForTwoUsers(t *testing.T) {
	for _, mode := range modes {
		var ns, pod, alice, bob string
		var before seen
		testEnvironment.Test(t, feature("an app acts for two users", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-users-"+mode, "privileged")
				apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies), agentDeployment(ns, "agent", mode, "aws"))
				pod = podOf(t, ns, "agent")
				alice = token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
				bob = token(t, map[string]any{"sub": "bob", "groups": []string{"admins"}})
				before = standinsSaw(t)
			})).
			Assess("the Deployment's Pod got the sidecar", step(func(t *testing.T) {
				got := getPod(t, ns, pod)
				if first := got.Spec.InitContainers[0]; first.Name != "countersign" || first.RestartPolicy == nil || *first.RestartPolicy != corev1.ContainerRestartPolicyAlways {
					t.Errorf("the first init container is %+v", first)
				}
			})).
			Assess("one user gets her role and sees what she may call", step(func(t *testing.T) {
				got := call(t, ns, pod, alice, "aws___run_script")
				if got.Text != session+"S3/alice" || slices.Contains(got.Tools, "aws___get_presigned_url") || !slices.Contains(got.Tools, "aws___read_documentation") {
					t.Errorf("alice: %+v", got)
				}
			})).
			Assess("what she may not call is denied", step(func(t *testing.T) {
				if got := call(t, ns, pod, alice, "aws___get_presigned_url"); !strings.Contains(got.Error, "denied") {
					t.Errorf("alice deletes: %+v", got)
				}
			})).
			Assess("another user gets his", step(func(t *testing.T) {
				if got := call(t, ns, pod, bob, "aws___run_script"); got.Text != session+"Admin/bob" {
					t.Errorf("bob: %+v", got)
				}
				if got := call(t, ns, pod, bob, "aws___get_presigned_url"); got.Error != "" || !slices.Contains(got.Tools, "aws___get_presigned_url") {
					t.Errorf("bob deletes: %+v", got)
				}
			})).
			Assess("nobody is refused", step(func(t *testing.T) {
				if got := call(t, ns, pod, "", "aws___run_script"); !strings.Contains(got.Error, "401") && !strings.Contains(strings.ToLower(got.Error), "unauthorized") {
					t.Errorf("nobody: %+v", got)
				}
			})).
			Assess("the server saw valid signatures only", step(func(t *testing.T) {
				if after := standinsSaw(t); after.Refused != before.Refused || after.Verified == before.Verified {
					t.Errorf("before %+v, after %+v", before, after)
				}
			})).
			Feature())
	}
}
