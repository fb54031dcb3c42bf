package admission_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/inject"
)

func sharedConfig(t *testing.T, name string) *corev1.ConfigMap {
	t.Helper()
	cm := authConfig(systemNamespace, name, validConfig)
	cm.Labels[inject.LabelShared] = "true"
	create(t, cm)
	t.Cleanup(func() { _ = admin.Delete(context.Background(), cm) })
	return cm
}

func wantCopy(t *testing.T, namespace string, source *corev1.ConfigMap) {
	t.Helper()
	eventually(t, "the copy in "+namespace, func(ctx context.Context) error {
		var copied corev1.ConfigMap
		if err := get(ctx, namespace, "countersign-shared-"+source.Name, &copied); err != nil {
			return err
		}
		if !maps.Equal(copied.Data, source.Data) {
			return fmt.Errorf("the copy differs: %v", copied.Data)
		}
		return nil
	})
}

func TestASharedConfigIsCopiedAndKeptInStep(t *testing.T) {
	before := labelledNamespace(t)
	shared := sharedConfig(t, "kept-in-step")
	wantCopy(t, before, shared)
	after := labelledNamespace(t)
	wantCopy(t, after, shared)

	shared.Data["auth-config.yaml"] += "# changed\n"
	if err := admin.Update(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	wantCopy(t, before, shared)
	wantCopy(t, after, shared)

	name := "countersign-shared-" + shared.Name
	// Deletion is free, and is made good.
	if err := admin.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: before, Name: name}}); err != nil {
		t.Fatal(err)
	}
	wantCopy(t, before, shared)

	var namespace corev1.Namespace
	if err := get(t.Context(), "", after, &namespace); err != nil {
		t.Fatal(err)
	}
	delete(namespace.Labels, inject.LabelInjection)
	if err := admin.Update(t.Context(), &namespace); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no copy where the label is gone", func(ctx context.Context) error { return isGone(ctx, after, name) })

	if err := admin.Delete(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no copy of what is gone", func(ctx context.Context) error { return isGone(ctx, before, name) })
}

func TestACopyBelongsToTheWebhookConfiguration(t *testing.T) {
	namespace := labelledNamespace(t)
	shared := sharedConfig(t, "owned")
	wantCopy(t, namespace, shared)
	var copied corev1.ConfigMap
	if err := get(t.Context(), namespace, "countersign-shared-owned", &copied); err != nil {
		t.Fatal(err)
	}
	var owner admissionregistrationv1.MutatingWebhookConfiguration
	if err := get(t.Context(), "", webhookName, &owner); err != nil {
		t.Fatal(err)
	}
	// The garbage collector, which does not run here, removes it with its owner.
	if len(copied.OwnerReferences) != 1 || copied.OwnerReferences[0].UID != owner.UID {
		t.Errorf("owners: %+v", copied.OwnerReferences)
	}
}

func TestAPodUsesTheSharedConfigThroughItsCopy(t *testing.T) {
	namespace := plainNamespace(t, map[string]string{inject.LabelInjection: "enabled"})
	sharedConfig(t, "used")
	pod := asking(namespace, "used")
	create(t, pod)
	for _, v := range pod.Spec.Volumes {
		if v.Name == "countersign-config" && v.ConfigMap.Name != "countersign-shared-used" {
			t.Errorf("it mounts %s", v.ConfigMap.Name)
		}
	}
	if pod.Labels[inject.LabelConfigMap] != "countersign-shared-used" {
		t.Errorf("labels: %v", pod.Labels)
	}
}

func TestALocalConfigComesBeforeASharedOne(t *testing.T) {
	namespace := labelledNamespace(t)
	sharedConfig(t, "aws")
	pod := asking(namespace, "aws")
	create(t, pod)
	if pod.Labels[inject.LabelConfigMap] != "aws" {
		t.Errorf("labels: %v", pod.Labels)
	}
}

func TestANamespaceForSharedConfigsTakesNoLocalOne(t *testing.T) {
	namespace := labelledNamespace(t, inject.LabelConfigs, "shared")
	wantRefusal(t, admin.Create(t.Context(), asking(namespace, "aws")), inject.CodeConfigMapForbidden, "may use shared auth-configs only")
	c := clientAs(t, "")
	eventually(t, "a warning about a local one", func(ctx context.Context) error {
		if err := c.Create(ctx, authConfig(namespace, "another", validConfig), client.DryRunAll); err != nil {
			return err
		}
		if !strings.Contains(c.text(), "this one has no effect") {
			return fmt.Errorf("warnings: %q", c.text())
		}
		return nil
	})
	sharedConfig(t, "aws")
	eventually(t, "the shared one is used", func(ctx context.Context) error {
		pod := asking(namespace, "aws")
		if err := admin.Create(ctx, pod); err != nil {
			return err
		}
		if pod.Labels[inject.LabelConfigMap] != "countersign-shared-aws" {
			return fmt.Errorf("labels: %v", pod.Labels)
		}
		return nil
	})
}

func TestNobodyButTheControllerWritesCopies(t *testing.T) {
	namespace := labelledNamespace(t)
	shared := sharedConfig(t, "guarded")
	wantCopy(t, namespace, shared)
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tenant"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "tenant"}},
	})
	const refusal = "only the Countersign controller may write them"
	for user, c := range map[string]client.Client{"a tenant": clientAs(t, "tenant"), "an admin": admin} {
		copied := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "countersign-shared-own"}}
		wantForbidden(t, user+" makes one", c.Create(t.Context(), copied), refusal)
		generated := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "countersign-shared-"}}
		wantForbidden(t, user+" has one's name generated", c.Create(t.Context(), generated), refusal)
		var present corev1.ConfigMap
		if err := get(t.Context(), namespace, "countersign-shared-guarded", &present); err != nil {
			t.Fatal(err)
		}
		present.Data = map[string]string{"auth-config.yaml": "opened"}
		wantForbidden(t, user+" changes one", c.Update(t.Context(), &present), refusal)
	}
	if err := clientAs(t, "tenant").Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "countersign-shared-guarded"}}); err != nil {
		t.Errorf("a tenant may not delete one, and so not its namespace: %v", err)
	}
}

func TestACopyThatIsDeletedInTheForegroundGoesAndComesBack(t *testing.T) {
	namespace := labelledNamespace(t)
	shared := sharedConfig(t, "foreground")
	wantCopy(t, namespace, shared)
	name := "countersign-shared-foreground"
	copied := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := admin.Delete(t.Context(), copied, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	collector := clientAs(t, "system:serviceaccount:kube-system:generic-garbage-collector", "system:masters")
	if err := get(t.Context(), namespace, name, copied); err != nil {
		t.Fatal(err)
	}
	poisoned := copied.DeepCopy()
	poisoned.Data = map[string]string{"auth-config.yaml": "opened"}
	wantForbidden(t, "a change of one that goes", admin.Update(t.Context(), poisoned), "only the Countersign controller may write them")
	copied.Finalizers = nil
	if err := collector.Update(t.Context(), copied); err != nil {
		t.Fatalf("the garbage collector cannot let it go: %v", err)
	}
	wantCopy(t, namespace, shared)
}

func TestNobodyPutsWhatHeLikesAmongTheCopies(t *testing.T) {
	namespace := labelledNamespace(t)
	posing := authConfig(namespace, "posing", validConfig)
	posing.Labels[inject.LabelAuthConfig] = "copy"
	wantForbidden(t, "a ConfigMap labelled as a copy", admin.Create(t.Context(), posing), "only the Countersign controller may set it")
}

func TestALargeConfigIsReadWhenItIsNeeded(t *testing.T) {
	namespace := plainNamespace(t, map[string]string{inject.LabelInjection: "enabled"})
	large := authConfig(namespace, "large", validConfig+"# "+strings.Repeat("x", 64<<10)+"\n")
	create(t, large)
	pod := asking(namespace, "large")
	eventually(t, "it is used from the cache and live", func(ctx context.Context) error {
		pod = asking(namespace, "large")
		return admin.Create(ctx, pod)
	})
	if sidecarOf(pod) == nil {
		t.Error("not injected")
	}
	shared := authConfig(systemNamespace, "large-shared", validConfig+"# "+strings.Repeat("x", 64<<10)+"\n")
	shared.Labels[inject.LabelShared] = "true"
	create(t, shared)
	t.Cleanup(func() { _ = admin.Delete(context.Background(), shared) })
	wantCopy(t, namespace, shared)
}

func TestTheControllerWritesNoOtherConfigMaps(t *testing.T) {
	namespace := labelledNamespace(t)
	controller, err := client.New(replicas.cluster, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const refusal = "may write copies of shared auth-configs only"
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other"}}
	wantForbidden(t, "it makes one", controller.Create(t.Context(), other), refusal)
	var present corev1.ConfigMap
	if err := get(t.Context(), namespace, "aws", &present); err != nil {
		t.Fatal(err)
	}
	wantForbidden(t, "it deletes one", controller.Delete(t.Context(), &present), refusal)
	present.Data = nil
	wantForbidden(t, "it changes one", controller.Update(t.Context(), &present), refusal)
	if err := controller.List(t.Context(), &corev1.SecretList{}); !apierrors.IsForbidden(err) {
		t.Errorf("it may list Secrets: %v", err)
	}
}

func wantForbidden(t *testing.T, what string, err error, text string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestASharedConfigOfBeforeInstallationThatIsBrokenIsNotCopied(t *testing.T) {
	namespace := labelledNamespace(t)
	shared := sharedConfig(t, "last-good")
	wantCopy(t, namespace, shared)
	withoutValidation(t, func() {
		broken := shared.DeepCopy()
		broken.Data["auth-config.yaml"] = brokenConfig
		if err := admin.Update(t.Context(), broken); err != nil {
			t.Fatal(err)
		}
	})
	// Something that the controller does after it saw the broken one.
	marker := sharedConfig(t, "after-broken")
	wantCopy(t, namespace, marker)
	var copied corev1.ConfigMap
	if err := get(t.Context(), namespace, "countersign-shared-last-good", &copied); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(copied.Data, shared.Data) {
		t.Error("the last good copy is gone")
	}
}

func TestWhatIsWrongWithAnAuthConfigIsToldOnItsConfigMap(t *testing.T) {
	// "legacy" has a broken auth-config from before the webhook came.
	ctx := t.Context()
	deadline := time.Now().Add(30 * time.Second)
	for {
		var list eventsv1.EventList
		if err := admin.List(ctx, &list, client.InNamespace("legacy")); err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			e := &list.Items[i]
			if e.Regarding.Kind == "ConfigMap" && e.Regarding.Name == "broken" && e.Reason == "InvalidAuthConfig" && e.Type == "Warning" &&
				strings.Contains(e.Note, "undeclared reference") {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no Event on it: %v", list.Items)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
