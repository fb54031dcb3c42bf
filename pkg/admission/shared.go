package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// sharedConfigs keeps a copy of each shared auth-config in every labelled
// namespace. A request names the namespace of the copy and the shared
// auth-config.
//
// The copies belong to the webhook configuration: when that is uninstalled,
// Kubernetes' garbage collector removes them.
type sharedConfigs struct {
	client               client.Client
	live                 client.Reader
	systemNamespace      string
	webhookConfiguration string
	validated            *validatedConfigs
	metrics              *metrics
	events               eventRecorder
	// reported are the versions of invalid auth-configs that the log has, by name.
	reported sync.Map
}

func (s *sharedConfigs) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("shared-configs").
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(s.forConfigMap)).
		WatchesMetadata(namespaceMetadata(), handler.EnqueueRequestsFromMapFunc(s.forNamespace)).
		WatchesMetadata(ownerMetadata(), handler.EnqueueRequestsFromMapFunc(s.forAll)).
		Complete(s)
}

// forConfigMap maps a shared auth-config to its copies, and a copy to itself.
func (s *sharedConfigs) forConfigMap(ctx context.Context, object client.Object) []reconcile.Request {
	if shared, isCopy := strings.CutPrefix(object.GetName(), inject.SharedPrefix); isCopy {
		return []reconcile.Request{request(object.GetNamespace(), shared)}
	}
	if object.GetNamespace() != s.systemNamespace {
		return nil
	}
	var requests []reconcile.Request
	for _, namespace := range s.namespaces(ctx) {
		requests = append(requests, request(namespace, object.GetName()))
	}
	return requests
}

func (s *sharedConfigs) forNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	names := map[string]bool{}
	var list corev1.ConfigMapList
	if err := s.client.List(ctx, &list, client.InNamespace(s.systemNamespace)); err != nil {
		slog.Error("the shared auth-configs could not be listed", "error", err)
	}
	for n := range list.Items {
		names[list.Items[n].Name] = true
	}
	// Copies go when the namespace loses its label.
	var copies corev1.ConfigMapList
	if err := s.client.List(ctx, &copies, client.InNamespace(object.GetName())); err != nil {
		slog.Error("the copies of shared auth-configs could not be listed", "error", err)
	}
	for n := range copies.Items {
		if shared, isCopy := strings.CutPrefix(copies.Items[n].Name, inject.SharedPrefix); isCopy {
			names[shared] = true
		}
	}
	var requests []reconcile.Request
	for _, name := range slices.Sorted(maps.Keys(names)) {
		requests = append(requests, request(object.GetName(), name))
	}
	return requests
}

func (s *sharedConfigs) forAll(ctx context.Context, _ client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, namespace := range s.namespaces(ctx) {
		object := namespaceMetadata()
		object.SetName(namespace)
		requests = append(requests, s.forNamespace(ctx, object)...)
	}
	return requests
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// namespaces are the labelled ones.
func (s *sharedConfigs) namespaces(ctx context.Context) []string {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := s.client.List(ctx, list); err != nil {
		slog.Error("the labelled namespaces could not be listed", "error", err)
	}
	names := make([]string, len(list.Items))
	for n := range list.Items {
		names[n] = list.Items[n].Name
	}
	return names
}

// Reconcile makes one copy equal to its source, or removes it.
func (s *sharedConfigs) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	source, err := s.source(ctx, r.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	key := types.NamespacedName{Namespace: r.Namespace, Name: configmap.CopyName(r.Name)}
	if source == nil {
		return reconcile.Result{}, s.remove(ctx, key)
	}
	if _, err := s.validated.get(ctx, source); errors.Is(err, errBusy) {
		return reconcile.Result{}, err
	} else if err != nil {
		// Sidecars that start again are better off with the last good copy. The
		// validating webhook refuses such a source; this one slipped past it.
		s.reportInvalid(source, err)
		return reconcile.Result{}, nil
	}
	owner := ownerMetadata()
	if err := s.client.Get(ctx, types.NamespacedName{Name: s.webhookConfiguration}, owner); err != nil {
		return reconcile.Result{}, fmt.Errorf("read the webhook configuration, which is to own the copies: %w", err)
	}
	return reconcile.Result{}, s.write(ctx, desiredCopy(key, source, owner))
}

// reportInvalid logs each version once, and not for every namespace.
func (s *sharedConfigs) reportInvalid(source *corev1.ConfigMap, err error) {
	if before, _ := s.reported.Swap(source.Name, source.ResourceVersion); before != source.ResourceVersion {
		slog.Error("a shared auth-config is invalid and is not copied", "configMap", source.Name, "error", err)
		s.events.notCopied(source, err)
	}
}

// source is the shared auth-config, or nil if there is to be no copy of it.
func (s *sharedConfigs) source(ctx context.Context, r types.NamespacedName) (*corev1.ConfigMap, error) {
	namespace := namespaceMetadata()
	err := s.client.Get(ctx, types.NamespacedName{Name: r.Namespace}, namespace)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the namespace %q: %w", r.Namespace, err)
	}
	// Nothing can be made in a namespace that goes, and all in it goes with it.
	if namespace.DeletionTimestamp != nil {
		return nil, nil
	}
	var source corev1.ConfigMap
	err = s.client.Get(ctx, types.NamespacedName{Namespace: s.systemNamespace, Name: r.Name}, &source)
	if apierrors.IsNotFound(err) || err == nil && !configmap.IsShared(&source) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the shared auth-config %q: %w", r.Name, err)
	}
	if isLarge(&source) {
		if err := s.live.Get(ctx, client.ObjectKeyFromObject(&source), &source); err != nil {
			return nil, fmt.Errorf("read the shared auth-config %q: %w", r.Name, err)
		}
	}
	return &source, nil
}

func desiredCopy(key types.NamespacedName, source *corev1.ConfigMap, owner metav1.Object) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels: map[string]string{inject.LabelAuthConfig: labelCopy},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration",
				Name: owner.GetName(), UID: owner.GetUID(),
			}},
		},
		Data: source.Data,
	}
}

func (s *sharedConfigs) write(ctx context.Context, desired *corev1.ConfigMap) error {
	var present corev1.ConfigMap
	err := s.client.Get(ctx, client.ObjectKeyFromObject(desired), &present)
	switch {
	case err == nil && (isSameCopy(desired, &present) || present.DeletionTimestamp != nil):
		// A copy being deleted is recreated once it is gone.
		return nil
	case apierrors.IsNotFound(err):
		err = s.client.Create(ctx, desired)
		if err == nil {
			s.metrics.copyWritten("create")
			return nil
		}
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the copy %s/%s: %w", desired.Namespace, desired.Name, err)
		}
		// An unlabelled ConfigMap with that name: the name is ours, so overwrite it.
	case err != nil:
		return fmt.Errorf("read the copy %s/%s: %w", desired.Namespace, desired.Name, err)
	}
	if err := s.client.Update(ctx, desired); err != nil {
		return fmt.Errorf("update the copy %s/%s: %w", desired.Namespace, desired.Name, err)
	}
	s.metrics.copyWritten("update")
	return nil
}

func isSameCopy(desired, present *corev1.ConfigMap) bool {
	return present.Annotations[annotationDigest] == authconfig.Files(desired.Data).Hash() &&
		len(present.BinaryData) == 0 &&
		maps.Equal(desired.Labels, present.Labels) &&
		equality.Semantic.DeepEqual(desired.OwnerReferences, present.OwnerReferences)
}

func (s *sharedConfigs) remove(ctx context.Context, key types.NamespacedName) error {
	var present corev1.ConfigMap
	err := s.client.Get(ctx, key, &present)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the copy %s: %w", key, err)
	}
	err = s.client.Delete(
		ctx,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}},
	)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the copy %s: %w", key, err)
	}
	s.metrics.copyWritten("delete")
	return nil
}
