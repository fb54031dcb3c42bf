package inject

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// findClash looks for what stands in the way of a correct injection, in the
// order in which the user should fix things.
func (i *injector) findClash() *Refusal {
	for _, find := range []func() *Refusal{
		i.unfitPod, i.unfitMode, i.injectedOtherwise, i.takenContainer, i.takenVolume, i.takenMount, i.takenUser,
		i.takenPort, i.takenCredential,
	} {
		if refusal := find(); refusal != nil {
			return refusal
		}
	}
	if i.settings.mode == ModeHosts {
		return i.hostsClash()
	}
	if i.settings.mode == ModeRedirect {
		return i.takenAlias()
	}
	return nil
}

const annotationMirror = "kubernetes.io/config.mirror"

func (i *injector) unfitPod() *Refusal {
	spec := &i.pod.Spec
	_, isMirror := i.pod.Annotations[annotationMirror]
	switch {
	case isMirror:
		return Refuse(
			CodeMirrorPod,
			"a mirror of a static Pod cannot be injected: the Pod itself runs from a file on its node",
		)
	case spec.HostNetwork:
		return Refuse(
			CodeHostNetwork,
			"hostNetwork is true: a sidecar would take the traffic of the whole node; run the Pod in its own network",
		)
	case spec.OS != nil && spec.OS.Name == corev1.Windows ||
		spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows):
		return Refuse(CodeWindowsPod, "the Pod is for Windows nodes; the sidecar runs on Linux only")
	}
	return nil
}

func (i *injector) unfitMode() *Refusal {
	if i.settings.mode == ModeLoopback {
		return nil
	}
	for _, host := range i.config.Hosts() {
		if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
			return Refuse(
				CodeUpstreamAddress,
				"mode %s cannot intercept the upstream host %q of the auth-config %q: it is an address and not a "+
					"name; use %s: loopback",
				i.settings.mode,
				host,
				i.config.Name,
				AnnotationIntercept,
			)
		}
	}
	if i.settings.mode != ModeRedirect {
		return nil
	}
	if other := transparentProxy(i.pod, i.namespace); other != "" {
		return Refuse(
			CodeTransparentProxy,
			"mode redirect does not work beside another transparent proxy (%s): both would redirect the same "+
				"traffic; use %s: hosts",
			other,
			AnnotationIntercept,
		)
	}
	const levelLabel = "pod-security.kubernetes.io/enforce"
	if level := i.namespace.Labels[levelLabel]; level == "baseline" || level == "restricted" {
		return Refuse(
			CodePodSecurityLevel,
			"mode redirect needs an init container with NET_ADMIN, which the namespace %q (%s: %s) does not admit; "+
				"use %s: hosts",
			i.namespace.Name,
			levelLabel,
			level,
			AnnotationIntercept,
		)
	}
	return nil
}

// injectedOtherwise finds objects of an earlier injection that the Pod should
// no longer have. Nothing is ever removed, so such a Pod must be made anew.
func (i *injector) injectedOtherwise() *Refusal {
	if !i.injected {
		return nil
	}
	const sentence = "the Pod was injected before in another way and still has %s; make it from its template again"
	for _, c := range i.pod.Spec.InitContainers {
		if slices.Contains(reservedContainers, c.Name) && !i.objects.isRendered(c.Name) {
			return Refuse(CodeInjectedOtherwise, sentence, "the container "+quoted(c.Name))
		}
	}
	for _, v := range i.pod.Spec.Volumes {
		if slices.Contains(reservedVolumes, v.Name) && !i.objects.isRendered(v.Name) {
			return Refuse(CodeInjectedOtherwise, sentence, "the volume "+quoted(v.Name))
		}
	}
	if i.settings.mode != ModeHosts && i.ownAliases() >= 0 {
		return Refuse(CodeInjectedOtherwise, sentence, "the host alias "+hostsAddress)
	}
	return nil
}

func (i *injector) takenContainer() *Refusal {
	for _, list := range containerLists(i.pod) {
		for _, c := range list.containers {
			// Ours are init containers of an injected Pod.
			if slices.Contains(reservedContainers, c.Name) && (!i.injected || list.field == "containers") {
				return Refuse(
					CodeReservedContainer,
					"the Pod has a container %q in %s; that name is the sidecar's",
					c.Name,
					list.field,
				)
			}
		}
	}
	return nil
}

func (i *injector) takenVolume() *Refusal {
	if !i.injected {
		for _, v := range i.pod.Spec.Volumes {
			if slices.Contains(reservedVolumes, v.Name) {
				return Refuse(CodeReservedVolume, "the Pod has a volume %q; that name is the sidecar's", v.Name)
			}
		}
	}
	for c := range i.userContainers() {
		for _, m := range c.VolumeMounts {
			if slices.Contains(reservedVolumes, m.Name) && !i.isOwnMount(&m) {
				return Refuse(
					CodeReservedVolume,
					"the container %q mounts the volume %q; that volume is the sidecar's",
					c.Name,
					m.Name,
				)
			}
		}
		for _, d := range c.VolumeDevices {
			if slices.Contains(reservedVolumes, d.Name) {
				return Refuse(
					CodeReservedVolume,
					"the container %q uses the volume %q as a device; that volume is the sidecar's",
					c.Name,
					d.Name,
				)
			}
		}
	}
	return nil
}

// isOwnMount recognizes the one mount that an app's container gets from us.
func (i *injector) isOwnMount(m *corev1.VolumeMount) bool {
	return i.injected && m.Name == volumeCA && m.MountPath == mountCA && m.ReadOnly && m.SubPath == "" &&
		m.SubPathExpr == ""
}

// userContainers are all containers but ours. It is called where names are
// known not to clash.
func (i *injector) userContainers() func(func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for _, list := range containerLists(i.pod) {
			for n := range list.containers {
				c := &list.containers[n]
				if !i.isOurs(c) && !yield(c) {
					return
				}
			}
		}
	}
}

func (i *injector) takenMount() *Refusal {
	for c := range i.userContainers() {
		for _, m := range c.VolumeMounts {
			if isReservedPath(m.MountPath) && !i.isOwnMount(&m) {
				return Refuse(
					CodeReservedMount,
					"the container %q mounts %q at %s; %s is the sidecar's",
					c.Name,
					m.Name,
					m.MountPath,
					mountRoot,
				)
			}
		}
		for _, d := range c.VolumeDevices {
			if isReservedPath(d.DevicePath) {
				return Refuse(
					CodeReservedMount,
					"the container %q has %q at %s; %s is the sidecar's",
					c.Name,
					d.Name,
					d.DevicePath,
					mountRoot,
				)
			}
		}
	}
	return nil
}

func isReservedPath(p string) bool {
	p = path.Clean("/" + p)
	// In most images /var/run is a link to /run.
	if strings.HasPrefix(p, "/run/") {
		p = "/var" + p
	}
	return p == mountRoot || strings.HasPrefix(p, mountRoot+"/")
}

func (i *injector) takenUser() *Refusal {
	const sentence = "%s runs as uid %d; that uid is the sidecar's, and its traffic is not intercepted"
	const groupSentence = "%s has the group %d; that gid is the sidecar's"
	isReserved := func(id *int64) bool { return id != nil && *id == i.user }
	if context := i.pod.Spec.SecurityContext; context != nil {
		const where = "the Pod (spec.securityContext)"
		switch {
		case isReserved(context.RunAsUser):
			return Refuse(CodeReservedUser, sentence, where, i.user)
		case isReserved(context.RunAsGroup),
			isReserved(context.FSGroup),
			slices.Contains(context.SupplementalGroups, i.user):
			return Refuse(CodeReservedUser, groupSentence, where, i.user)
		}
	}
	for c := range i.userContainers() {
		switch {
		case c.SecurityContext == nil:
		case isReserved(c.SecurityContext.RunAsUser):
			return Refuse(CodeReservedUser, sentence, "the container "+quoted(c.Name), i.user)
		case isReserved(c.SecurityContext.RunAsGroup):
			return Refuse(CodeReservedUser, groupSentence, "the container "+quoted(c.Name), i.user)
		}
	}
	return i.unknownUser()
}

// unknownUser finds a container whose uid nobody knows yet, where its image or a
// later admission plugin could give it the sidecar's: in mode redirect the rules
// let the sidecar's uid pass.
func (i *injector) unknownUser() *Refusal {
	if i.settings.mode != ModeRedirect || !i.options.UserOfNamespace {
		return nil
	}
	if context := i.pod.Spec.SecurityContext; context != nil && context.RunAsUser != nil {
		return nil
	}
	for c := range i.userContainers() {
		if c.SecurityContext == nil || c.SecurityContext.RunAsUser == nil {
			return Refuse(
				CodeUserUnknown,
				"the container %q does not say runAsUser: in mode redirect, where the sidecar's uid (%d) is one of "+
					"the namespace's range, it could run as that",
				c.Name,
				i.user,
			)
		}
	}
	return nil
}

func (i *injector) takenPort() *Refusal {
	for c := range i.userContainers() {
		for _, p := range c.Ports {
			if isTCP(&p) && slices.Contains(reservedPorts, p.ContainerPort) {
				return Refuse(
					CodeReservedPort,
					"the container %q has the containerPort %d; that port is the sidecar's",
					c.Name,
					p.ContainerPort,
				)
			}
		}
	}
	return nil
}

// isTCP reports whether a port is one of TCP, the protocol that the sidecar
// listens on.
func isTCP(p *corev1.ContainerPort) bool { return p.Protocol == "" || p.Protocol == corev1.ProtocolTCP }

// hostsClash finds what keeps the upstreams' names from leading to the sidecar.
func (i *injector) hostsClash() *Refusal {
	for _, port := range i.config.Ports() {
		if slices.ContainsFunc(reservedPorts, func(reserved int32) bool { return int(reserved) == port }) {
			return Refuse(
				CodeReservedPort,
				"the auth-config %q has an upstream with the port %d, which is the sidecar's own: in mode hosts it "+
					"cannot listen there; use %s: redirect or loopback",
				i.config.Name,
				port,
				AnnotationIntercept,
			)
		}
	}
	for c := range i.userContainers() {
		for _, p := range c.Ports {
			if isTCP(&p) && slices.Contains(i.config.Ports(), int(p.ContainerPort)) {
				return Refuse(
					CodeUpstreamPort,
					"the container %q has the containerPort %d, which is an upstream's port in the auth-config %q: "+
						"in mode hosts the sidecar listens there; use %s: redirect or loopback",
					c.Name,
					p.ContainerPort,
					i.config.Name,
					AnnotationIntercept,
				)
			}
		}
		for _, m := range c.VolumeMounts {
			if path.Clean("/"+m.MountPath) == "/etc/hosts" {
				return Refuse(
					CodeHostsFile,
					"the container %q mounts %q over /etc/hosts, where mode hosts points the upstreams' names to "+
						"the sidecar; use %s: redirect or loopback",
					c.Name,
					m.Name,
					AnnotationIntercept,
				)
			}
		}
	}
	if refusal := i.takenAlias(); refusal != nil {
		return refusal
	}
	return i.sysctlClash()
}

func (i *injector) takenAlias() *Refusal {
	hosts := i.config.Hosts()
	for index, alias := range i.pod.Spec.HostAliases {
		if alias.IP == hostsAddress && !i.isOwnAlias(index) {
			return Refuse(CodeReservedAddress, "spec.hostAliases points %s to %s; that address is the sidecar's",
				strings.Join(alias.Hostnames, ", "), hostsAddress)
		}
		if i.isOwnAlias(index) {
			continue
		}
		for _, name := range alias.Hostnames {
			if slices.Contains(hosts, strings.ToLower(strings.TrimSuffix(name, "."))) {
				return Refuse(
					CodeUpstreamAlias,
					"spec.hostAliases points %q to %s, and it is an upstream's host in the auth-config %q",
					name,
					alias.IP,
					i.config.Name,
				)
			}
		}
	}
	return nil
}

func (i *injector) sysctlClash() *Refusal {
	context := i.pod.Spec.SecurityContext
	if i.objects.sysctl == nil || context == nil {
		return nil
	}
	lowest := i.config.Ports()[0]
	for _, s := range context.Sysctls {
		if !isPortStart(s.Name) {
			continue
		}
		if start, err := strconv.Atoi(s.Value); err != nil || start > lowest {
			return Refuse(
				CodeSysctl,
				"spec.securityContext.sysctls sets %s to %q, and the sidecar must listen on port %d; use %d or less",
				s.Name,
				s.Value,
				lowest,
				lowest,
			)
		}
	}
	return nil
}
