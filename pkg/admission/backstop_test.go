package admission_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/inject"
)

const (
	annotationProbe = "example.com/probe"
	touch           = `{"op":"add","path":"/metadata/labels","value":{"touched":"yes"}}`
)

// secondWebhook is somebody else's mutating webhook, which runs after ours: it
// answers the Pod that is made in a namespace with one patch after the other,
// and the last one from then on.
func secondWebhook(t *testing.T, namespace string, patches ...string) {
	t.Helper()
	var calls atomic.Int32
	patchFor := func(raw []byte) string {
		if strings.Contains(string(raw), annotationProbe) {
			return "[" + touch + "]"
		}
		return patches[min(int(calls.Add(1))-1, len(patches)-1)]
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var review admissionv1.AdmissionReview
		if err != nil || json.Unmarshal(body, &review) != nil {
			http.Error(w, "not a review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: []byte(patchFor(review.Request.Object.Raw)), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch),
		}
		_ = json.NewEncoder(w).Encode(&review)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "zzz-other-"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "other.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      ptr.To("https://" + net.JoinHostPort("127.0.0.1", server.Listener.Addr().String()[strings.LastIndex(server.Listener.Addr().String(), ":")+1:])),
				CABundle: encodeCertificate(server.Certificate().Raw),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			FailurePolicy:     ptr.To(admissionregistrationv1.Fail), ReinvocationPolicy: ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	create(t, configuration)
	t.Cleanup(func() { _ = admin.Delete(context.Background(), configuration) })
	// The API server takes a moment to see it.
	eventually(t, "the second webhook is called", func(ctx context.Context) error {
		probe := podWith(namespace, map[string]string{annotationProbe: "true"})
		if err := admin.Create(ctx, probe, client.DryRunAll); err == nil && probe.Labels["touched"] == "yes" {
			return nil
		}
		return context.DeadlineExceeded
	})
}

func TestAPodThatLostItsSidecarToAnotherWebhookIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ patch, text string }{
		"the native sidecar made an ordinary init container": {`[{"op":"remove","path":"/spec/initContainers/0/restartPolicy"},{"op":"remove","path":"/spec/initContainers/0/startupProbe"}]`, `the native sidecar "countersign"`},
		"all init containers gone":                           {`[{"op":"remove","path":"/spec/initContainers"}]`, `the native sidecar "countersign"`},
		"the sidecar with another user":                      {`[{"op":"replace","path":"/spec/initContainers/0/securityContext/runAsUser","value":1}]`, "must be 15337"},
		"the host aliases gone":                              {`[{"op":"remove","path":"/spec/hostAliases"}]`, "host aliases"},
		"the app with the CA's key": {`[{"op":"add","path":"/spec/containers/0/volumeMounts/-","value":{"name":"countersign-ca-key","mountPath":"/k"}}]`,
			"mounts one of its volumes"},
		"the app with the CA writable": {`[{"op":"add","path":"/spec/containers/0/volumeMounts/-","value":{"name":"countersign-ca","mountPath":"/k"}}]`,
			"mounts one of its volumes"},
		"the app with the sidecar's uid": {`[{"op":"add","path":"/spec/containers/0/securityContext","value":{"runAsUser":15337}}]`, "runs as its uid"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := labelledNamespace(t)
			// Ours is called again after the first patch, and mends it. The second
			// patch comes when it is not called any more.
			secondWebhook(t, namespace, `[{"op":"replace","path":"/spec/initContainers/0/image","value":"other"}]`, test.patch)
			err := admin.Create(t.Context(), asking(namespace, "aws"))
			wantForbidden(t, "the Pod", err, test.text)
		})
	}
}

func TestARedirectThatLostItsRulesToAnotherWebhookIsRefused(t *testing.T) {
	namespace := labelledNamespace(t)
	secondWebhook(t, namespace, `[{"op":"replace","path":"/spec/initContainers/0/image","value":"other"}]`, `[{"op":"remove","path":"/spec/initContainers/1"}]`)
	pod := asking(namespace, "aws")
	pod.Annotations[inject.AnnotationIntercept] = "redirect"
	wantForbidden(t, "the Pod", admin.Create(t.Context(), pod), "countersign-redirect")
}

func TestTheSidecarsImageCannotBeChanged(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	create(t, pod)
	pod.Spec.InitContainers[0].Image = "registry.example.com/evil:1"
	wantForbidden(t, "the change", admin.Update(t.Context(), pod), "image of the Countersign sidecar cannot be changed")
	if err := get(t.Context(), namespace, pod.Name, pod); err != nil {
		t.Fatal(err)
	}
	pod.Spec.Containers[0].Image = "registry.example.com/agent:2"
	if err := admin.Update(t.Context(), pod); err != nil {
		t.Errorf("the app's image cannot be changed either: %v", err)
	}
}

func TestASidecarThatAnotherWebhookChangedIsMended(t *testing.T) {
	namespace := labelledNamespace(t)
	secondWebhook(t, namespace, `[{"op":"remove","path":"/spec/initContainers/0/restartPolicy"},{"op":"remove","path":"/spec/hostAliases"}]`, `[]`)
	pod := asking(namespace, "aws")
	create(t, pod)
	wantUnchangedWhenInjectedAgain(t, pod)
}

func TestAPodThatIsAnnotatedTooLateIsRefused(t *testing.T) {
	namespace := labelledNamespace(t)
	secondWebhook(t, namespace, `[{"op":"add","path":"/metadata/annotations","value":{"countersign.io/auth-config":"aws"}}]`)
	err := admin.Create(t.Context(), podWith(namespace, nil))
	wantForbidden(t, "the Pod", err, "asks for the Countersign sidecar and does not have it")
}

func TestAContainerThatAnotherWebhookAddsGetsItsEnvironmentToo(t *testing.T) {
	namespace := labelledNamespace(t)
	secondWebhook(t, namespace, `[{"op":"add","path":"/spec/containers/1","value":{"name":"late","image":"registry.example.com/late:1"}}]`, `[]`)
	pod := asking(namespace, "aws")
	create(t, pod)
	late := pod.Spec.Containers[1]
	if late.Name != "late" || len(late.Env) == 0 || late.Env[0].Name != "SSL_CERT_FILE" {
		t.Errorf("not reinvoked: %+v", late)
	}
}

func TestAnEphemeralContainerIsNoWayToTheSidecarsSecrets(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	create(t, pod)
	clients, err := kubernetes.NewForConfig(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*corev1.EphemeralContainer)
		text   string
	}{
		"it mounts the token": {func(c *corev1.EphemeralContainer) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "countersign-token", MountPath: "/t"}}
		}, "may not mount a volume of the Countersign sidecar"},
		"it takes the uid": {func(c *corev1.EphemeralContainer) {
			c.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr.To(int64(inject.UserID))}
		}, "may not run as the uid"},
		"it shares the sidecar's processes": {func(c *corev1.EphemeralContainer) { c.TargetContainerName = inject.ContainerSidecar }, "may not share the processes"},
		"it does nothing of the kind":       {func(*corev1.EphemeralContainer) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var current corev1.Pod
			if err := get(t.Context(), namespace, pod.Name, &current); err != nil {
				t.Fatal(err)
			}
			c := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example.com/debug:1"}}
			test.change(&c)
			current.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
			_, err := clients.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), pod.Name, &current, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			if test.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantForbidden(t, name, err, test.text)
		})
	}
}
