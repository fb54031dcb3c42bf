package inject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// exchange is that of callers' tokens, nil where there is none.
func (i *injector) exchange() *authconfig.Exchange {
	if i.usesServiceAccount() {
		return nil
	}
	return i.config.Identity.OIDC.Exchange
}

// exchangeVolume holds what authenticates the sidecar at the identity provider: the key
// of a Secret, or a service-account token; and the actor's token where one is sent.
func exchangeVolume(e *authconfig.Exchange) corev1.VolumeSource {
	// The sidecar is neither root nor in the group of the file. Not optional: kubelet's
	// event then names the Secret that is missing.
	const mode = int32(0o444)
	items := []corev1.KeyToPath{{Key: e.Client.SecretRef.Key, Path: fileCredential}}
	if e.UsesSecret() && e.Actor == authconfig.ActorNone {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: e.Client.SecretRef.Name, Items: items, DefaultMode: ptr.To(mode), Optional: ptr.To(false),
		}}
	}
	projected := &corev1.ProjectedVolumeSource{DefaultMode: ptr.To(mode)}
	token := func(path string) corev1.VolumeProjection {
		return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: e.Client.Audience, ExpirationSeconds: ptr.To(int64(authconfig.ExchangeTokenSeconds)), Path: path,
		}}
	}
	if e.UsesSecret() {
		projected.Sources = append(projected.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: e.Client.SecretRef.Name}, Items: items,
			Optional: ptr.To(false),
		}})
	} else {
		projected.Sources = append(projected.Sources, token(fileCredential))
	}
	if e.Actor == authconfig.ActorServiceAccount {
		projected.Sources = append(projected.Sources, token(fileActor))
	}
	return corev1.VolumeSource{Projected: projected}
}

// takenCredential finds where the app would have what authenticates the sidecar at the
// identity provider, and so what only the sidecar is to have.
func (i *injector) takenCredential() *Refusal {
	e := i.exchange()
	if e == nil {
		return nil
	}
	if e.UsesSecret() && e.Client.SecretRef.Name == "" {
		return Refuse(
			CodeExchangeCredential,
			"the auth-config %q says identity.oidc.exchange with authentication %s and no client.secretRef: nothing "+
				"would authenticate the sidecar; name a Secret of the Pod's namespace",
			i.config.Name,
			e.Client.Authentication,
		)
	}
	const sentence = "%s has %s, which authenticates the sidecar at the identity provider (auth-config %q, " +
		"identity.oidc.exchange.client): with it the app could get what AWS STS takes"
	secret := e.Client.SecretRef.Name
	for _, v := range i.pod.Spec.Volumes {
		if slices.Contains(reservedVolumes, v.Name) {
			continue
		}
		if secret != "" && secretsOf(&v)[secret] {
			return Refuse(CodeExchangeCredential, sentence, "the volume "+quoted(v.Name), "the Secret "+quoted(secret),
				i.config.Name)
		}
		if e.UsesServiceAccount() && projectsAudience(&v, e.Client.Audience) {
			return Refuse(CodeExchangeCredential, sentence, "the volume "+quoted(v.Name),
				"a service-account token for audience "+quoted(e.Client.Audience), i.config.Name)
		}
	}
	for c := range i.userContainers() {
		if secret != "" && readsSecret(c, secret) {
			return Refuse(CodeExchangeCredential, sentence, "the environment of the container "+quoted(c.Name),
				"the Secret "+quoted(secret), i.config.Name)
		}
	}
	return nil
}

// secretsOf are the Secrets whose content a volume has, or gives to its driver.
func secretsOf(v *corev1.Volume) map[string]bool {
	names := map[string]bool{}
	note := func(ref *corev1.LocalObjectReference) {
		if ref != nil {
			names[ref.Name] = true
		}
	}
	switch {
	case v.Secret != nil:
		names[v.Secret.SecretName] = true
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				names[source.Secret.Name] = true
			}
		}
	case v.CSI != nil:
		note(v.CSI.NodePublishSecretRef)
	case v.AzureFile != nil:
		names[v.AzureFile.SecretName] = true
	case v.FlexVolume != nil:
		note(v.FlexVolume.SecretRef)
	case v.CephFS != nil:
		note(v.CephFS.SecretRef)
	case v.RBD != nil:
		note(v.RBD.SecretRef)
	case v.ISCSI != nil:
		note(v.ISCSI.SecretRef)
	case v.ScaleIO != nil:
		note(v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		note(v.StorageOS.SecretRef)
	case v.Cinder != nil:
		note(v.Cinder.SecretRef)
	}
	return names
}

func projectsAudience(v *corev1.Volume, audience string) bool {
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
		return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience
	})
}

func readsSecret(c *corev1.Container, name string) bool {
	return slices.ContainsFunc(c.EnvFrom, func(e corev1.EnvFromSource) bool {
		return e.SecretRef != nil && e.SecretRef.Name == name
	}) || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == name
	})
}
