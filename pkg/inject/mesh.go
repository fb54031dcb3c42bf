package inject

import corev1 "k8s.io/api/core/v1"

// meshSign is how a Pod or its namespace shows that another transparent proxy
// redirects, or will redirect, its traffic.
type meshSign struct {
	// key is a label or an annotation; a value of "*" stands for any.
	key    string
	values []string
}

// meshContainers are the proxies, and what writes their rules, by name: Istio,
// Linkerd, Consul, Kuma and Kong Mesh, Open Service Mesh, AWS App Mesh.
var meshContainers = map[string]bool{
	"istio-proxy": true, "istio-init": true, "istio-validation": true,
	"linkerd-proxy": true, "linkerd-init": true, "linkerd-network-validator": true,
	"consul-dataplane": true, "consul-connect-inject-init": true,
	"kuma-sidecar": true, "kuma-init": true, "kuma-validation": true,
	"osm-init": true, "proxyinit": true,
}

// podSigns are labels and annotations of a Pod.
var podSigns = []meshSign{
	{"sidecar.istio.io/inject", []string{"true"}},
	{"istio.io/rev", []string{"*"}},
	{"istio.io/dataplane-mode", []string{"ambient"}},
	{"linkerd.io/inject", []string{"enabled", "ingress"}},
	{"consul.hashicorp.com/connect-inject", []string{"true"}},
	{"consul.hashicorp.com/transparent-proxy", []string{"true"}},
	{"kuma.io/sidecar-injection", []string{"enabled", "true"}},
	{"openservicemesh.io/sidecar-injection", []string{"enabled", "true", "yes"}},
	{"appmesh.k8s.aws/sidecarInjectorWebhook", []string{"enabled"}},
}

// namespaceSigns are labels and annotations of a namespace, with the Pod's that
// takes it out of the mesh.
var namespaceSigns = []struct {
	sign   meshSign
	optOut meshSign
}{
	{meshSign{"istio-injection", []string{"enabled"}}, meshSign{"sidecar.istio.io/inject", []string{"false"}}},
	{meshSign{"istio.io/rev", []string{"*"}}, meshSign{"sidecar.istio.io/inject", []string{"false"}}},
	{meshSign{"istio.io/dataplane-mode", []string{"ambient"}}, meshSign{"istio.io/dataplane-mode", []string{"none"}}},
	{
		meshSign{"linkerd.io/inject", []string{"enabled", "ingress"}},
		meshSign{"linkerd.io/inject", []string{"disabled"}},
	},
	{
		meshSign{"consul.hashicorp.com/transparent-proxy", []string{"true"}},
		meshSign{"consul.hashicorp.com/connect-inject", []string{"false"}},
	},
	{
		meshSign{"kuma.io/sidecar-injection", []string{"enabled", "true"}},
		meshSign{"kuma.io/sidecar-injection", []string{"disabled", "false"}},
	},
	{
		meshSign{"openservicemesh.io/sidecar-injection", []string{"enabled", "true", "yes"}},
		meshSign{"openservicemesh.io/sidecar-injection", []string{"disabled", "false", "no"}},
	},
	{
		meshSign{"appmesh.k8s.aws/sidecarInjectorWebhook", []string{"enabled"}},
		meshSign{"appmesh.k8s.aws/sidecarInjectorWebhook", []string{"disabled"}},
	},
}

// in reports whether the labels or annotations show the sign.
func (s *meshSign) in(maps ...map[string]string) bool {
	for _, m := range maps {
		value, ok := m[s.key]
		for _, wanted := range s.values {
			if ok && (wanted == "*" || value == wanted) {
				return true
			}
		}
	}
	return false
}

// transparentProxy names what shows that another transparent proxy takes the Pod's
// traffic, or will take it; empty when nothing does.
func transparentProxy(pod *corev1.Pod, namespace Namespace) string {
	for _, list := range containerLists(pod) {
		for _, c := range list.containers {
			if meshContainers[c.Name] {
				return "container " + quoted(c.Name)
			}
		}
	}
	for i := range podSigns {
		if podSigns[i].in(pod.Labels, pod.Annotations) {
			return podSigns[i].key
		}
	}
	for i := range namespaceSigns {
		s := &namespaceSigns[i]
		if s.sign.in(namespace.Labels, namespace.Annotations) && !s.optOut.in(pod.Labels, pod.Annotations) {
			return s.sign.key
		}
	}
	return ""
}

// NamespaceAnnotations are those of a namespace's annotations that an injection
// looks at.
func NamespaceAnnotations(all map[string]string) map[string]string {
	var kept map[string]string
	keep := func(key string) {
		if value, ok := all[key]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	keep(annotationUIDRange)
	for i := range namespaceSigns {
		keep(namespaceSigns[i].sign.key)
	}
	return kept
}
