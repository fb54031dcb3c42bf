package admission_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

func TestAnAskingPodIsInjectedInEveryMode(t *testing.T) {
	namespace := labelledNamespace(t)
	// Kubernetes' own plugins change the Pod after us and would refuse it if we
	// took that back.
	create(t, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type:    corev1.LimitTypeContainer,
			Default: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
			Max:     corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
		}}},
	})
	for _, mode := range []inject.Mode{inject.ModeHosts, inject.ModeRedirect, inject.ModeLoopback} {
		t.Run(string(mode), func(t *testing.T) {
			pod := asking(namespace, "aws")
			pod.Annotations[inject.AnnotationIntercept] = string(mode)
			create(t, pod)
			sidecar := sidecarOf(pod)
			if sidecar == nil || pod.Spec.InitContainers[0].Name != sidecar.Name {
				t.Fatalf("the sidecar is not the first init container: %+v", pod.Spec.InitContainers)
			}
			if sidecar.RestartPolicy == nil || *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways || sidecar.Image != sidecarImage {
				t.Errorf("not a native sidecar of the configured image: %+v", sidecar)
			}
			if limit := sidecar.Resources.Limits[corev1.ResourceCPU]; limit.String() != "500m" {
				t.Errorf("LimitRanger's default is gone: %v", sidecar.Resources.Limits)
			}
			for _, m := range sidecar.VolumeMounts {
				if strings.HasPrefix(m.MountPath, "/var/run/secrets/kubernetes.io") {
					t.Error("the sidecar has the API token of the Pod's service account")
				}
			}
			if pod.Labels[inject.LabelConfigMap] != "aws" || pod.Annotations[inject.AnnotationStatus] == "" {
				t.Errorf("labels %v, annotations %v", pod.Labels, pod.Annotations)
			}
			wantUnchangedWhenInjectedAgain(t, pod)
		})
	}
}

// wantUnchangedWhenInjectedAgain takes the Pod as the API server keeps it, with
// all that it and its plugins added.
func wantUnchangedWhenInjectedAgain(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	cm := authConfig(pod.Namespace, "aws", validConfig)
	compiled, err := configmap.Compile(cm)
	if err != nil {
		t.Fatal(err)
	}
	injection, refusal := inject.Pod(pod, inject.Namespace{Name: pod.Namespace},
		&inject.MountedConfig{Config: compiled.Config, Name: "aws", ConfigMap: "aws"},
		inject.Options{Image: sidecarImage, Env: []corev1.EnvVar{{Name: "AWS_ENDPOINT_URL_STS", Value: "https://sts.internal"}}})
	if refusal != nil {
		t.Fatal(refusal)
	}
	for _, o := range injection.Operations {
		value, _ := json.Marshal(o.Value)
		t.Errorf("injected again it changes: %s %s %s", o.Op, o.Path, value)
	}
}

func TestWhatTheUserSetStaysWhenTheWebhookIsCalledAgain(t *testing.T) {
	namespace := plainNamespace(t, map[string]string{inject.LabelInjection: "enabled"})
	two := strings.Replace(validConfig, "  identity:", "  - {name: second, url: \"https://other-mcp.us-east-1.api.aws/mcp\"}\n  identity:", 1)
	create(t, authConfig(namespace, "aws", two))
	for mode, variable := range map[inject.Mode]corev1.EnvVar{
		inject.ModeLoopback: {Name: "AWS_MCP_URL", Value: "http://127.0.0.1:15380/second/mcp"},
		inject.ModeHosts:    {Name: "NODE_EXTRA_CA_CERTS", Value: "/var/run/countersign/ca/bundle.crt"},
	} {
		pod := asking(namespace, "aws")
		pod.Annotations[inject.AnnotationIntercept] = string(mode)
		pod.Spec.Containers[0].Env = []corev1.EnvVar{variable}
		create(t, pod)
		if got := pod.Spec.Containers[0].Env[0]; got != variable {
			t.Errorf("%s: %+v became %+v", mode, variable, got)
		}
	}
}

func TestOnlyPodsThatAskWhereTheyMayAreInjected(t *testing.T) {
	labelled := labelledNamespace(t)
	unlabelled := plainNamespace(t, nil)
	otherwise := plainNamespace(t, map[string]string{inject.LabelInjection: "disabled"})
	for name, test := range map[string]struct {
		namespace   string
		annotations map[string]string
		want        bool
		warning     string
	}{
		"one that asks in a labelled namespace":       {labelled, map[string]string{inject.AnnotationAuthConfig: "aws"}, true, ""},
		"one without any annotation":                  {labelled, nil, false, ""},
		"one with other annotations":                  {labelled, map[string]string{"example.com/a": "b"}, false, ""},
		"one that opts out":                           {labelled, map[string]string{inject.AnnotationAuthConfig: "aws", inject.AnnotationInject: "false"}, false, ""},
		"one that only says inject":                   {labelled, map[string]string{inject.AnnotationInject: "true"}, false, ""},
		"one that asks in an unlabelled namespace":    {unlabelled, map[string]string{inject.AnnotationAuthConfig: "aws"}, false, "is not labelled countersign.io/injection: enabled"},
		"one that asks in a namespace labelled off":   {otherwise, map[string]string{inject.AnnotationAuthConfig: "aws"}, false, "is not labelled countersign.io/injection: enabled"},
		"one that does not ask where nobody is asked": {unlabelled, nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := clientAs(t, "")
			pod := podWith(test.namespace, test.annotations)
			if err := c.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			if got := sidecarOf(pod) != nil; got != test.want {
				t.Errorf("injected is %v", got)
			}
			if got := c.text(); (got == "") != (test.warning == "") || !strings.Contains(got, test.warning) {
				t.Errorf("warnings: %q", got)
			}
		})
	}
}

func TestADryRunInjectsAndStoresNothing(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	if err := admin.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if sidecarOf(pod) == nil {
		t.Error("the dry run does not show the sidecar")
	}
	var pods corev1.PodList
	if err := admin.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 0 {
		t.Error("the dry run stored a Pod")
	}
}

func TestAPodThatCannotBeInjectedRightlyIsRefused(t *testing.T) {
	namespace := labelledNamespace(t)
	restricted := labelledNamespace(t, "pod-security.kubernetes.io/enforce", "restricted")
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "unlabelled"}, Data: map[string]string{"auth-config.yaml": validConfig},
	})
	// A shared one of the same name must not take its place.
	shared := authConfig(systemNamespace, "unlabelled", validConfig)
	shared.Labels[inject.LabelShared] = "true"
	create(t, shared)
	t.Cleanup(func() { _ = admin.Delete(t.Context(), shared) })
	notShared := authConfig(systemNamespace, "not-shared", validConfig)
	create(t, notShared)
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		code inject.Code
		text string
	}{
		"an unknown ConfigMap": {asking(namespace, "nowhere"), inject.CodeConfigMapNotFound,
			`there is no ConfigMap "nowhere" in the namespace "` + namespace + `", and no shared auth-config of that name in the namespace "countersign-system"`},
		"one in the system namespace that is not shared": {asking(namespace, "not-shared"), inject.CodeConfigMapNotFound, `there is no ConfigMap "not-shared"`},
		"an unlabelled ConfigMap": {asking(namespace, "unlabelled"), inject.CodeConfigMapUnlabelled,
			`the ConfigMap "unlabelled" in the namespace "` + namespace + `" lacks the label countersign.io/auth-config: "true"`},
		"an invalid ConfigMap, with the field path": {asking("legacy", "broken"), inject.CodeConfigMapInvalid, `spec.awsSts.roleMappings[0].matcher: 1:8: undeclared reference to 'claim'`},
		"a name that is none":                       {asking(namespace, "No Name"), inject.CodeBadAnnotation, `countersign.io/auth-config: "No Name" is not the name of a ConfigMap`},
		"the name of a copy":                        {asking(namespace, "countersign-shared-x"), inject.CodeBadAnnotation, "names a copy; name the shared auth-config itself, x"},
		"hostNetwork":                               {with(asking(namespace, "aws"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }), inject.CodeHostNetwork, "hostNetwork is true"},
		"a reserved volume": {with(asking(namespace, "aws"), func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "countersign-token", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}), inject.CodeReservedVolume, `the Pod has a volume "countersign-token"`},
		"redirect in a restricted namespace": {with(asking(restricted, "aws"), func(p *corev1.Pod) {
			p.Annotations[inject.AnnotationIntercept] = "redirect"
		}), inject.CodePodSecurityLevel, `mode redirect needs an init container with NET_ADMIN, which the namespace "` + restricted + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, admin.Create(t.Context(), test.pod), test.code, test.text)
		})
	}
	wantMetric(t, "countersign_admissions_total", map[string]string{"outcome": "refused", "code": string(inject.CodeHostNetwork)})
	wantMetric(t, "countersign_admissions_total", map[string]string{"outcome": "refused", "code": string(inject.CodeConfigMapInvalid)})
}

func with(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	change(pod)
	return pod
}

func TestAPodWithinTheRestrictedLevelStaysWithinIt(t *testing.T) {
	namespace := labelledNamespace(t, "pod-security.kubernetes.io/enforce", "restricted")
	for _, mode := range []inject.Mode{inject.ModeHosts, inject.ModeLoopback} {
		pod := asking(namespace, "aws")
		pod.Annotations[inject.AnnotationIntercept] = string(mode)
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
			RunAsNonRoot: ptr.To(true), AllowPrivilegeEscalation: ptr.To(false),
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		create(t, pod)
	}
}

func TestWarningsReachTheUser(t *testing.T) {
	namespace := labelledNamespace(t)
	c := clientAs(t, "")
	pod := asking(namespace, "aws")
	pod.Spec.ShareProcessNamespace = ptr.To(true)
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: ptr.To(int64(0))}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the containers share a process namespace", `the container "agent" runs as root`} {
		if !strings.Contains(c.text(), want) {
			t.Errorf("no warning %q in %q", want, c.text())
		}
	}
}

func TestAForgedStatusGetsOurObjectsAllTheSame(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	pod.Annotations[inject.AnnotationStatus] = `{"image":"evil"}`
	pod.Spec.InitContainers = []corev1.Container{{
		Name: inject.ContainerSidecar, Image: "evil", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)},
	}}
	create(t, pod)
	sidecar := sidecarOf(pod)
	if sidecar.Image != sidecarImage || *sidecar.SecurityContext.Privileged || strings.Contains(pod.Annotations[inject.AnnotationStatus], "evil") {
		t.Errorf("the forged sidecar stands: %+v", sidecar)
	}
	wantUnchangedWhenInjectedAgain(t, pod)
}

func TestTheExamplesAreAdmitted(t *testing.T) {
	if output, err := plane.Kubectl(t.Context(), "apply", "-k", "manifests/examples"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	create(t, serviceAccount("agents"))
	for _, resource := range []string{"deployment/agent", "job/nightly-report"} {
		text, err := plane.Kubectl(t.Context(), "-n", "agents", "get", resource, "-o", "jsonpath={.spec.template}")
		if err != nil {
			t.Fatal(err)
		}
		var template corev1.PodTemplateSpec
		if err := json.Unmarshal([]byte(text), &template); err != nil {
			t.Fatal(err)
		}
		// What the controller of the workload would make.
		pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		pod.Namespace, pod.GenerateName = "agents", "example-"
		create(t, pod)
		if sidecarOf(pod) == nil {
			t.Errorf("%s: not injected", resource)
		}
		hasToken := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "countersign-token" })
		if hasToken != strings.HasPrefix(resource, "job/") {
			t.Errorf("%s: token volume is %v", resource, hasToken)
		}
	}
}
