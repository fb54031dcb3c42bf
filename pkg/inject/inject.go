package inject

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// MountedConfig is a valid auth-config as a Pod uses it.
type MountedConfig struct {
	*authconfig.Config
	// Name is what the Pod's annotation says.
	Name string
	// ConfigMap is what the Pod mounts: Name, or the copy of a shared one.
	ConfigMap string
}

// ConfigPart is what injection reads of an auth-config, and as much as whoever injects by thousands of
// them needs to keep of each.
func ConfigPart(c *authconfig.Config) *authconfig.Config {
	return &authconfig.Config{Upstreams: c.Upstreams, Identity: c.Identity, Egress: c.Egress, Hash: c.Hash}
}

// Namespace is where the Pod is to run. A Pod's own metadata may lack it.
type Namespace struct {
	Name   string
	Labels map[string]string
	// Annotations may hold the namespace's range of uids.
	Annotations map[string]string
}

// Injection is what is to be done to a Pod.
type Injection struct {
	// Operations are empty when the Pod is already as it should be.
	Operations []Operation
	Warnings   []string
	Mode       Mode
}

// status is the value of AnnotationStatus.
type status struct {
	AuthConfig string `json:"authConfig"`
	Hash       string `json:"hash"`
	Mode       Mode   `json:"mode"`
	Image      string `json:"image"`
}

// Pod injects the sidecar into a Pod that asks for it.
func Pod(pod *corev1.Pod, namespace Namespace, config *MountedConfig, options Options) (*Injection, *Refusal) {
	options = options.withDefaults()
	settings, refusal := readSettings(pod, &options)
	if refusal != nil {
		return nil, refusal
	}
	user, refusal := sidecarUser(namespace, &options)
	if refusal != nil {
		return nil, refusal
	}
	i := &injector{
		pod: pod, user: user, namespace: namespace, config: config, settings: settings, options: &options,
		injected: pod.Annotations[AnnotationStatus] != "",
	}
	i.objects = i.render()
	if refusal := i.findClash(); refusal != nil {
		return nil, refusal
	}
	i.patchContainers()
	i.patchPod()
	if refusal := i.patchMetadata(); refusal != nil {
		return nil, refusal
	}
	return &Injection{Operations: i.patch.operations, Warnings: i.warnings(), Mode: settings.mode}, nil
}

// injector holds what the steps of one injection share.
type injector struct {
	pod       *corev1.Pod
	namespace Namespace
	config    *MountedConfig
	settings  *settings
	// user is the sidecar's uid and gid.
	user    int64
	options *Options
	// injected is whether the Pod bears our status: objects with our names are
	// ours then, and are rendered anew.
	injected bool
	objects  objects
	patch    patch
}

// patchContainers adds to the user's containers first: inserting ours shifts
// the indices.
func (i *injector) patchContainers() {
	for _, list := range containerLists(i.pod) {
		for index := range list.containers {
			i.patchEnvironment(list.field, index, &list.containers[index])
		}
	}
	present := i.pod.Spec.InitContainers
	if len(present) == 0 {
		i.patch.add(i.objects.containers, "spec", "initContainers")
		return
	}
	next := 0
	for _, container := range i.objects.containers {
		at := slices.IndexFunc(present, func(c corev1.Container) bool { return c.Name == container.Name })
		if at < 0 {
			i.patch.add(container, "spec", "initContainers", next)
			present = slices.Insert(slices.Clone(present), next, container)
			next++
			continue
		}
		if wanted := keepAllowed(container, &present[at]); !equality.Semantic.DeepEqual(wanted, present[at]) {
			i.patch.replace(wanted, "spec", "initContainers", at)
		}
		next = at + 1
	}
}

// keepAllowed keeps what Kubernetes' own admission plugins put into every
// container and would then insist on: LimitRanger's limits, the pull policy of
// AlwaysPullImages. Everything else in a container of ours is ours.
func keepAllowed(rendered corev1.Container, present *corev1.Container) corev1.Container {
	if present.ImagePullPolicy == corev1.PullAlways {
		rendered.ImagePullPolicy = corev1.PullAlways
	}
	rendered.Resources.Requests = withMissing(rendered.Resources.Requests, present.Resources.Requests)
	rendered.Resources.Limits = withMissing(rendered.Resources.Limits, present.Resources.Limits)
	return rendered
}

func withMissing(rendered, present corev1.ResourceList) corev1.ResourceList {
	merged := rendered.DeepCopy()
	for name, quantity := range present {
		if _, ours := merged[name]; !ours {
			merged[name] = quantity
		}
	}
	return merged
}

func (i *injector) patchPod() {
	spec := &i.pod.Spec
	var missing []corev1.Volume
	for _, volume := range i.objects.volumes {
		at := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume.Name })
		switch {
		case at < 0:
			missing = append(missing, volume)
		case !equality.Semantic.DeepEqual(volume, spec.Volumes[at]):
			i.patch.replace(volume, "spec", "volumes", at)
		}
	}
	appendAll(&i.patch, missing, len(spec.Volumes), "spec", "volumes")
	i.patchAliases()
	i.patchSysctl()
}

func (i *injector) patchAliases() {
	present := i.pod.Spec.HostAliases
	var missing []corev1.HostAlias
	for n, alias := range i.objects.aliases {
		at := -1
		if first := i.ownAliases(); first >= 0 && first+n < len(present) && present[first+n].IP == alias.IP {
			at = first + n
		}
		switch {
		case at < 0:
			missing = append(missing, alias)
		case !slices.Equal(present[at].Hostnames, alias.Hostnames):
			i.patch.replace(alias, "spec", "hostAliases", at)
		}
	}
	appendAll(&i.patch, missing, len(present), "spec", "hostAliases")
}

// ownAliases is the index of the first alias of ours in an injected Pod, or -1.
func (i *injector) ownAliases() int {
	if !i.injected {
		return -1
	}
	return slices.IndexFunc(i.pod.Spec.HostAliases, func(a corev1.HostAlias) bool { return a.IP == hostsAddress })
}

func (i *injector) isOwnAlias(index int) bool {
	first := i.ownAliases()
	return first >= 0 && (index == first || index == first+1 && i.pod.Spec.HostAliases[index].IP == hostsAddressV6)
}

func (i *injector) patchSysctl() {
	if i.objects.sysctl == nil {
		return
	}
	context := i.pod.Spec.SecurityContext
	switch {
	case context == nil:
		i.patch.add(corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{*i.objects.sysctl}}, "spec", "securityContext")
	case !slices.ContainsFunc(context.Sysctls, func(s corev1.Sysctl) bool { return isPortStart(s.Name) }):
		appendAll(
			&i.patch,
			[]corev1.Sysctl{*i.objects.sysctl},
			len(context.Sysctls),
			"spec",
			"securityContext",
			"sysctls",
		)
	}
}

func (i *injector) patchMetadata() *Refusal {
	text, err := json.Marshal(status{
		AuthConfig: i.config.Name, Hash: i.config.Hash, Mode: i.settings.mode, Image: i.options.Image,
	})
	if err != nil {
		return Refuse(CodeBadAnnotation, "the annotation %s cannot be written: %v", AnnotationStatus, err)
	}
	setMember(&i.patch, i.pod.Annotations, AnnotationStatus, string(text), "metadata", "annotations")
	setMember(&i.patch, i.pod.Labels, LabelConfigMap, ConfigMapLabel(i.config.ConfigMap), "metadata", "labels")
	return nil
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
