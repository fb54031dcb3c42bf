package inject

import (
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	bundleFile = mountCA + "/bundle.crt"
	caFile     = mountCA + "/ca.crt"
	// truststoreFile is for a JVM, which reads no variable.
	truststoreFile = mountCA + "/truststore.p12"
)

// trustEnvironment makes the usual TLS clients trust the Pod's CA. Those that
// take one more root get it alone; those that take a whole set get the public
// roots with it.
func trustEnvironment() []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "SSL_CERT_FILE", Value: bundleFile},
		{Name: "REQUESTS_CA_BUNDLE", Value: bundleFile},
		{Name: "CURL_CA_BUNDLE", Value: bundleFile},
		{Name: "AWS_CA_BUNDLE", Value: bundleFile},
		{Name: "NODE_EXTRA_CA_CERTS", Value: caFile},
	}
}

var loopbackURL = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(portLoopback))

// loopbackEnvironment tells the app where the sidecar listens: the first
// upstream under AWS_MCP_URL, each one under its name as well.
func (i *injector) loopbackEnvironment() []corev1.EnvVar {
	var environment []corev1.EnvVar
	for n, upstream := range i.config.Upstreams {
		paths := upstream.ListenPaths(n == 0)
		query := ""
		if upstream.URL.RawQuery != "" {
			query = "?" + upstream.URL.RawQuery
		}
		if n == 0 {
			environment = append(
				environment,
				corev1.EnvVar{Name: "AWS_MCP_URL", Value: envLiteral(loopbackURL + paths[0] + query)},
			)
		}
		name := "AWS_MCP_URL_" + strings.ToUpper(strings.ReplaceAll(upstream.Name, "-", "_"))
		environment = append(
			environment,
			corev1.EnvVar{Name: name, Value: envLiteral(loopbackURL + paths[len(paths)-1] + query)},
		)
	}
	return environment
}

// envLiteral keeps Kubernetes from expanding $(NAME) in a value.
func envLiteral(value string) string { return strings.ReplaceAll(value, "$(", "$$(") }

// patchEnvironment gives one of the user's containers the variables and the
// volume that the mode needs. A variable that the user set stays.
func (i *injector) patchEnvironment(field string, index int, container *corev1.Container) {
	if i.isOurs(container) || !i.getsEnvironment(container) {
		return
	}
	var missing []corev1.EnvVar
	for _, variable := range i.objects.environment {
		at := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == variable.Name })
		switch {
		case at < 0:
			missing = append(missing, variable)
		case i.injected && isOwnValue(container.Env[at].Value) && !i.isCurrentValue(container.Env[at].Value):
			i.patch.replace(variable, "spec", field, index, "env", at)
		}
	}
	appendAll(&i.patch, missing, len(container.Env), "spec", field, index, "env")
	var mounts []corev1.VolumeMount
	for _, mount := range i.objects.mounts {
		if !slices.ContainsFunc(
			container.VolumeMounts,
			func(m corev1.VolumeMount) bool { return m.Name == mount.Name },
		) {
			mounts = append(mounts, mount)
		}
	}
	appendAll(&i.patch, mounts, len(container.VolumeMounts), "spec", field, index, "volumeMounts")
}

func isOwnValue(value string) bool {
	return strings.HasPrefix(value, loopbackURL+"/") || strings.HasPrefix(value, mountRoot+"/")
}

// isCurrentValue tells values that lead to something in the Pod as it is now. A
// variable with one may be the user's own choice, and works.
func (i *injector) isCurrentValue(value string) bool {
	return slices.Contains([]string{bundleFile, caFile, truststoreFile}, value) ||
		slices.ContainsFunc(i.objects.environment, func(e corev1.EnvVar) bool { return e.Value == value })
}

// isOurs assumes a Pod without clashes, where a container with one of our names is
// ours.
func (i *injector) isOurs(container *corev1.Container) bool {
	return slices.Contains(reservedContainers, container.Name)
}

func (i *injector) getsEnvironment(container *corev1.Container) bool {
	return i.settings.containers == nil || slices.Contains(i.settings.containers, container.Name)
}
