package check_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/countersign-io/countersign/e2e/controlplane"
	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/check"
	"github.com/countersign-io/countersign/pkg/cluster"
)

// The shipped manifests on a real API server. What only a running webhook would do, these
// tests do in its place: the CA, the certificate, the Deployment's status.
var (
	client      *cluster.Client
	authority   []byte
	certificate []byte
)

func TestMain(m *testing.M) {
	code, err := onAPIServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check tests:", err)
		code = 1
	}
	os.Exit(code)
}

func onAPIServer(m *testing.M) (int, error) {
	ctx := context.Background()
	plane, err := controlplane.Start(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { _ = plane.Stop() }()
	kube, err := kubernetes.NewForConfig(plane.Admin)
	if err != nil {
		return 1, err
	}
	client = &cluster.Client{Kube: kube, Config: plane.Admin, Namespace: "agents", SystemNamespace: "countersign-system"}
	if output, err := plane.Kubectl(ctx, "apply", "-k", "manifests/base"); err != nil {
		return 1, fmt.Errorf("%w: %s", err, output)
	}
	if authority, certificate, err = signed(time.Now().Add(90 * 24 * time.Hour)); err != nil {
		return 1, err
	}
	if err := stand(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// signed makes a certificate for the webhook's Service that is its own CA.
func signed(until time.Time) (ca, leaf []byte, err error) {
	leaf, _, err = standin.SelfSigned(x509.Certificate{
		Subject: pkix.Name{CommonName: "webhook"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until, IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"countersign-webhook.countersign-system.svc"},
	})
	return leaf, leaf, err
}

// stand puts everything as it is where all is well.
func stand(ctx context.Context) error {
	mutating, err := client.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "countersign-webhook", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = authority
		// Nobody serves here.
		mutating.Webhooks[i].MatchConditions = []admissionv1.MatchCondition{{Name: "never", Expression: "false"}}
	}
	if _, err := client.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(ctx, mutating, metav1.UpdateOptions{}); err != nil {
		return err
	}
	validating, err := client.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "countersign-webhook", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = authority
		validating.Webhooks[i].MatchConditions = []admissionv1.MatchCondition{{Name: "never", Expression: "false"}}
	}
	if _, err := client.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(ctx, validating, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := setCertificate(ctx, certificate); err != nil {
		return err
	}
	return setAvailable(ctx, 2)
}

func setCertificate(ctx context.Context, text []byte) error {
	secrets := client.Kube.CoreV1().Secrets(client.SystemNamespace)
	secret, err := secrets.Get(ctx, "countersign-webhook-certificate", metav1.GetOptions{})
	if err != nil {
		return err
	}
	secret.Data = map[string][]byte{corev1.TLSCertKey: text}
	_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

func setAvailable(ctx context.Context, n int32) error {
	deployments := client.Kube.AppsV1().Deployments(client.SystemNamespace)
	d, err := deployments.Get(ctx, "countersign-webhook", metav1.GetOptions{})
	if err != nil {
		return err
	}
	d.Status = appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: n, AvailableReplicas: n, UpdatedReplicas: n}
	_, err = deployments.UpdateStatus(ctx, d, metav1.UpdateOptions{})
	return err
}

func lookAtInstallation(t *testing.T) *check.Report {
	t.Helper()
	r := &check.Report{}
	if err := check.Installation(t.Context(), client, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnInstallationThatStands(t *testing.T) {
	if r := lookAtInstallation(t); r.Failed() || len(r.Facts) < 11 {
		t.Errorf("%+v", r.Facts)
	}
	r := &check.Report{}
	if err := check.Before(t.Context(), client, r); err != nil || r.Failed() {
		t.Errorf("%v: %+v", err, r.Facts)
	}
}

// edit changes an object, and gives what undoes it.
type edit func(ctx context.Context) (undo func(ctx context.Context) error, err error)

func removePolicy(name string) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		policies := client.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
		before, err := policies.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		before.ResourceVersion, before.UID = "", ""
		return func(ctx context.Context) error {
			_, err := policies.Create(ctx, before, metav1.CreateOptions{})
			return err
		}, policies.Delete(ctx, name, metav1.DeleteOptions{})
	}
}

func editBinding(name string, change func(*admissionv1.ValidatingAdmissionPolicyBinding)) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		bindings := client.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
		before, err := bindings.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		before.ResourceVersion, before.UID = "", ""
		undo := func(ctx context.Context) error {
			_ = bindings.Delete(ctx, name, metav1.DeleteOptions{})
			_, err := bindings.Create(ctx, before, metav1.CreateOptions{})
			return err
		}
		if err := bindings.Delete(ctx, name, metav1.DeleteOptions{}); err != nil || change == nil {
			return undo, err
		}
		changed := before.DeepCopy()
		change(changed)
		_, err = bindings.Create(ctx, changed, metav1.CreateOptions{})
		return undo, err
	}
}

func editMutating(change func(*admissionv1.MutatingWebhookConfiguration)) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		configurations := client.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
		before, err := configurations.Get(ctx, "countersign-webhook", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		changed := before.DeepCopy()
		before.ResourceVersion, before.UID = "", ""
		undo := func(ctx context.Context) error {
			_ = configurations.Delete(ctx, before.Name, metav1.DeleteOptions{})
			_, err := configurations.Create(ctx, before, metav1.CreateOptions{})
			return err
		}
		if change == nil {
			return undo, configurations.Delete(ctx, before.Name, metav1.DeleteOptions{})
		}
		change(changed)
		_, err = configurations.Update(ctx, changed, metav1.UpdateOptions{})
		return undo, err
	}
}

func editDeployment(change func(*appsv1.Deployment)) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		deployments := client.Kube.AppsV1().Deployments(client.SystemNamespace)
		before, err := deployments.Get(ctx, "countersign-webhook", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		changed := before.DeepCopy()
		before.ResourceVersion, before.UID = "", ""
		undo := func(ctx context.Context) error {
			_ = deployments.Delete(ctx, before.Name, metav1.DeleteOptions{})
			if _, err := deployments.Create(ctx, before, metav1.CreateOptions{}); err != nil {
				return err
			}
			return setAvailable(ctx, 2)
		}
		if change == nil {
			return undo, deployments.Delete(ctx, before.Name, metav1.DeleteOptions{})
		}
		change(changed)
		_, err = deployments.Update(ctx, changed, metav1.UpdateOptions{})
		return undo, err
	}
}

func withCertificate(text func() []byte) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return setCertificate(ctx, certificate) }, setCertificate(ctx, text())
	}
}

func certificateUntil(until time.Time) func() []byte {
	return func() []byte {
		_, leaf, err := signed(until)
		if err != nil {
			panic(err)
		}
		return leaf
	}
}

func available(n int32) edit {
	return func(ctx context.Context) (func(context.Context) error, error) {
		return func(ctx context.Context) error { return setAvailable(ctx, 2) }, setAvailable(ctx, n)
	}
}

func TestWhatIsBrokenInAnInstallationIsNamed(t *testing.T) {
	ignore := admissionv1.Ignore
	for name, c := range map[string]struct {
		edit           edit
		state          check.State
		fact           string
		detail, advice string
	}{
		"the mutating webhook is gone": {editMutating(nil), check.Fail, "mutating webhook", "is not there", "helm upgrade --install"},
		"an outage would let Pods through": {editMutating(func(m *admissionv1.MutatingWebhookConfiguration) { m.Webhooks[0].FailurePolicy = &ignore }),
			check.Fail, "mutating webhook", "failurePolicy Ignore", "must be Fail"},
		"there is no CA": {editMutating(func(m *admissionv1.MutatingWebhookConfiguration) { m.Webhooks[0].ClientConfig.CABundle = nil }),
			check.Fail, "mutating webhook", "has no CA", "cainjector"},
		"the validating webhook is gone": {func(ctx context.Context) (func(context.Context) error, error) {
			configurations := client.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
			before, err := configurations.Get(ctx, "countersign-webhook", metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			before.ResourceVersion, before.UID = "", ""
			return func(ctx context.Context) error {
				_, err := configurations.Create(ctx, before, metav1.CreateOptions{})
				return err
			}, configurations.Delete(ctx, before.Name, metav1.DeleteOptions{})
		}, check.Fail, "validating webhook", "is not there", "install Countersign"},
		"the Deployment is gone":  {editDeployment(nil), check.Fail, "replicas", "is not there", "install Countersign"},
		"no replica is available": {available(0), check.Fail, "replicas", "0 of 2 are available", "describe pods"},
		"a replica is missing":    {available(1), check.Warn, "replicas", "1 of 2 are available", "get pods"},
		"the versions differ":     {editDeployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "countersign/webhook:v9" }), check.Warn, "images", "v9", "same version"},
		"there is one replica":    {editDeployment(func(d *appsv1.Deployment) { *d.Spec.Replicas = 1 }), check.Warn, "replicas", "while it is away", "two replicas"},
		"there is no certificate": {withCertificate(func() []byte { return nil }), check.Fail, "serving certificate", "holds none", "may update the Secret"},
		"the certificate is over": {withCertificate(certificateUntil(time.Now().Add(-time.Minute))), check.Fail, "serving certificate", "expired", "renews it by itself"},
		"another CA signed it":    {withCertificate(certificateUntil(time.Now().Add(90 * 24 * time.Hour))), check.Fail, "serving certificate", "none that the webhook configurations' CA signed", "renews it"},
		"no policy on Pods":       {removePolicy("countersign-injected-pods"), check.Fail, "admission policy countersign-injected-pods", "is not there", "apply the manifests again"},
		"no policy on images":     {removePolicy("countersign-sidecar-image"), check.Fail, "admission policy countersign-sidecar-image", "is not there", "apply the manifests again"},
		"no policy on debugging":  {removePolicy("countersign-ephemeral-containers"), check.Fail, "admission policy countersign-ephemeral-containers", "is not there", "apply the manifests again"},
		"no policy on copies":     {removePolicy("countersign-shared-configs"), check.Fail, "admission policy countersign-shared-configs", "is not there", "apply the manifests again"},
		"no policy on unlabelled": {removePolicy("countersign-unlabelled-namespaces"), check.Fail, "admission policy countersign-unlabelled-namespaces", "is not there", "apply the manifests again"},
		"a policy is not bound":   {editBinding("countersign-injected-pods", nil), check.Fail, "binding of the admission policy countersign-injected-pods", "is not there", "apply the manifests again"},
		"a binding binds another": {editBinding("countersign-injected-pods", func(b *admissionv1.ValidatingAdmissionPolicyBinding) { b.Spec.PolicyName = "countersign-sidecar-image" }), check.Fail, "binding of the admission policy countersign-injected-pods", "binds countersign-sidecar-image", "apply the manifests again"},
	} {
		t.Run(name, func(t *testing.T) {
			undo, err := c.edit(t.Context())
			if undo != nil {
				defer func() {
					if err := undo(context.Background()); err != nil {
						t.Fatal(err)
					}
				}()
			}
			if err != nil {
				t.Fatal(err)
			}
			r := lookAtInstallation(t)
			for _, f := range r.Facts {
				if f.Name == c.fact && f.State == c.state && strings.Contains(f.Detail, c.detail) && strings.Contains(f.Advice, c.advice) {
					return
				}
			}
			t.Errorf("%+v", r.Facts)
		})
	}
}

const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: aud}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
`

// scene is a namespace with an auth-config and Pods that were there before the label was.
func scene(t *testing.T, labels map[string]string, text string, pods ...*corev1.Pod) string {
	t.Helper()
	ctx := t.Context()
	namespace, err := client.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "check-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Kube.CoreV1().ServiceAccounts(namespace.Name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		if _, err := client.Kube.CoreV1().ConfigMaps(namespace.Name).Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "aws-mcp", Labels: map[string]string{"countersign.io/auth-config": "true"}},
			Data:       map[string]string{"auth-config.yaml": text},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, pod := range pods {
		if _, err := client.Kube.CoreV1().Pods(namespace.Name).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	namespace.Labels = labels
	if _, err := client.Kube.CoreV1().Namespaces().Update(ctx, namespace, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// asking is a Pod that asks for a sidecar.
func asking(mode string, injected bool) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "agent", Annotations: map[string]string{"countersign.io/auth-config": "aws-mcp"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	if mode != "" {
		pod.Annotations["countersign.io/intercept"] = mode
	}
	if injected { // in mode loopback, by an older webhook
		always := corev1.ContainerRestartPolicyAlways
		pod.Spec.InitContainers = []corev1.Container{{Name: "countersign", Image: "countersign/sidecar:old", RestartPolicy: &always}}
	}
	return pod
}

func TestWhatIsBrokenInANamespaceIsNamed(t *testing.T) {
	enabled := map[string]string{"countersign.io/injection": "enabled"}
	for name, c := range map[string]struct {
		labels         map[string]string
		config         string
		pods           []*corev1.Pod
		state          check.State
		detail, advice string
	}{
		"all is well":                       {enabled, config, nil, check.OK, "valid: upstreams 1", ""},
		"it is not labelled, and Pods ask":  {nil, config, []*corev1.Pod{asking("", false)}, check.Fail, "1 Pods ask for a sidecar", "kubectl label namespace"},
		"it is not labelled":                {nil, config, nil, check.Warn, "no sidecar is injected", "kubectl label namespace"},
		"the Pod Security level is too low": {map[string]string{"countersign.io/injection": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}, config, []*corev1.Pod{asking("redirect", false)}, check.Fail, "needs privileged", "mode hosts"},
		"an auth-config is invalid":         {enabled, strings.Replace(config, "audience: aud", "audiance: aud", 1), nil, check.Fail, "spec.identity.oidc.audiance", "kubectl countersign validate"},
		"an auth-config is bold":            {enabled, config, nil, check.Warn, "every tool is allowed", "docs/policies.md"},
		"a Pod asks and has no sidecar":     {enabled, config, []*corev1.Pod{asking("", false)}, check.Fail, "asks for a sidecar and has none", "rollout restart"},
		"a Pod has another mode":            {enabled, config, []*corev1.Pod{asking("hosts", true)}, check.Fail, "has mode loopback and asks for hosts", "rollout restart"},
		"a Pod has an old image":            {enabled, config, []*corev1.Pod{asking("", true)}, check.Warn, "runs countersign/sidecar:old, new Pods get countersign/sidecar:dev", "rollout restart"},
		"a Pod's auth-config is gone":       {enabled, "", []*corev1.Pod{asking("", true)}, check.Fail, "is gone", "apply the auth-config again"},
		"a Pod's sidecar does not run":      {enabled, config, []*corev1.Pod{asking("", true)}, check.Fail, "its sidecar does not run", "logs agent -c countersign"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &check.Report{}
			check.Namespace(t.Context(), client, scene(t, c.labels, c.config, c.pods...), r)
			for _, f := range r.Facts {
				if f.State == c.state && strings.Contains(f.Detail, c.detail) && strings.Contains(f.Advice, c.advice) {
					return
				}
			}
			t.Errorf("%+v", r.Facts)
		})
	}
	t.Run("it is not there", func(t *testing.T) {
		r := &check.Report{}
		check.Namespace(t.Context(), client, "nowhere", r)
		wantFailure(t, r, "is not there", "kubectl create namespace nowhere")
	})
}
