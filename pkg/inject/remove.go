package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// MountedConfigMap is the name of the ConfigMap that the sidecar of a Pod mounts; empty where
// there is none.
func MountedConfigMap(pod *corev1.Pod) string {
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == volumeConfig && volume.ConfigMap != nil {
			return volume.ConfigMap.Name
		}
	}
	return ""
}

// ModeOf is the mode of an injected Pod, by the objects that it has.
func ModeOf(pod *corev1.Pod) Mode {
	if hasContainer(pod, ContainerRedirect) {
		return ModeRedirect
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == volumeCA {
			return ModeHosts
		}
	}
	return ModeLoopback
}

// InjectedHash is the hash of the auth-config that a Pod was injected with, as the webhook
// noted it; whoever may write the Pod may have changed the note.
func InjectedHash(pod *corev1.Pod) string {
	noted, err := readStatus(pod)
	if err != nil {
		return ""
	}
	return noted.Hash
}

// Remove gives the operations that take an injection out of a Pod: the objects of ours, what
// they need of the user's containers, and our notes. The annotations that ask for a sidecar
// stay. Nothing is given for a Pod that was not injected.
func Remove(pod *corev1.Pod) []Operation {
	if pod.Annotations[AnnotationStatus] == "" && !hasContainer(pod, ContainerSidecar) {
		return nil
	}
	r := &remover{}
	spec := &pod.Spec
	for _, list := range containerLists(pod) {
		for index := range list.containers {
			r.removeFromContainer(list.field, index, &list.containers[index])
		}
	}
	removeOwn(r, spec.InitContainers, func(c corev1.Container) bool {
		return slices.Contains(reservedContainers, c.Name)
	}, "spec", "initContainers")
	removeOwn(r, spec.Volumes, func(v corev1.Volume) bool {
		return slices.Contains(reservedVolumes, v.Name)
	}, "spec", "volumes")
	var hosts []string
	for _, alias := range spec.HostAliases {
		if alias.IP == hostsAddress {
			hosts = alias.Hostnames
		}
	}
	removeOwn(r, spec.HostAliases, func(a corev1.HostAlias) bool {
		return a.IP == hostsAddress || a.IP == hostsAddressV6 && hosts != nil && slices.Equal(a.Hostnames, hosts)
	}, "spec", "hostAliases")
	if spec.SecurityContext != nil && hosts != nil {
		removeOwn(r, spec.SecurityContext.Sysctls, func(s corev1.Sysctl) bool {
			return isPortStart(s.Name) && s.Value == "0"
		}, "spec", "securityContext", "sysctls")
	}
	r.removeMember(pod.Annotations, AnnotationStatus, "metadata", "annotations")
	r.removeMember(pod.Labels, LabelConfigMap, "metadata", "labels")
	return r.operations
}

type remover struct{ patch }

func (r *remover) remove(path ...any) {
	r.operations = append(r.operations, Operation{Op: "remove", Path: pointer(path)})
}

func (r *remover) removeMember(current map[string]string, key string, path ...any) {
	switch _, has := current[key]; {
	case !has:
	case len(current) == 1:
		r.remove(path...)
	default:
		r.remove(append(path[:len(path):len(path)], key)...)
	}
}

func (r *remover) removeFromContainer(field string, index int, c *corev1.Container) {
	if slices.Contains(reservedContainers, c.Name) {
		return
	}
	removeOwn(r, c.Env, isOwnVariable, "spec", field, index, "env")
	removeOwn(r, c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return slices.Contains(reservedVolumes, m.Name)
	}, "spec", field, index, "volumeMounts")
}

// isOwnVariable tells variables that lead to what is ours; one that the user set to something
// else is the user's.
func isOwnVariable(v corev1.EnvVar) bool {
	if strings.HasPrefix(v.Name, "AWS_MCP_URL") {
		return strings.HasPrefix(v.Value, loopbackURL+"/")
	}
	return slices.ContainsFunc(trustEnvironment(), func(own corev1.EnvVar) bool {
		return own.Name == v.Name && own.Value == v.Value
	})
}

// removeOwn removes members of a list, the last first, so that indices hold; a list of which
// nothing is left goes.
func removeOwn[T any](r *remover, list []T, isOwn func(T) bool, path ...any) {
	var own []int
	for i, member := range list {
		if isOwn(member) {
			own = append(own, i)
		}
	}
	if len(own) == len(list) {
		if len(own) > 0 {
			r.remove(path...)
		}
		return
	}
	for _, i := range slices.Backward(own) {
		r.remove(append(path[:len(path):len(path)], i)...)
	}
}

func readStatus(pod *corev1.Pod) (*status, error) {
	noted := &status{}
	if err := json.Unmarshal([]byte(pod.Annotations[AnnotationStatus]), noted); err != nil {
		return nil, fmt.Errorf("the annotation %s: %w", AnnotationStatus, err)
	}
	return noted, nil
}
