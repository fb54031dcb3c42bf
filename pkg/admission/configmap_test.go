package admission_test

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-io/countersign/pkg/inject"
)

// withoutValidation does something while the validating webhook looks away.
func withoutValidation(t *testing.T, do func()) {
	t.Helper()
	setSelector := func(value string) {
		var configuration admissionregistrationv1.ValidatingWebhookConfiguration
		eventually(t, "the selector is changed", func(ctx context.Context) error {
			if err := get(ctx, "", webhookName, &configuration); err != nil {
				return err
			}
			configuration.Webhooks[0].ObjectSelector.MatchLabels[inject.LabelAuthConfig] = value
			return admin.Update(ctx, &configuration)
		})
	}
	setSelector("nothing")
	defer func() {
		setSelector("true")
		wantValidation(t, true)
	}()
	wantValidation(t, false)
	do()
}

// wantValidation waits until the API server has taken note.
func wantValidation(t *testing.T, validated bool) {
	t.Helper()
	eventually(t, "validation is switched", func(ctx context.Context) error {
		probe := authConfig("default", "probe", brokenConfig)
		err := admin.Create(ctx, probe)
		if err == nil {
			_ = admin.Delete(ctx, probe)
		}
		if validated == (err != nil) {
			return nil
		}
		return context.DeadlineExceeded
	})
}

func TestABrokenConfigIsRefusedWithEveryFault(t *testing.T) {
	namespace := labelledNamespace(t)
	wantFaults := func(t *testing.T, err error) {
		t.Helper()
		if err == nil {
			t.Fatal("it was admitted")
		}
		for _, want := range []string{
			`spec.upstream: 4:3: unknown field; did you mean "upstreams"?`,
			"spec.upstreams: needs at least one entry",
			"spec.awsSts.roleMappings[0].matcher: 1:8: undeclared reference to 'claim'",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in:\n%v", want, err)
			}
		}
	}
	t.Run("when it is made", func(t *testing.T) {
		wantFaults(t, admin.Create(t.Context(), authConfig(namespace, "new", brokenConfig)))
	})
	t.Run("when it is changed", func(t *testing.T) {
		var cm corev1.ConfigMap
		if err := get(t.Context(), namespace, "aws", &cm); err != nil {
			t.Fatal(err)
		}
		cm.Data["auth-config.yaml"] = brokenConfig
		wantFaults(t, admin.Update(t.Context(), &cm))
	})
	t.Run("when it is labelled", func(t *testing.T) {
		cm := authConfig(namespace, "later", brokenConfig)
		cm.Labels = nil
		create(t, cm)
		cm.Labels = map[string]string{inject.LabelAuthConfig: "true"}
		wantFaults(t, admin.Update(t.Context(), cm))
	})
	t.Run("when it has binary data", func(t *testing.T) {
		cm := authConfig(namespace, "binary", validConfig)
		cm.BinaryData = map[string][]byte{"more.cedar": {1}}
		if err := admin.Create(t.Context(), cm); err == nil || !strings.Contains(err.Error(), "binaryData.more.cedar: ") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("but not when it is no auth-config", func(t *testing.T) {
		cm := authConfig(namespace, "other", brokenConfig)
		cm.Labels = map[string]string{"app": "other"}
		create(t, cm)
	})
	wantMetric(t, "countersign_config_admissions_total", map[string]string{"outcome": "invalid"})
}

func TestAConfigThatMayNotBeMeantEarnsAWarning(t *testing.T) {
	namespace := labelledNamespace(t)
	c := clientAs(t, "")
	cm := authConfig(namespace, "open", validConfig)
	cm.Labels[inject.LabelShared] = "true"
	if err := c.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"every tool is allowed", `has an effect in the namespace "countersign-system" only`} {
		if !strings.Contains(c.text(), want) {
			t.Errorf("no warning %q in %q", want, c.text())
		}
	}
}

func TestRemovingAConfigThatRunningPodsUseEarnsAWarning(t *testing.T) {
	namespace := labelledNamespace(t)
	pod := asking(namespace, "aws")
	create(t, pod)
	finished := asking(namespace, "aws")
	create(t, finished)
	setPhase(t, pod, corev1.PodRunning)
	setPhase(t, finished, corev1.PodSucceeded)
	want := `the auth-config "aws" is deleted while running Pods use it (` + namespace + "/" + pod.Name + "):"

	c := clientAs(t, "")
	unlabelled := &corev1.ConfigMap{}
	if err := get(t.Context(), namespace, "aws", unlabelled); err != nil {
		t.Fatal(err)
	}
	unlabelled.Labels = nil
	if err := c.Update(t.Context(), unlabelled); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.text(), `the auth-config "aws" is no longer labelled while running Pods use it`) {
		t.Errorf("warnings when the label goes: %q", c.text())
	}
	unlabelled.Labels = map[string]string{inject.LabelAuthConfig: "true"}
	if err := c.Update(t.Context(), unlabelled); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), unlabelled); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.text(), want) || strings.Contains(c.text(), finished.Name) {
		t.Errorf("warnings: %q, want %q", c.text(), want)
	}

	shared := sharedConfig(t, "shared-in-use")
	user := asking(namespace, "shared-in-use")
	create(t, user)
	setPhase(t, user, corev1.PodRunning)
	if err := c.Delete(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.text(), `"shared-in-use" is deleted while running Pods use it (`+namespace+"/"+user.Name) {
		t.Errorf("warnings: %q", c.text())
	}
}

func setPhase(t *testing.T, pod *corev1.Pod, phase corev1.PodPhase) {
	t.Helper()
	pod.Status.Phase = phase
	if err := admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}
