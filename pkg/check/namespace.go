package check

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-io/countersign/pkg/cluster"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// podSecurityLabel sets the level that Pods of a namespace must keep to.
// https://kubernetes.io/docs/concepts/security/pod-security-admission/
const podSecurityLabel = "pod-security.kubernetes.io/enforce"

// Namespace looks at a namespace: its labels, its auth-configs, its Pods. It gives the valid
// auth-configs by name.
func Namespace(ctx context.Context, c *cluster.Client, name string, r *Report) map[string]*compile.Compiled {
	r.Group("Namespace " + name)
	ctx, cancel := withTime(ctx)
	defer cancel()
	namespace, err := c.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		missing(r, "namespace", err, "`kubectl create namespace "+name+"`")
		return nil
	}
	labelled := namespace.Labels[inject.LabelInjection] == "enabled"
	pods, err := c.Kube.CoreV1().Pods(name).List(ctx, metav1.ListOptions{})
	if err != nil {
		r.Unknown("Pods", err)
		pods = &corev1.PodList{}
	}
	asking := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !inject.Asks(p.Annotations) })
	namespaceLabel(labelled, asking, r)
	podSecurity(namespace.Labels[podSecurityLabel], asking, r)
	configs := authConfigs(ctx, c, name, r)
	if labelled {
		injections(ctx, c, name, asking, configs, r)
	}
	return configs
}

func namespaceLabel(labelled bool, asking []corev1.Pod, r *Report) {
	const name = "label"
	advice := "`kubectl label namespace NAME " + inject.LabelInjection + "=enabled`, then make the Pods anew"
	switch {
	case labelled:
		r.OK(name, "%s: enabled", inject.LabelInjection)
	case len(asking) > 0:
		r.Fail(
			name,
			fmt.Sprintf("%d Pods ask for a sidecar, and the namespace is not labelled: none is injected", len(asking)),
			advice,
		)
	default:
		r.Warn(name, "no sidecar is injected in this namespace", advice)
	}
}

func podSecurity(level string, asking []corev1.Pod, r *Report) {
	const name = "Pod Security level"
	if level == "" {
		r.OK(name, "none is enforced")
		return
	}
	for i := range asking {
		if asking[i].Annotations[inject.AnnotationIntercept] == string(inject.ModeRedirect) && level != "privileged" {
			r.Fail(name, level+", and the Pod "+asking[i].Name+" asks for mode redirect, which needs privileged",
				"label the namespace "+podSecurityLabel+"=privileged, or use mode hosts")
			return
		}
	}
	r.OK(name, "%s", level)
}

func authConfigs(ctx context.Context, c *cluster.Client, namespace string, r *Report) map[string]*compile.Compiled {
	valid := map[string]*compile.Compiled{}
	list, err := c.Kube.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		r.Unknown("auth-configs", err)
		return valid
	}
	for i := range list.Items {
		cm := &list.Items[i]
		if !configmap.IsAuthConfig(cm) {
			continue
		}
		name := "auth-config " + cm.Name
		config, err := configmap.Compile(cm)
		if err != nil {
			r.Fail(name, err.Error(), "mend it; `kubectl countersign validate -f FILE` says the same of a file")
			continue
		}
		valid[cm.Name] = config
		r.OK(
			name,
			"valid: upstreams %d, role mappings %d, policies %d",
			len(config.Upstreams),
			len(config.AWSSTS.RoleMappings),
			config.Authorizer.PolicyCount(),
		)
		for _, warning := range configmap.Warnings(config) {
			r.Warn(name, warning, "docs/auth-config.md and docs/policies.md say more")
		}
	}
	return valid
}

// injections compares what Pods run with what they would get now.
func injections(
	ctx context.Context,
	c *cluster.Client,
	namespace string,
	asking []corev1.Pod,
	configs map[string]*compile.Compiled,
	r *Report,
) {
	current := currentSidecarImage(ctx, c)
	for i := range asking {
		p := &asking[i]
		name := "Pod " + p.Name
		pod, err := c.InjectedPod(ctx, namespace+"/"+p.Name)
		if err != nil {
			r.Fail(name, "asks for a sidecar and has none: it is older than the label, or the webhook was not called",
				"make the Pod anew: `kubectl -n "+namespace+" rollout restart` its workload")
			continue
		}
		if !injectionStands(ctx, c, pod, configs, current, r) {
			r.OK(name, "runs what it would get now, mode %s", pod.Mode)
		}
	}
}

// injectionStands tells what is old, and reports whether something is.
func injectionStands(
	ctx context.Context,
	c *cluster.Client,
	pod *cluster.Pod,
	configs map[string]*compile.Compiled,
	image string,
	r *Report,
) (told bool) {
	name, again := "Pod "+pod.Name, "make the Pod anew: `kubectl -n "+pod.Namespace+" rollout restart` its workload"
	fail := func(detail, advice string) {
		told = true
		r.Fail(name, detail, advice)
	}
	config := configs[pod.AuthConfig]
	if config == nil {
		cm, err := c.AuthConfig(ctx, pod.Namespace, pod.AuthConfig)
		if err == nil {
			config, err = configmap.Compile(cm)
		}
		if apierrors.IsNotFound(err) {
			fail(
				"its auth-config "+pod.AuthConfig+" is gone: a new Pod would be refused",
				"apply the auth-config again",
			)
		}
	}
	if asked := pod.Kept.Annotations[inject.AnnotationIntercept]; asked != "" && asked != pod.Mode {
		fail("has mode "+pod.Mode+" and asks for "+asked, again)
	}
	if image != "" && pod.Image != image {
		told = true
		r.Warn(name, "runs "+pod.Image+", new Pods get "+image, again)
	}
	if !pod.Ready {
		fail("its sidecar does not run", "`kubectl -n "+pod.Namespace+" logs "+pod.Name+" -c countersign` says why")
		return told
	}
	admin, err := c.Admin(ctx, pod, 0)
	if err != nil {
		told = true
		r.Unknown(name, err)
		return told
	}
	defer admin.Close()
	status, err := admin.Status(ctx)
	switch {
	case err != nil:
		told = true
		r.Unknown(name, err)
	case status.Details != nil && status.Refused != "":
		fail(
			"its sidecar refused the newest auth-config: "+status.Refused,
			"mend the auth-config, or make the Pod anew if it says so",
		)
	case config != nil && status.ConfigHash != config.Hash:
		fail(
			"its sidecar uses another auth-config than the cluster has",
			"kubelet brings a change within about a minute; "+
				"if it lasts, "+again,
		)
	}
	return told
}

func currentSidecarImage(ctx context.Context, c *cluster.Client) string {
	d, err := c.Kube.AppsV1().Deployments(c.SystemNamespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	for i := range d.Spec.Template.Spec.Containers {
		if image := SidecarImage(&d.Spec.Template.Spec.Containers[i]); image != "" {
			return image
		}
	}
	return ""
}
