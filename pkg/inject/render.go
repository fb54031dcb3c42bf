package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// objects are what is ours in a Pod. Every field that the API server would
// default is set, so that an object which comes back from it compares equal.
type objects struct {
	// containers are the sidecar and, in mode redirect, what writes the rules.
	containers []corev1.Container
	volumes    []corev1.Volume
	aliases    []corev1.HostAlias
	sysctl     *corev1.Sysctl
	// environment and mounts are for the user's containers.
	environment []corev1.EnvVar
	mounts      []corev1.VolumeMount
}

func (i *injector) render() objects {
	o := objects{containers: []corev1.Container{i.sidecar()}, volumes: i.volumes()}
	switch i.settings.mode {
	case ModeHosts:
		hosts := i.config.Hosts()
		o.aliases = []corev1.HostAlias{{IP: hostsAddress, Hostnames: hosts}, {IP: hostsAddressV6, Hostnames: hosts}}
		if ports := i.config.Ports(); ports[0] < privilegedPorts {
			o.sysctl = &corev1.Sysctl{Name: sysctlPortStart, Value: "0"}
		}
	case ModeRedirect:
		o.containers = append(o.containers, i.redirect())
	case ModeLoopback:
		o.environment = i.loopbackEnvironment()
		return o
	}
	o.environment = trustEnvironment()
	o.mounts = []corev1.VolumeMount{{Name: volumeCA, MountPath: mountCA, ReadOnly: true}}
	return o
}

// sidecarProgram is where the sidecar's image has the program.
const sidecarProgram = "/sidecar"

// portHTTPS is where AWS STS is.
const portHTTPS = 443

const (
	sysctlPortStart = "net.ipv4.ip_unprivileged_port_start"
	privilegedPorts = 1024
)

// isPortStart knows both spellings that Kubernetes accepts for a sysctl.
func isPortStart(name string) bool { return strings.ReplaceAll(name, "/", ".") == sysctlPortStart }

func (i *injector) sidecar() corev1.Container {
	return corev1.Container{
		Name:            ContainerSidecar,
		Image:           i.options.Image,
		ImagePullPolicy: i.options.ImagePullPolicy,
		Args:            i.sidecarArguments(),
		Env:             append(podFacts(), i.options.Env...),
		Ports: []corev1.ContainerPort{
			{Name: ContainerSidecar, ContainerPort: portAdmin, Protocol: corev1.ProtocolTCP},
		},
		Resources: i.settings.resources,
		// A native sidecar: ready before the next init container starts, and
		// ended by kubelet after the last container.
		RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		VolumeMounts:  i.sidecarMounts(),
		// Started means that the listeners are open; it waits for no network.
		StartupProbe: &corev1.Probe{
			// Not over the Pod's network: a mesh's rules may be in place before
			// the first container starts, and let no probe through.
			ProbeHandler:   corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{sidecarProgram, "ready"}}},
			TimeoutSeconds: 1, PeriodSeconds: 1, SuccessThreshold: 1, FailureThreshold: 60,
		},
		SecurityContext:          restricted(i.user),
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

func (i *injector) sidecarArguments() []string {
	arguments := []string{
		"proxy", "--config=" + mountConfig, "--log-level=" + i.settings.logLevel,
		"--listen=" + net.JoinHostPort("127.0.0.1", strconv.Itoa(portLoopback)),
		"--admin=:" + strconv.Itoa(portAdmin), "--admin-token-file=" + AdminTokenFile,
	}
	switch i.settings.mode {
	case ModeHosts:
		var addresses []string
		for _, port := range i.config.Ports() {
			for _, host := range []string{hostsAddress, hostsAddressV6} {
				addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(port)))
			}
		}
		arguments = append(arguments, "--tls-listen="+strings.Join(addresses, ","))
	case ModeRedirect:
		port := strconv.Itoa(portRedirect)
		arguments = append(
			arguments,
			"--redirect-listen="+net.JoinHostPort("127.0.0.1", port)+","+net.JoinHostPort("::1", port),
		)
	case ModeLoopback:
	}
	if i.settings.mode != ModeLoopback {
		arguments = append(arguments, "--ca-dir="+mountCA, "--ca-key-dir="+mountCAKey)
	}
	if i.usesServiceAccount() {
		arguments = append(arguments, "--service-account-token="+mountToken+"/token")
	} else {
		arguments = append(arguments, "--session-key="+mountSession+"/key")
	}
	if e := i.exchange(); e != nil {
		arguments = append(arguments, "--exchange-credential="+mountExchange+"/"+fileCredential)
		if e.Actor == authconfig.ActorServiceAccount {
			arguments = append(arguments, "--service-account-token="+mountExchange+"/"+fileActor)
		}
	}
	return arguments
}

// podFacts are what policies see as context.pod.
func podFacts() []corev1.EnvVar {
	fact := func(name, field string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: field},
		}}
	}
	return []corev1.EnvVar{
		fact("COUNTERSIGN_POD_NAMESPACE", "metadata.namespace"),
		fact("COUNTERSIGN_POD_NAME", "metadata.name"),
		fact("COUNTERSIGN_POD_SERVICE_ACCOUNT", "spec.serviceAccountName"),
	}
}

func (i *injector) sidecarMounts() []corev1.VolumeMount {
	mounts := []corev1.VolumeMount{{Name: volumeConfig, MountPath: mountConfig, ReadOnly: true}}
	if i.settings.mode != ModeLoopback {
		mounts = append(
			mounts,
			corev1.VolumeMount{Name: volumeCA, MountPath: mountCA},
			corev1.VolumeMount{Name: volumeCAKey, MountPath: mountCAKey},
		)
	}
	if i.usesServiceAccount() {
		mounts = append(mounts, corev1.VolumeMount{Name: volumeToken, MountPath: mountToken, ReadOnly: true})
	}
	mounts = append(mounts, corev1.VolumeMount{Name: volumeSession, MountPath: mountSession})
	if i.exchange() != nil {
		mounts = append(mounts, corev1.VolumeMount{Name: volumeExchange, MountPath: mountExchange, ReadOnly: true})
	}
	return mounts
}

func (i *injector) redirect() corev1.Container {
	redirected := i.config.Ports()
	if i.config.Egress.DenySTS && !slices.Contains(redirected, portHTTPS) {
		redirected = append(slices.Clone(redirected), portHTTPS)
	}
	var ports []string
	for _, port := range redirected {
		ports = append(ports, strconv.Itoa(port))
	}
	context := restricted(0)
	context.RunAsNonRoot = ptr.To(false)
	context.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
	return corev1.Container{
		Name:            ContainerRedirect,
		Image:           i.options.Image,
		ImagePullPolicy: i.options.ImagePullPolicy,
		Args: []string{
			"redirect", "--to=" + strconv.Itoa(portRedirect), "--ports=" + strings.Join(ports, ","),
			"--uid=" + strconv.FormatInt(i.user, 10),
		},
		Resources:                i.settings.resources,
		SecurityContext:          context,
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// restricted satisfies the restricted Pod Security Standard by itself, whatever
// the Pod's own security context says.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
func restricted(user int64) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsUser:                ptr.To(user),
		RunAsGroup:               ptr.To(user),
		RunAsNonRoot:             ptr.To(true),
		Privileged:               ptr.To(false),
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func (i *injector) usesServiceAccount() bool {
	return i.config.Identity.Source == authconfig.SourceServiceAccount
}

func (i *injector) volumes() []corev1.Volume {
	volumes := []corev1.Volume{
		{Name: volumeConfig, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: i.config.ConfigMap},
			DefaultMode:          ptr.To(corev1.ConfigMapVolumeSourceDefaultMode),
		}}},
	}
	if i.settings.mode != ModeLoopback {
		volumes = append(volumes,
			// Memory: what lies on a node's disk keeps a cluster autoscaler from
			// removing the node, and keys are never to be written to one.
			emptyDir(volumeCA, "8Mi"), emptyDir(volumeCAKey, "1Mi"))
	}
	if i.usesServiceAccount() {
		account := i.config.Identity.ServiceAccount
		volumes = append(
			volumes,
			corev1.Volume{
				Name: volumeToken,
				VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
					Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
						Audience: account.Audience, ExpirationSeconds: ptr.To(int64(account.ExpirationSeconds)),
						Path: "token",
					}}},
				}},
			},
		)
	}
	// MCP sessions outlive the container with the key that lies here, beside the token of the
	// admin port.
	volumes = append(volumes, emptyDir(volumeSession, "1Mi"))
	if e := i.exchange(); e != nil {
		volumes = append(volumes, corev1.Volume{Name: volumeExchange, VolumeSource: exchangeVolume(e)})
	}
	return volumes
}

func emptyDir(name, limit string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse(limit)),
	}}}
}

// ConfigMapLabel is the value of LabelConfigMap for a ConfigMap. A name that is
// too long for a label is cut and told from others by a hash.
func ConfigMapLabel(name string) string {
	const most, hashLength = 63, 10
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf(
		"%s-%s",
		strings.TrimRight(name[:most-hashLength-1], "-."),
		hex.EncodeToString(sum[:])[:hashLength],
	)
}

// isRendered reports whether an object with this name is part of what the Pod
// should have now.
func (o *objects) isRendered(name string) bool {
	return slices.ContainsFunc(o.containers, func(c corev1.Container) bool { return c.Name == name }) ||
		slices.ContainsFunc(o.volumes, func(v corev1.Volume) bool { return v.Name == name })
}
