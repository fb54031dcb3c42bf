package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// warnings are about a Pod that is injected correctly but may still not do what its
// user meant.
func (i *injector) warnings() []string {
	var warnings []string
	warnf := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	if shared := i.pod.Spec.ShareProcessNamespace; shared != nil && *shared || i.pod.Spec.HostPID {
		warnf(
			"the containers share a process namespace: one that runs as root, or as the sidecar's uid, can read " +
				"the sidecar's memory, with the caller's tokens and AWS credentials in it",
		)
	}
	if i.config.Egress.DenySTS && i.settings.mode != ModeRedirect {
		warnf(
			"egress.denySTS of the auth-config %q has an effect in mode redirect only: the Pod can reach AWS STS by "+
				"itself",
			i.config.Name,
		)
	}
	for c := range i.userContainers() {
		if i.runsAsRoot(c) {
			warnf("the container %q runs as root: %s", c.Name, i.rootConsequence())
		}
		if i.getsEnvironment(c) {
			warnings = append(warnings, i.environmentWarnings(c)...)
		}
		if name := ownCredentials(c); name != "" {
			warnf("the container %q has %s: it can get AWS credentials of its own, beside the sidecar", c.Name, name)
		}
		if i.bypassesByProxy(c) {
			warnf(
				"the container %q sends its traffic to a proxy (%s): add %s to NO_PROXY, else it never reaches the "+
					"sidecar",
				c.Name,
				strings.Join(proxyVariables(c, i.settings.mode), ", "),
				strings.Join(i.addressedHosts(), ","),
			)
		}
	}
	return warnings
}

func (i *injector) runsAsRoot(c *corev1.Container) bool {
	user := (*int64)(nil)
	if context := i.pod.Spec.SecurityContext; context != nil {
		user = context.RunAsUser
	}
	if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
		user = c.SecurityContext.RunAsUser
	}
	return user != nil && *user == 0
}

func (i *injector) rootConsequence() string {
	switch i.settings.mode {
	case ModeHosts:
		return "it can edit its /etc/hosts and reach the upstreams past the sidecar (without a signature)"
	case ModeRedirect:
		return "with CAP_SETUID it can take the sidecar's uid, whose traffic is not redirected, and reach the " +
			"upstreams past the sidecar (without a signature)"
	case ModeLoopback:
	}
	return "nothing in the Pod keeps it from reaching the upstreams past the sidecar (without a signature)"
}

func (i *injector) environmentWarnings(c *corev1.Container) []string {
	var warnings []string
	var names []string
	for _, variable := range i.objects.environment {
		names = append(names, variable.Name)
		at := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == variable.Name })
		if at < 0 || isOwnValue(c.Env[at].Value) {
			continue
		}
		if len(i.objects.mounts) > 0 {
			warnings = append(
				warnings,
				fmt.Sprintf(
					"the container %q sets %s itself: what it names must hold the Pod's CA (%s), else calls to the "+
						"upstreams fail",
					c.Name,
					variable.Name,
					caFile,
				),
			)
		} else {
			warnings = append(warnings, fmt.Sprintf(
				"the container %q sets %s itself: the sidecar listens at %s", c.Name, variable.Name, variable.Value))
		}
	}
	if len(c.EnvFrom) > 0 {
		warnings = append(
			warnings,
			fmt.Sprintf(
				"the container %q uses envFrom: of the variables in it, %s are overridden by ours",
				c.Name,
				strings.Join(names, ", "),
			),
		)
	}
	return warnings
}

// ownCredentials names the variable with which an AWS SDK in the app would find
// credentials.
func ownCredentials(c *corev1.Container) string {
	for _, e := range c.Env {
		switch e.Name {
		case "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI":
			return e.Name
		}
	}
	return ""
}

// addressedHosts are what the app calls.
func (i *injector) addressedHosts() []string {
	if i.settings.mode == ModeLoopback {
		return []string{"127.0.0.1"}
	}
	return i.config.Hosts()
}

func proxyVariables(c *corev1.Container, mode Mode) []string {
	wanted := "HTTPS_PROXY"
	if mode == ModeLoopback {
		wanted = "HTTP_PROXY"
	}
	var names []string
	for _, e := range c.Env {
		if upper := strings.ToUpper(e.Name); (upper == wanted || upper == "ALL_PROXY") &&
			(e.Value != "" || e.ValueFrom != nil) {
			names = append(names, e.Name)
		}
	}
	return names
}

func (i *injector) bypassesByProxy(c *corev1.Container) bool {
	if len(proxyVariables(c, i.settings.mode)) == 0 {
		return false
	}
	var exempt []string
	for _, e := range c.Env {
		if strings.EqualFold(e.Name, "NO_PROXY") {
			exempt = append(exempt, strings.Split(e.Value, ",")...)
		}
	}
	return slices.ContainsFunc(i.addressedHosts(), func(host string) bool {
		return !slices.ContainsFunc(exempt, func(entry string) bool { return isExempt(host, entry) })
	})
}

// isExempt follows the common reading of NO_PROXY: a name stands for itself and
// for what is below it, with or without a dot or a star before it.
func isExempt(host, entry string) bool {
	entry = strings.ToLower(strings.TrimSpace(entry))
	if entry == "*" || entry == host {
		return true
	}
	suffix := strings.TrimLeft(entry, "*")
	suffix = "." + strings.TrimLeft(suffix, ".")
	return suffix != "." && strings.HasSuffix(host, suffix)
}
