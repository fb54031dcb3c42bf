package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// resolver finds the auth-config that a Pod's annotation names.
type resolver struct {
	// cached holds labelled ConfigMaps and namespaces, live everything.
	cached, live    client.Reader
	systemNamespace string
	validated       *validatedConfigs
	metrics         *metrics
}

// namespace gives the namespace with its labels, also when it was labelled a
// moment ago.
func (r *resolver) namespace(ctx context.Context, name string) (inject.Namespace, error) {
	object := namespaceMetadata()
	err := r.cached.Get(ctx, types.NamespacedName{Name: name}, object)
	if apierrors.IsNotFound(err) {
		object = namespaceMetadata()
		err = r.live.Get(ctx, types.NamespacedName{Name: name}, object)
	}
	if err != nil {
		return inject.Namespace{}, fmt.Errorf("read the namespace %q: %w", name, err)
	}
	return inject.Namespace{Name: name, Labels: object.Labels, Annotations: object.Annotations}, nil
}

// resolve gives the auth-config of a name in a namespace: the ConfigMap there,
// else the shared one. The error, if it is not nil, is about the cluster and
// not about the Pod.
func (r *resolver) resolve(
	ctx context.Context,
	namespace inject.Namespace,
	name string,
) (*inject.MountedConfig, *inject.Refusal, error) {
	begun := time.Now()
	defer func() { r.metrics.resolved(time.Since(begun)) }()
	sharedOnly := namespace.Labels[inject.LabelConfigs] == "shared"
	if !sharedOnly {
		local, refusal, err := r.local(ctx, namespace.Name, name)
		if err != nil || refusal != nil {
			return nil, refusal, err
		}
		if local != nil {
			return r.use(ctx, local, name, local.Name)
		}
	}
	shared, err := r.labelled(ctx, r.systemNamespace, name)
	if err != nil {
		return nil, nil, err
	}
	if shared != nil && configmap.IsShared(shared) {
		return r.use(ctx, shared, name, configmap.CopyName(name))
	}
	if sharedOnly {
		return nil, inject.Refuse(
			inject.CodeConfigMapForbidden,
			"the namespace %q may use shared auth-configs only (label %s: shared), and there is none named %q in "+
				"the namespace %q",
			namespace.Name,
			inject.LabelConfigs,
			name,
			r.systemNamespace,
		), nil
	}
	return nil, inject.Refuse(inject.CodeConfigMapNotFound,
		"there is no ConfigMap %q in the namespace %q, and no shared auth-config of that name in the namespace %q",
		name, namespace.Name, r.systemNamespace), nil
}

// local looks for the ConfigMap in the Pod's own namespace. One that is there
// without the label is refused: passing it over would let a shared one take
// its place unseen.
func (r *resolver) local(ctx context.Context, namespace, name string) (*corev1.ConfigMap, *inject.Refusal, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	var cm corev1.ConfigMap
	err := r.cached.Get(ctx, key, &cm)
	if err == nil && configmap.IsAuthConfig(&cm) {
		whole, err := r.whole(ctx, &cm)
		return whole, nil, err
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("read the ConfigMap %s: %w", key, err)
	}
	object := configMapMetadata()
	err = r.live.Get(ctx, key, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("read the ConfigMap %s: %w", key, err)
	case object.Labels[inject.LabelAuthConfig] != "true":
		return nil, inject.Refuse(
			inject.CodeConfigMapUnlabelled,
			`the ConfigMap %q in the namespace %q lacks the label %s: "true"`,
			name,
			namespace,
			inject.LabelAuthConfig,
		), nil
	}
	// It was labelled a moment ago: the cache has yet to learn of it.
	found, err := r.read(ctx, key)
	return found, nil, err
}

// labelled gives a labelled ConfigMap or nil. What the cache lacks is looked
// for live, so that a refusal is never out of date.
func (r *resolver) labelled(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	var cm corev1.ConfigMap
	err := r.cached.Get(ctx, key, &cm)
	if err == nil {
		return r.whole(ctx, &cm)
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read the ConfigMap %s: %w", key, err)
	}
	return r.read(ctx, key)
}

// whole reads what the cache holds without its data, unless this version of it
// was validated before.
func (r *resolver) whole(ctx context.Context, cm *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	if !isLarge(cm) || r.validated.has(cm) {
		return cm, nil
	}
	return r.read(ctx, client.ObjectKeyFromObject(cm))
}

func (r *resolver) read(ctx context.Context, key types.NamespacedName) (*corev1.ConfigMap, error) {
	var cm corev1.ConfigMap
	err := r.live.Get(ctx, key, &cm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ConfigMap %s: %w", key, err)
	}
	return &cm, nil
}

func (r *resolver) use(
	ctx context.Context,
	cm *corev1.ConfigMap,
	name, mounted string,
) (*inject.MountedConfig, *inject.Refusal, error) {
	config, err := r.validated.get(ctx, cm)
	if errors.Is(err, errBusy) {
		return nil, nil, err
	}
	if err != nil {
		return nil, inject.Refuse(inject.CodeConfigMapInvalid, "the auth-config %q (ConfigMap %s/%s) is invalid: %s",
			name, cm.Namespace, cm.Name, oneLine(err)), nil
	}
	return &inject.MountedConfig{Config: config, Name: name, ConfigMap: mounted}, nil, nil
}

// oneLine keeps a sentence readable: the first faults, and how many there are.
func oneLine(err error) string {
	const most = 3
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(lines[:most], "; "), len(lines)-most)
	}
	return strings.Join(lines, "; ")
}
