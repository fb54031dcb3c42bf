package check

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/countersign-io/countersign/pkg/cluster"
)

// minKubernetes is the oldest version that the admission policies work with.
const minKubernetes = "1.30.0"

// webhookName is that of the Deployment, the Service and both webhook configurations.
const webhookName = "countersign-webhook"

// certificateWarning is how long before its end a certificate is worth a word: the webhook
// renews its own a third of their life before.
const certificateWarning = 7 * 24 * time.Hour

// admissionPolicies are the backstop, see manifests/base/policies.yaml.
var admissionPolicies = []string{
	"countersign-injected-pods", "countersign-sidecar-image", "countersign-ephemeral-containers",
	"countersign-shared-configs", "countersign-unlabelled-namespaces",
}

const installAdvice = "install Countersign: `kubectl apply -k manifests/base`, or `helm upgrade --install countersign " +
	"manifests/chart -n countersign-system --create-namespace`"

// Installation looks at what is installed; its error says that the cluster cannot be asked.
func Installation(ctx context.Context, c *cluster.Client, r *Report) error {
	r.Group("Cluster")
	if err := kubernetesVersion(c, r); err != nil {
		return err
	}
	r.Group("Webhook")
	authority := webhookConfigurations(ctx, c, r)
	deployment(ctx, c, r)
	servingCertificate(ctx, c, authority, r)
	for _, name := range admissionPolicies {
		admissionPolicy(ctx, c, name, r)
	}
	return nil
}

// Before looks at a cluster where nothing is installed yet.
func Before(ctx context.Context, c *cluster.Client, r *Report) error {
	r.Group("Cluster")
	if err := kubernetesVersion(c, r); err != nil {
		return err
	}
	if _, err := c.Kube.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1"); err != nil {
		r.Unknown("admission API", err)
	} else {
		r.OK("admission API", "admissionregistration.k8s.io/v1 is served")
	}
	r.Group("Rights to install")
	for _, kind := range []authorizationv1.ResourceAttributes{
		{Verb: "create", Resource: "namespaces"},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
		{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies"},
		{Verb: "create", Group: "apps", Resource: "deployments", Namespace: c.SystemNamespace},
	} {
		mayDo(ctx, c, kind, r)
	}
	r.Group("Nothing in the way")
	_, err := c.Kube.AdmissionregistrationV1().
		MutatingWebhookConfigurations().
		Get(ctx, webhookName, metav1.GetOptions{})
	switch {
	case err == nil:
		r.Warn(
			"earlier installation",
			"the webhook is installed already",
			"to look at it: `kubectl countersign check`",
		)
	case apierrors.IsNotFound(err):
		r.OK("earlier installation", "none")
	default:
		r.Unknown("earlier installation", err)
	}
	return nil
}

func mayDo(ctx context.Context, c *cluster.Client, kind authorizationv1.ResourceAttributes, r *Report) {
	name := kind.Verb + " " + kind.Resource
	review, err := c.Kube.AuthorizationV1().
		SelfSubjectAccessReviews().
		Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &kind},
		}, metav1.CreateOptions{})
	switch {
	case err != nil:
		r.Unknown(name, err)
	case !review.Status.Allowed:
		r.Fail(name, "you may not", "install with a user that may, such as a cluster admin")
	default:
		r.OK(name, "you may")
	}
}

func kubernetesVersion(c *cluster.Client, r *Report) error {
	const name = "Kubernetes version"
	info, err := c.Kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("the cluster does not answer: %w", err)
	}
	running, err := version.ParseGeneric(info.GitVersion)
	if err != nil {
		r.Unknown(name, err)
		return nil
	}
	if !running.AtLeast(version.MustParseGeneric(minKubernetes)) {
		r.Fail(name, info.GitVersion+" is older than 1.30", "update the cluster: the admission policies need 1.30")
		return nil
	}
	r.OK(name, "%s", info.GitVersion)
	return nil
}

// webhookConfigurations gives the CA that both configurations have.
func webhookConfigurations(ctx context.Context, c *cluster.Client, r *Report) (authority []byte) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	const mutatingName, validatingName = "mutating webhook", "validating webhook"
	mutating, err := c.Kube.AdmissionregistrationV1().
		MutatingWebhookConfigurations().
		Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		missing(r, mutatingName, err, installAdvice)
	} else {
		for i := range mutating.Webhooks {
			w := &mutating.Webhooks[i]
			authority = w.ClientConfig.CABundle
			configuration(r, mutatingName, w.Name, w.ClientConfig, w.FailurePolicy)
		}
	}
	validating, err := c.Kube.AdmissionregistrationV1().
		ValidatingWebhookConfigurations().
		Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		missing(r, validatingName, err, installAdvice)
		return authority
	}
	for i := range validating.Webhooks {
		w := &validating.Webhooks[i]
		if w.FailurePolicy != nil && *w.FailurePolicy == admissionv1.Ignore {
			continue // it only warns of deletions
		}
		configuration(r, validatingName, w.Name, w.ClientConfig, w.FailurePolicy)
	}
	return authority
}

func configuration(
	r *Report,
	name, webhook string,
	client admissionv1.WebhookClientConfig,
	failure *admissionv1.FailurePolicyType,
) {
	switch {
	case failure != nil && *failure != admissionv1.Fail:
		r.Fail(
			name,
			webhook+" has failurePolicy "+string(*failure)+": while the webhook is away Pods start without a sidecar",
			"apply the manifests again: failurePolicy must be Fail",
		)
	case len(client.CABundle) == 0:
		r.Fail(
			name,
			webhook+" has no CA: API servers cannot trust the webhook",
			"see whether the webhook runs (`kubectl -n countersign-system logs deployment/countersign-webhook`): it publishes "+
				"its CA; with cert-manager see whether cainjector runs",
		)
	case !x509.NewCertPool().AppendCertsFromPEM(client.CABundle):
		r.Fail(
			name,
			webhook+" has a CA that is no certificate",
			"delete caBundle: the webhook, or cert-manager, writes it anew",
		)
	default:
		r.OK(name, "%s is called, and its CA is there", webhook)
	}
}

func missing(r *Report, name string, err error, advice string) {
	if apierrors.IsNotFound(err) {
		r.Fail(name, "is not there", advice)
		return
	}
	r.Unknown(name, err)
}

func deployment(ctx context.Context, c *cluster.Client, r *Report) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	const name = "replicas"
	d, err := c.Kube.AppsV1().Deployments(c.SystemNamespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		missing(r, name, err, installAdvice)
		return
	}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	detail := fmt.Sprintf("%d of %d are available", d.Status.AvailableReplicas, wanted)
	switch {
	case d.Status.AvailableReplicas == 0:
		r.Fail(name, detail+": Pods that ask for a sidecar are refused",
			"`kubectl -n "+c.SystemNamespace+" describe pods -l app.kubernetes.io/component=webhook` says why")
	case d.Status.AvailableReplicas < wanted:
		r.Warn(name, detail, "`kubectl -n "+c.SystemNamespace+" get pods` shows which is not")
	case wanted == 1:
		r.Warn(name, detail+": while it is away Pods that ask for a sidecar are refused", "run two replicas")
	default:
		r.OK(name, "%s", detail)
	}
	images(d.Spec.Template.Spec.Containers, r)
}

func images(containers []corev1.Container, r *Report) {
	for i := range containers {
		if containers[i].Name != "webhook" {
			continue
		}
		webhook, sidecar := containers[i].Image, SidecarImage(&containers[i])
		if tagOf(webhook) != tagOf(sidecar) {
			r.Warn("images", "the webhook is "+webhook+", its sidecars "+sidecar, "give both the same version")
			return
		}
		r.OK("images", "%s and %s", webhook, sidecar)
	}
}

// SidecarImage is the image of sidecars that a webhook's container was told.
func SidecarImage(webhook *corev1.Container) string {
	for _, variable := range webhook.Env {
		if variable.Name == "SIDECAR_IMAGE" {
			return variable.Value
		}
	}
	for _, argument := range webhook.Args {
		if image, ok := strings.CutPrefix(argument, "--sidecar-image="); ok {
			return image
		}
	}
	return ""
}

func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
		return image[at+1:]
	}
	return ""
}

func servingCertificate(ctx context.Context, c *cluster.Client, authority []byte, r *Report) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	const name = "serving certificate"
	const advice = "the webhook renews it by itself: see its log, and whether it may update the Secret; with cert-manager see the " +
		"Certificate"
	secret, err := c.Kube.CoreV1().Secrets(c.SystemNamespace).Get(ctx, webhookName+"-certificate", metav1.GetOptions{})
	if err != nil {
		missing(r, name, err, installAdvice)
		return
	}
	block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
	if block == nil {
		r.Fail(name, "the Secret holds none", advice)
		return
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		r.Fail(name, err.Error(), advice)
		return
	}
	roots := x509.NewCertPool()
	_, err = certificate.Verify(x509.VerifyOptions{
		DNSName: webhookName + "." + c.SystemNamespace + ".svc", Roots: roots, CurrentTime: time.Now(),
	})
	if roots.AppendCertsFromPEM(authority) {
		_, err = certificate.Verify(
			x509.VerifyOptions{DNSName: webhookName + "." + c.SystemNamespace + ".svc", Roots: roots},
		)
	}
	var invalid x509.CertificateInvalidError
	switch left := time.Until(certificate.NotAfter); {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired || left <= 0:
		r.Fail(name, "has expired, "+certificate.NotAfter.UTC().Format(time.RFC3339), advice)
	case err != nil:
		r.Fail(name, "is none that the webhook configurations' CA signed for the Service: "+err.Error(), advice)
	case left < certificateWarning:
		r.Warn(name, "ends in "+left.Round(time.Hour).String(), advice)
	default:
		r.OK(name, "ends %s", certificate.NotAfter.UTC().Format(time.DateOnly))
	}
}

func admissionPolicy(ctx context.Context, c *cluster.Client, name string, r *Report) {
	ctx, cancel := withTime(ctx)
	defer cancel()
	const advice = "apply the manifests again: the policies hold where webhooks cannot"
	policies := c.Kube.AdmissionregistrationV1()
	if _, err := policies.ValidatingAdmissionPolicies().Get(ctx, name, metav1.GetOptions{}); err != nil {
		missing(r, "admission policy "+name, err, advice)
		return
	}
	binding, err := policies.ValidatingAdmissionPolicyBindings().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		missing(r, "binding of the admission policy "+name, err, advice)
		return
	}
	if binding.Spec.PolicyName != name {
		r.Fail("binding of the admission policy "+name, "binds "+binding.Spec.PolicyName, advice)
		return
	}
	r.OK("admission policy "+name, "is bound")
}
