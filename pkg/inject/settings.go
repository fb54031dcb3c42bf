package inject

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Mode is how the app's traffic reaches the sidecar.
type Mode string

// The modes.
const (
	// ModeHosts points the upstreams' host names to the sidecar.
	ModeHosts Mode = "hosts"
	// ModeRedirect sends the Pod's TCP traffic to the sidecar with nftables.
	ModeRedirect Mode = "redirect"
	// ModeLoopback lets the app call the sidecar by itself, over plain HTTP.
	ModeLoopback Mode = "loopback"
)

// settings are what a Pod's annotations ask for.
type settings struct {
	mode Mode
	// containers that get the environment; nil means all.
	containers []string
	resources  corev1.ResourceRequirements
	logLevel   string
}

// Asks reports whether a Pod with these annotations asks for injection.
func Asks(annotations map[string]string) bool {
	_, named := annotations[AnnotationAuthConfig]
	return named && annotations[AnnotationInject] != "false"
}

// ConfigName is the name of the auth-config that the annotations ask for.
func ConfigName(annotations map[string]string) (string, *Refusal) {
	name := annotations[AnnotationAuthConfig]
	if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
		return "", badAnnotation(AnnotationAuthConfig, name, "is not the name of a ConfigMap")
	}
	if shared, ok := strings.CutPrefix(name, SharedPrefix); ok {
		return "", badAnnotation(
			AnnotationAuthConfig,
			name,
			"names a copy; name the shared auth-config itself, "+shared,
		)
	}
	return name, nil
}

func badAnnotation(key, value, why string) *Refusal {
	const most = 100
	if len(value) > most {
		value = value[:most] + "..."
	}
	return Refuse(CodeBadAnnotation, "the annotation %s: %q %s", key, value, why)
}

func readSettings(pod *corev1.Pod, options *Options) (*settings, *Refusal) {
	annotations := pod.Annotations
	s := &settings{mode: ModeHosts, logLevel: "info"}
	if value, ok := annotations[AnnotationInject]; ok && value != "true" {
		return nil, badAnnotation(AnnotationInject, value, `is neither "true" nor "false"`)
	}
	if value, ok := annotations[AnnotationIntercept]; ok {
		s.mode = Mode(value)
		if !slices.Contains([]Mode{ModeHosts, ModeRedirect, ModeLoopback}, s.mode) {
			return nil, badAnnotation(AnnotationIntercept, value, "is not one of hosts, redirect, loopback")
		}
	}
	if value, ok := annotations[annotationLogLevel]; ok {
		s.logLevel = value
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, value) {
			return nil, badAnnotation(annotationLogLevel, value, "is not one of debug, info, warn, error")
		}
	}
	if refusal := s.readContainers(pod); refusal != nil {
		return nil, refusal
	}
	return s, s.readResources(annotations, options)
}

func (s *settings) readContainers(pod *corev1.Pod) *Refusal {
	value, ok := pod.Annotations[AnnotationContainers]
	if !ok {
		return nil
	}
	s.containers = []string{}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if slices.Contains(reservedContainers, name) || !hasContainer(pod, name) {
			return badAnnotation(
				AnnotationContainers,
				value,
				"names "+quoted(name)+", which is not a container of the Pod",
			)
		}
		s.containers = append(s.containers, name)
	}
	return nil
}

func hasContainer(pod *corev1.Pod, name string) bool {
	named := func(c corev1.Container) bool { return c.Name == name }
	return slices.ContainsFunc(pod.Spec.InitContainers, named) || slices.ContainsFunc(pod.Spec.Containers, named)
}

func (s *settings) readResources(annotations map[string]string, options *Options) *Refusal {
	s.resources = corev1.ResourceRequirements{
		Requests: maps.Clone(options.Resources.Requests), Limits: maps.Clone(options.Resources.Limits),
	}
	asked := map[string]bool{}
	for _, a := range []struct {
		key  string
		list corev1.ResourceList
		name corev1.ResourceName
	}{
		{annotationCPURequest, s.resources.Requests, corev1.ResourceCPU},
		{annotationMemoryRequest, s.resources.Requests, corev1.ResourceMemory},
		{annotationCPULimit, s.resources.Limits, corev1.ResourceCPU},
		{annotationMemoryLimit, s.resources.Limits, corev1.ResourceMemory},
	} {
		value, ok := annotations[a.key]
		if !ok {
			continue
		}
		quantity, ok := parseQuantity(value)
		if !ok {
			return badAnnotation(a.key, value, "is not a positive quantity such as 50m or 64Mi")
		}
		asked[a.key] = true
		a.list[a.name] = quantity
	}
	if refusal := s.fitLimit(corev1.ResourceCPU, annotationCPURequest, annotationCPULimit, asked); refusal != nil {
		return refusal
	}
	return s.fitLimit(corev1.ResourceMemory, annotationMemoryRequest, annotationMemoryLimit, asked)
}

// quantityForm is what people write. Of other forms an exponent alone can make
// Kubernetes' parser compute for ever.
var quantityForm = regexp.MustCompile(`^\+?[0-9]{1,15}(\.[0-9]{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti|[eE][+-]?[0-9]{1,2})?$`)

func parseQuantity(value string) (resource.Quantity, bool) {
	if !quantityForm.MatchString(value) {
		return resource.Quantity{}, false
	}
	quantity, err := resource.ParseQuantity(value)
	return quantity, err == nil && quantity.Sign() > 0
}

// fitLimit lets a default give way to what the Pod asks for: who asks for a
// request above the default limit, or for a limit below the default request,
// need not write the other as well.
func (s *settings) fitLimit(name corev1.ResourceName, requestKey, limitKey string, asked map[string]bool) *Refusal {
	request, limit := s.resources.Requests[name], s.resources.Limits[name]
	if _, limited := s.resources.Limits[name]; !limited || request.Cmp(limit) <= 0 {
		return nil
	}
	switch {
	case asked[requestKey] && asked[limitKey]:
		return Refuse(
			CodeResourcesContradict,
			"the annotation %s: %s is less than %s: %s",
			limitKey,
			limit.String(),
			requestKey,
			request.String(),
		)
	case asked[limitKey]:
		s.resources.Requests[name] = limit
	default:
		s.resources.Limits[name] = request
	}
	return nil
}
