package admission_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/inject"
)

const validConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}
  identity: {source: serviceAccount}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/Default"}
`

// brokenConfig has three faults, one of them in CEL.
const brokenConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstream: []
  identity: {source: serviceAccount}
  awsSts:
    region: us-east-1
    roleMappings:
    - {matcher: '"a" in claim["x"]', roleArn: "arn:aws:iam::123456789012:role/A"}
`

func namespaceWith(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func serviceAccount(namespace string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}
}

func authConfig(namespace, name, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{inject.LabelAuthConfig: "true"}},
		Data:       map[string]string{"auth-config.yaml": text},
	}
}

func podWith(namespace string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "agent-", Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "registry.example.com/agent:1"}}},
	}
}

func asking(namespace, config string) *corev1.Pod {
	return podWith(namespace, map[string]string{inject.AnnotationAuthConfig: config})
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := admin.Create(t.Context(), object); err != nil {
		t.Fatalf("create %s: %v", object.GetName(), err)
	}
}

// labelledNamespace is one of the test's own, with a valid auth-config "aws".
func labelledNamespace(t *testing.T, extra ...string) string {
	t.Helper()
	labels := map[string]string{inject.LabelInjection: "enabled"}
	for n := 0; n+1 < len(extra); n += 2 {
		labels[extra[n]] = extra[n+1]
	}
	name := plainNamespace(t, labels)
	create(t, authConfig(name, "aws", validConfig))
	return name
}

func plainNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	create(t, namespace)
	create(t, serviceAccount(namespace.Name))
	return namespace.Name
}

// warningClient collects the warnings of its requests.
type warningClient struct {
	client.Client
	mu       sync.Mutex
	warnings []string
}

func (w *warningClient) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warnings = append(w.warnings, text)
}

func (w *warningClient) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.warnings, "\n")
}

// clientAs acts as a user, admin if the name is empty.
func clientAs(t *testing.T, user string, groups ...string) *warningClient {
	t.Helper()
	config := rest.CopyConfig(plane.Admin)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	}
	w := &warningClient{}
	config.WarningHandler = w
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Client = c
	return w
}

// eventually waits for what the controller does.
func eventually(t *testing.T, what string, is func(ctx context.Context) error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = is(t.Context()); err == nil {
			return
		}
	}
	t.Fatalf("%s: still not after 20 s: %v", what, err)
}

func get[T client.Object](ctx context.Context, namespace, name string, into T) error {
	return admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into)
}

func isGone(ctx context.Context, namespace, name string) error {
	err := get(ctx, namespace, name, &corev1.ConfigMap{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return errors.Join(err, fmt.Errorf("%s/%s is there", namespace, name))
}

// wantRefusal checks the text that a user sees and the code that a program does.
func wantRefusal(t *testing.T, err error, code inject.Code, text string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was admitted")
	}
	if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "("+string(code)+")") {
		t.Errorf("the refusal is %q, without %q and (%s)", err, text, code)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("%v is no API status", err)
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) != 1 || string(details.Causes[0].Type) != string(code) {
		t.Errorf("the causes are %+v, not the code %s", details, code)
	}
}

func sidecarOf(pod *corev1.Pod) *corev1.Container {
	for n := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[n]; c.Name == inject.ContainerSidecar {
			return c
		}
	}
	return nil
}
