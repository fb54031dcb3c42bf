package admission_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/countersign-io/countersign/pkg/inject"
)

// exchangeConfig exchanges callers' tokens as this client.
func exchangeConfig(client string) string {
	return bearerConfig(", exchange: {authorizedParty: sidecar, client: " + client + "}")
}

func bearerConfig(more string) string {
	return strings.Replace(validConfig, "{source: serviceAccount}", `{source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign`+more+"}}", 1)
}

const (
	clientBySecret  = "{id: sidecar, secretRef: {name: idp-client, key: secret}}"
	clientByAccount = "{authentication: serviceAccount, audience: idp}"
)

func TestOnlyTheSidecarHasWhatAuthenticatesIt(t *testing.T) {
	const addVolume = `[{"op":"add","path":"/spec/volumes/-","value":{"name":"mine",%s}}]`
	for name, test := range map[string]struct{ client, patch, text string }{
		"the Secret in a volume": {
			clientBySecret, strings.Replace(addVolume, "%s", `"secret":{"secretName":"idp-client"}`, 1), "another volume has what authenticates",
		},
		"the Secret for a driver": {
			clientBySecret, strings.Replace(addVolume, "%s", `"csi":{"driver":"smb.csi.k8s.io","nodePublishSecretRef":{"name":"idp-client"}}`, 1), "another volume has what authenticates",
		},
		"the Secret in a projected volume": {
			clientBySecret, strings.Replace(addVolume, "%s", `"projected":{"sources":[{"secret":{"name":"idp-client"}}]}`, 1), "another volume has what authenticates",
		},
		"the audience in a projected volume": {
			clientByAccount, strings.Replace(addVolume, "%s", `"projected":{"sources":[{"serviceAccountToken":{"audience":"idp","path":"t"}}]}`, 1), "another volume has what authenticates",
		},
		"the Secret in the environment": {
			clientBySecret, `[{"op":"add","path":"/spec/containers/0/env/-","value":{"name":"S","valueFrom":{"secretKeyRef":{"name":"idp-client","key":"secret"}}}}]`, "environment has what authenticates",
		},
		"the Secret as the environment": {
			clientBySecret, `[{"op":"add","path":"/spec/containers/0/envFrom","value":[{"secretRef":{"name":"idp-client"}}]}]`, "environment has what authenticates",
		},
		"the sidecar's own volume": {
			clientBySecret, `[{"op":"add","path":"/spec/containers/0/volumeMounts/-","value":{"name":"countersign-exchange","mountPath":"/k"}}]`, "mounts one of its volumes",
		},
		"another Secret": {clientBySecret, strings.Replace(addVolume, "%s", `"secret":{"secretName":"other"}`, 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := labelledNamespace(t)
			create(t, authConfig(namespace, "exchange", exchangeConfig(test.client)))
			secondWebhook(t, namespace, `[{"op":"replace","path":"/spec/initContainers/0/image","value":"other"}]`, test.patch)
			err := admin.Create(t.Context(), asking(namespace, "exchange"))
			if test.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantForbidden(t, "the Pod", err, test.text)
		})
	}
}

func TestAnEphemeralContainerHasNoSecretOfTheSidecars(t *testing.T) {
	namespace := labelledNamespace(t)
	create(t, authConfig(namespace, "exchange", exchangeConfig(clientBySecret)))
	pod := asking(namespace, "exchange")
	create(t, pod)
	clients, err := kubernetes.NewForConfig(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	secret := corev1.LocalObjectReference{Name: "idp-client"}
	for name, change := range map[string]func(*corev1.EphemeralContainer){
		"in its environment": func(c *corev1.EphemeralContainer) {
			c.Env = []corev1.EnvVar{{Name: "S", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: secret, Key: "secret"}}}}
		},
		"as its environment": func(c *corev1.EphemeralContainer) {
			c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: secret}}}
		},
	} {
		current := &corev1.Pod{}
		if err := get(t.Context(), namespace, pod.Name, current); err != nil {
			t.Fatal(err)
		}
		c := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example.com/debug:1"}}
		change(&c)
		current.Spec.EphemeralContainers = []corev1.EphemeralContainer{c}
		_, err := clients.CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), pod.Name, current, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		wantForbidden(t, name, err, "may not have what authenticates")
	}
}

func TestASharedConfigNamesNoSecret(t *testing.T) {
	cm := authConfig(systemNamespace, "shared-secret", exchangeConfig(clientBySecret))
	cm.Labels[inject.LabelShared] = "true"
	if err := admin.Create(t.Context(), cm); err == nil || !strings.Contains(err.Error(), "exchange.client.secretRef: is not for a shared auth-config") {
		t.Errorf("%v", err)
	}
	cm = authConfig(systemNamespace, "shared-account", exchangeConfig(clientByAccount))
	cm.Labels[inject.LabelShared] = "true"
	create(t, cm)
	if err := admin.Delete(t.Context(), cm); err != nil {
		t.Error(err)
	}
}

func TestAConfigWithoutExchangeEarnsAWarning(t *testing.T) {
	namespace := labelledNamespace(t)
	for name, c := range map[string]struct {
		text string
		want bool
	}{"with": {exchangeConfig(clientByAccount), false}, "without": {bearerConfig(""), true}, "account": {validConfig, false}} {
		as := clientAs(t, "")
		if err := as.Create(t.Context(), authConfig(namespace, name, c.text)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(as.text(), "an agent can assume these roles without the sidecar"); got != c.want {
			t.Errorf("%s: warned %v: %s", name, got, as.text())
		}
	}
}
