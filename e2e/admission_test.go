//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

func TestAnEditOfTheAuthConfig(t *testing.T) {
	for _, mode := range modes {
		var ns, alice string
		testEnvironment.Test(t, feature("the auth-config of running Pods is edited", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-edit-"+mode, "privileged")
				apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies), agentPod(ns, "agent", mode, "aws", ""))
				waitReady(t, ns, "agent")
				alice = token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
				if got := call(t, ns, "agent", alice, "aws___get_presigned_url"); !strings.Contains(got.Error, "denied") {
					t.Fatalf("before: %+v", got)
				}
			})).
			Assess("a broken edit is refused, with the place", step(func(t *testing.T) {
				_, err := kubectl(t.Context(), authConfig(ns, "aws", bearerConfig, "permit (principal, action == MCP::Action::"), "apply", "-f", "-")
				if err == nil || !strings.Contains(err.Error(), "tools.cedar: ") {
					t.Errorf("got %v", err)
				}
			})).
			Assess("a good one changes decisions without a restart", step(func(t *testing.T) {
				apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies+`permit (principal, action == MCP::Action::"aws___get_presigned_url", resource);`))
				// Where the kubelet does not watch ConfigMaps it looks once a minute.
				eventually(t, "the new policy is in use", 150*time.Second, func(context.Context) error {
					if got := call(t, ns, "agent", alice, "aws___get_presigned_url"); got.Error != "" {
						return errors.New(got.Error)
					}
					return nil
				})
				if status := getPod(t, ns, "agent").Status; status.InitContainerStatuses[0].RestartCount != 0 {
					t.Error("the sidecar was restarted")
				}
			})).
			Feature())
	}
}

func TestARefusalIsSeenWhereUsersLook(t *testing.T) {
	var ns string
	says := func(config string, wants ...string) func(t *testing.T) {
		return func(t *testing.T) {
			apply(t, agentDeployment(ns, config, "hosts", config))
			eventually(t, "kubectl describe tells why", 60*time.Second, func(ctx context.Context) error {
				output, err := kubectl(ctx, "", "-n", ns, "describe", "replicaset", "-l", "app="+config)
				if err != nil {
					return err
				}
				for _, want := range wants {
					if !strings.Contains(output, want) {
						return fmt.Errorf("it does not say %q: %s", want, output)
					}
				}
				return nil
			})
		}
	}
	testEnvironment.Test(t, feature("a Deployment's Pods are refused", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-refused", "privileged")
			// One that is broken cannot be applied with the label; without it, it can.
			unlabelled := strings.Replace(authConfig(ns, "unlabelled", accountConfig, ""), "    countersign.io/auth-config: \"true\"\n", "    other: \"true\"\n", 1)
			apply(t, unlabelled)
		})).
		Assess("describe says that the ConfigMap is missing", step(func(t *testing.T) {
			says("nowhere", `there is no ConfigMap "nowhere" in the namespace "`+ns+`"`, "(ConfigMapNotFound)")(t)
		})).
		Assess("describe says that it lacks the label", step(func(t *testing.T) { says("unlabelled", "countersign.io/auth-config", "(ConfigMapUnlabelled)")(t) })).
		Assess("describe says what is broken", step(func(t *testing.T) {
			// Broken since before the webhook saw it: written while it was told to look away.
			broken := authConfig(ns, "broken", strings.Replace(accountConfig, "region: us-east-1, fallbackRoleArn", "region: us-east-1, fallbackRole", 1), "")
			withoutConfigValidation(t, func() error {
				_, err := kubectl(t.Context(), broken, "apply", "-f", "-")
				return err
			})
			says("broken", "spec.awsSts.fallbackRole: 7:31: unknown field", "(ConfigMapInvalid)")(t)
		})).
		Feature())
}

// withoutConfigValidation does something while ConfigMaps are not looked at, as
// before Countersign was installed.
func withoutConfigValidation(t *testing.T, do func() error) {
	t.Helper()
	set := func(selector *metav1.LabelSelector) (before *metav1.LabelSelector) {
		api := clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		// The webhook writes it too, when it makes a new certificate.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			configuration, err := api.Get(context.Background(), "countersign-webhook", metav1.GetOptions{})
			if err != nil {
				return err
			}
			before, configuration.Webhooks[0].ObjectSelector = configuration.Webhooks[0].ObjectSelector, selector
			_, err = api.Update(context.Background(), configuration, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return before
	}
	before := set(&metav1.LabelSelector{MatchLabels: map[string]string{"nothing": "has-this"}})
	defer set(before)
	// The API server learns of it a little later.
	eventually(t, "a broken auth-config can be applied", 30*time.Second, func(context.Context) error { return do() })
}

// TestASecondMutatingWebhook has the stand-ins play another webhook, whose name
// comes after ours.
func TestASecondMutatingWebhook(t *testing.T) {
	var ns string
	const name = "zz-e2e-second"
	refused := func(label, want string) func(t *testing.T) {
		return func(t *testing.T) {
			pod := agentPod(ns, label, "hosts", "aws", "")
			if label == "annotate" {
				pod = strings.Replace(pod, "  annotations: {countersign.io/auth-config: aws, countersign.io/intercept: hosts}\n", "", 1)
			}
			pod = strings.Replace(pod, "  namespace: ", "  labels: {second: "+label+"}\n  namespace: ", 1)
			_, err := kubectl(t.Context(), pod, "apply", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		}
	}
	testEnvironment.Test(t, feature("a second mutating webhook", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-second", "privileged")
			apply(t, authConfig(ns, "aws", accountConfig, ""), secondWebhook(name, ns))
			t.Cleanup(func() {
				_ = clients.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{})
			})
			eventually(t, "it is called", 30*time.Second, func(ctx context.Context) error {
				pod := strings.Replace(agentPod(ns, "probe", "hosts", "aws", ""), "  namespace: ", "  labels: {second: mark}\n  namespace: ", 1)
				output, err := kubectl(ctx, pod, "apply", "--dry-run=server", "-o", "jsonpath={.metadata.annotations.second}", "-f", "-")
				if err != nil || output != "was here" {
					return fmt.Errorf("not yet: %w: %s", err, output)
				}
				return nil
			})
		})).
		Assess("that adds the annotation late: the Pod is refused", step(func(t *testing.T) {
			refused("annotate", "asks for the Countersign sidecar and does not have it")(t)
		})).
		Assess("that strips restartPolicy: the Pod is refused", step(func(t *testing.T) { refused("strip", `the native sidecar "countersign"`)(t) })).
		Feature())
}

func secondWebhook(name, ns string) string {
	return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %s}
webhooks:
- name: second.e2e.countersign.io
  admissionReviewVersions: [v1]
  sideEffects: None
  reinvocationPolicy: IfNeeded
  failurePolicy: Fail
  clientConfig: {service: {namespace: standins, name: second, path: /}, caBundle: %s}
  rules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
  objectSelector: {matchExpressions: [{key: second, operator: Exists}]}
`, name, base64.StdEncoding.EncodeToString([]byte(standinCA)), ns)
}
