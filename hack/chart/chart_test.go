package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/countersign-io/countersign/e2e/controlplane"
)

const root = "../.."

func TestTheBaseIsRenderedFromTheChart(t *testing.T) {
	files, err := base(root)
	if err != nil {
		t.Fatal(err)
	}
	kustomization, err := os.ReadFile(filepath.Join(root, baseDir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range files {
		got, err := os.ReadFile(filepath.Join(root, baseDir, file))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the chart makes (%v): run `make base`", file, err)
		}
		if !strings.Contains(string(kustomization), "- "+file) {
			t.Errorf("the kustomization leaves %s out", file)
		}
		if strings.Contains(want, "helm") || strings.Contains(want, "managed-by") {
			t.Errorf("%s has something of Helm's", file)
		}
	}
}

// all turns everything on.
const all = `
replicas: 3
imagePullSecrets: [{name: registry}]
certManager: {enabled: true}
openshift: {enabled: true}
sidecar:
  image: {pullPolicy: Always, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  env: {AWS_ENDPOINT_URL_STS: "https://sts.example.com", LITERAL: "$(HOME)"}
  extraRoots: |
    -----BEGIN CERTIFICATE-----
    MIIB
    -----END CERTIFICATE-----
  resources: {cpuRequest: 10m, memoryLimit: 256Mi}
logLevel: debug
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
priorityClassName: system-cluster-critical
podAnnotations: {a: b}
labels: {team: platform}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
podMonitor: {enabled: true}
prometheusRule: {enabled: true}
dashboard: {enabled: true}
`

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	into := map[string]any{}
	if err := sigsyaml.Unmarshal([]byte(text), &into); err != nil {
		t.Fatal(err)
	}
	return into
}

func TestHelmFindsNothingToMend(t *testing.T) {
	for name, text := range map[string]string{"as it is": "", "with everything": all} {
		lint := action.NewLint()
		lint.Strict, lint.Namespace = true, namespace
		result := lint.Run([]string{filepath.Join(root, chartDir)}, values(t, text))
		for _, err := range result.Errors {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryValueDoesWhatItSays(t *testing.T) {
	files, err := render(filepath.Join(root, chartDir), values(t, all))
	if err != nil {
		t.Fatal(err)
	}
	for file, parts := range map[string][]string{
		"deployment.yaml": {
			"replicas: 3", "- name: registry", "priorityClassName: system-cluster-critical", "kubernetes.io/os: linux", "operator: Exists", "a: b",
			"--sidecar-image-pull-policy=Always", "--log-level=debug", "--sidecar-uid=auto", "--cert-dir=/certificate", "--sidecar-cpu-request=10m",
			"--sidecar-memory-limit=256Mi", `"--sidecar-env=AWS_ENDPOINT_URL_STS=https://sts.example.com"`, `"--sidecar-env=LITERAL=$$(HOME)"`,
			"COUNTERSIGN_EXTRA_ROOTS=-----BEGIN CERTIFICATE-----\\nMIIB", "countersign/sidecar@sha256:0123", `"team":"platform"`,
		},
		"certificate.yaml": {"kind: Issuer", "countersign-webhook.countersign-system.svc"},
		"webhooks.yaml":    {"cert-manager.io/inject-ca-from: countersign-system/countersign-webhook"},
		"monitoring.yaml": {
			"kind: ServiceMonitor", `"release":"prometheus"`, "kind: PodMonitor", "countersign.io/config-map", "kind: PrometheusRule", "alert: CountersignConfigRefused",
			"grafana_dashboard", `"uid": "countersign"`,
		},
	} {
		for _, part := range parts {
			if !strings.Contains(files[file], part) {
				t.Errorf("%s has no %s", file, part)
			}
		}
	}
	for _, absent := range []string{"runAsUser: 65532", "kind: Secret\nmetadata"} {
		if strings.Contains(files["deployment.yaml"]+files["certificate.yaml"], absent) {
			t.Errorf("%s is there all the same", absent)
		}
	}
	if strings.Contains(files["rbac.yaml"], "secrets") {
		t.Error("with cert-manager the webhook needs no right to Secrets")
	}
	fewer, err := render(filepath.Join(root, chartDir), values(t, "replicas: 1\nnetworkPolicy: {enabled: false}"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fewer["deployment.yaml"], "PodDisruptionBudget") || fewer["networkpolicy.yaml"] != "" {
		t.Error("one replica has a disruption budget, or the NetworkPolicy stays")
	}
}

func TestValuesThatAreWrongAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no replica":                "replicas: 0",
		"a misspelt value":          "replica: 2",
		"a misspelt value within":   "sidecar: {enviroment: {}}",
		"another pull policy":       "image: {pullPolicy: Sometimes}",
		"a digest that is none":     "image: {digest: latest}",
		"a name of no variable":     "sidecar: {env: {a-b: c}}",
		"roots that are no PEM":     "sidecar: {extraRoots: /etc/ssl/certs}",
		"an unknown level":          "logLevel: loud",
		"a quantity that is none":   "sidecar: {resources: {cpuLimit: much}}",
		"an interval that is none":  "serviceMonitor: {interval: often}",
		"a switch that is no truth": "openshift: {enabled: maybe}",
	} {
		if _, err := render(filepath.Join(root, chartDir), values(t, text)); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// getter leads Helm to a cluster.
type getter struct{ config *rest.Config }

func (g *getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

func (g *getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	client, err := discovery.NewDiscoveryClientForConfig(g.config)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(client), nil
}

func (g *getter) ToRESTMapper() (meta.RESTMapper, error) {
	client, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(client), client, nil), nil
}

func (g *getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*clientcmdapi.NewConfig(), &clientcmd.ConfigOverrides{Context: clientcmdapi.Context{Namespace: namespace}})
}

func TestHelmInstallsUpgradesRollsBackAndUninstalls(t *testing.T) {
	ctx := context.Background()
	plane, err := controlplane.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plane.Stop() }()
	kubernetesClient, err := kubernetes.NewForConfig(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(io.Discard, nil)))
	if err := config.Init(&getter{plane.Admin}, namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	chart, err := loader.Load(filepath.Join(root, chartDir))
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = name, namespace, true
	install.WaitStrategy, install.Timeout = kube.HookOnlyStrategy, time.Minute
	if _, err := install.RunWithContext(ctx, chart, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	replicas := func() int32 {
		d, err := kubernetesClient.AppsV1().Deployments(namespace).Get(ctx, "countersign-webhook", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return *d.Spec.Replicas
	}
	if got := replicas(); got != 2 {
		t.Errorf("installed with %d replicas", got)
	}
	// What the webhook writes must outlive an upgrade.
	secrets := kubernetesClient.CoreV1().Secrets(namespace)
	secret, err := secrets.Get(ctx, "countersign-webhook-certificate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{"tls.crt": []byte("made by the webhook")}
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	mutating := kubernetesClient.AdmissionregistrationV1().MutatingWebhookConfigurations()
	webhooks, err := mutating.Get(ctx, "countersign-webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	webhooks.Webhooks[0].ClientConfig.CABundle = []byte("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----\n")
	if _, err := mutating.Update(ctx, webhooks, metav1.UpdateOptions{}); err != nil {
		t.Logf("the CA cannot be set here: %v", err)
	}
	upgrade := action.NewUpgrade(config)
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = namespace, kube.HookOnlyStrategy, time.Minute
	if _, err := upgrade.RunWithContext(ctx, name, chart, map[string]any{"replicas": 3}); err != nil {
		t.Fatal(err)
	}
	if got := replicas(); got != 3 {
		t.Errorf("upgraded to %d replicas", got)
	}
	if secret, err := secrets.Get(ctx, secret.Name, metav1.GetOptions{}); err != nil || len(secret.Data) != 1 {
		t.Errorf("the upgrade took the certificate: %v, %v", secret.Data, err)
	}
	rollback := action.NewRollback(config)
	rollback.Version, rollback.WaitStrategy, rollback.Timeout = 1, kube.HookOnlyStrategy, time.Minute
	if err := rollback.Run(name); err != nil {
		t.Fatal(err)
	}
	if got := replicas(); got != 2 {
		t.Errorf("rolled back to %d replicas", got)
	}
	uninstall := action.NewUninstall(config)
	uninstall.WaitStrategy, uninstall.Timeout = kube.HookOnlyStrategy, time.Minute
	if _, err := uninstall.Run(name); err != nil {
		t.Fatal(err)
	}
	if _, err := mutating.Get(ctx, "countersign-webhook", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the webhook configuration is left: %v", err)
	}
	left, err := kubernetesClient.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d admission policies are left, %v", len(left.Items), err)
	}
}

func TestAReleaseIsPacked(t *testing.T) {
	out := t.TempDir()
	path, err := pack(filepath.Join(root, chartDir), "1.2.3", out)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(out, "countersign-1.2.3.tgz"); path != want {
		t.Errorf("%s", path)
	}
	loaded, err := loader.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(loaded); got == "" {
		t.Error("it is empty")
	}
}
