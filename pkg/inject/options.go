package inject

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Options are the same for every Pod.
type Options struct {
	// Image of the sidecar. Required.
	Image string
	// ImagePullPolicy of the sidecar. Defaults to IfNotPresent.
	ImagePullPolicy corev1.PullPolicy
	// Env are variables of every sidecar, such as an STS endpoint or a proxy.
	Env []corev1.EnvVar
	// UserOfNamespace has the sidecar run as the second uid of the namespace's own
	// range, as OpenShift gives it, in place of UserID.
	UserOfNamespace bool
	// Resources of a sidecar whose Pod does not say otherwise. They default to the
	// constants below; without a CPU limit a busy sidecar is not throttled.
	Resources corev1.ResourceRequirements
}

// The resources of a sidecar where nobody says otherwise.
const (
	DefaultCPURequest    = "10m"
	DefaultMemoryRequest = "40Mi"
	DefaultMemoryLimit   = "128Mi"
)

func (o Options) withDefaults() Options {
	if o.ImagePullPolicy == "" {
		o.ImagePullPolicy = corev1.PullIfNotPresent
	}
	if o.Resources.Requests == nil {
		o.Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(DefaultCPURequest),
			corev1.ResourceMemory: resource.MustParse(DefaultMemoryRequest),
		}
	}
	if o.Resources.Limits == nil {
		o.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(DefaultMemoryLimit)}
	}
	return o
}
