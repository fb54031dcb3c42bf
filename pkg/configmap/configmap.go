// Package configmap reads auth-configs out of ConfigMaps. The webhook, its
// controller and the offline commands call it, so that they agree on what a
// ConfigMap holds.
package configmap

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/policy"
)

// IsAuthConfig tells a ConfigMap that is labelled as an auth-config.
func IsAuthConfig(cm *corev1.ConfigMap) bool { return cm.Labels[inject.LabelAuthConfig] == "true" }

// IsShared tells an auth-config that every labelled namespace may use, if it
// lies in the system namespace.
func IsShared(cm *corev1.ConfigMap) bool {
	return IsAuthConfig(cm) && cm.Labels[inject.LabelShared] == "true"
}

// IsCopyName tells names that only the controller may write.
func IsCopyName(name string) bool { return strings.HasPrefix(name, inject.SharedPrefix) }

// CopyName names the copies of a shared auth-config.
func CopyName(shared string) string { return inject.SharedPrefix + shared }

// maxNameLength is that of a ConfigMap's name, a DNS subdomain.
const maxNameLength = 253

// Compile validates what the ConfigMap holds. The error is an
// authconfig.Errors that names every fault.
func Compile(cm *corev1.ConfigMap) (*compile.Compiled, error) {
	var errs authconfig.Errors
	for _, key := range slices.Sorted(maps.Keys(cm.BinaryData)) {
		errs.Addf("binaryData."+key, "an auth-config is text; the sidecar would read this key and refuse it")
	}
	if IsShared(cm) && len(CopyName(cm.Name)) > maxNameLength {
		errs.Addf(
			"metadata.name",
			"is too long for a shared auth-config: its copies are named %s<name>, at most %d characters",
			inject.SharedPrefix,
			maxNameLength,
		)
	}
	config, err := compile.Files(cm.Data, policy.Pod{})
	if err != nil {
		return nil, append(errs, asErrors(err)...)
	}
	if e := config.Identity.OIDC.Exchange; IsShared(cm) && e != nil && e.Client.SecretRef.Name != "" {
		errs.Addf(
			"spec.identity.oidc.exchange.client.secretRef",
			"is not for a shared auth-config: every namespace would need the Secret; use authentication serviceAccount",
		)
	}
	if err := errs.AsError(); err != nil {
		return nil, err
	}
	return config, nil
}

func asErrors(err error) authconfig.Errors {
	if errs, ok := err.(authconfig.Errors); ok { //nolint:errorlint // compile documents the type
		return errs
	}
	return authconfig.Errors{{Path: authconfig.FileConfig, Message: err.Error()}}
}

// Warnings are about an auth-config that is valid and may not be meant.
func Warnings(config *compile.Compiled) []string {
	warnings := slices.Clone(config.Warnings)
	if config.Authorization == nil {
		warnings = append(warnings, authorize.EveryToolAllowed)
	}
	if e := config.Identity.OIDC.Exchange; e.UsesSecret() && e.Client.SecretRef.Name == "" {
		warnings = append(warnings, compile.WithoutSecret)
	}
	return warnings
}
