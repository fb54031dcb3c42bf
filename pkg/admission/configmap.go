package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// configMapValidator refuses a labelled ConfigMap that is no valid auth-config,
// with every fault at once.
type configMapValidator struct {
	cached, live    client.Reader
	systemNamespace string
	validated       *validatedConfigs
	metrics         *metrics
}

var _ admission.Validator[*corev1.ConfigMap] = (*configMapValidator)(nil)

// ValidateCreate validates a new ConfigMap.
func (v *configMapValidator) ValidateCreate(ctx context.Context, cm *corev1.ConfigMap) (admission.Warnings, error) {
	if !configmap.IsAuthConfig(cm) {
		return nil, nil
	}
	config, err := v.validated.compile(ctx, cm)
	if errors.Is(err, errBusy) {
		return nil, err
	}
	v.metrics.configAdmitted(err == nil)
	if err != nil {
		return nil, fmt.Errorf("the auth-config %q is invalid:\n%w", cm.Name, err)
	}
	warnings := admission.Warnings(configmap.Warnings(config))
	if cm.Labels[inject.LabelShared] == "true" && cm.Namespace != v.systemNamespace {
		warnings = append(
			warnings,
			fmt.Sprintf("the label %s has an effect in the namespace %q only", inject.LabelShared, v.systemNamespace),
		)
	}
	if v.ignoresLocal(ctx, cm.Namespace) {
		warnings = append(
			warnings,
			fmt.Sprintf("the namespace %q may use shared auth-configs only (label %s: shared): this one has no effect",
				cm.Namespace, inject.LabelConfigs),
		)
	}
	return warnings, nil
}

func (v *configMapValidator) ignoresLocal(ctx context.Context, namespace string) bool {
	object := namespaceMetadata()
	err := v.cached.Get(ctx, types.NamespacedName{Name: namespace}, object)
	return err == nil && object.Labels[inject.LabelConfigs] == "shared"
}

// ValidateUpdate validates a changed ConfigMap, or warns of one that is no
// longer an auth-config.
func (v *configMapValidator) ValidateUpdate(
	ctx context.Context,
	before, after *corev1.ConfigMap,
) (admission.Warnings, error) {
	// An object being deleted must be able to drop its finalizers, valid or not.
	if after.DeletionTimestamp != nil {
		return nil, nil
	}
	if configmap.IsAuthConfig(before) && !configmap.IsAuthConfig(after) {
		return v.warnOfUsers(ctx, before, "is no longer labelled")
	}
	return v.ValidateCreate(ctx, after)
}

// ValidateDelete warns when running Pods use the ConfigMap.
func (v *configMapValidator) ValidateDelete(ctx context.Context, cm *corev1.ConfigMap) (admission.Warnings, error) {
	if !configmap.IsAuthConfig(cm) {
		return nil, nil
	}
	return v.warnOfUsers(ctx, cm, "is deleted")
}

// maxListed bounds what a warning lists.
const maxListed = 3

// warnOfUsers never refuses: it fails open, so that namespaces can be
// deleted.
func (v *configMapValidator) warnOfUsers(
	ctx context.Context,
	cm *corev1.ConfigMap,
	what string,
) (admission.Warnings, error) {
	mounted, options := cm.Name, []client.ListOption{client.InNamespace(cm.Namespace)}
	if cm.Namespace == v.systemNamespace && configmap.IsShared(cm) {
		mounted, options = configmap.CopyName(cm.Name), nil
	}
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	options = append(options, client.MatchingLabels{inject.LabelConfigMap: inject.ConfigMapLabel(mounted)},
		client.MatchingFields{"status.phase": string(corev1.PodRunning)}, client.Limit(maxListed))
	if err := v.live.List(ctx, pods, options...); err != nil {
		slog.Error(
			"the Pods that use an auth-config could not be listed",
			"configMap",
			cm.Namespace+"/"+cm.Name,
			"error",
			err,
		)
		return admission.Warnings{
			fmt.Sprintf("the auth-config %q %s; which Pods use it could not be found out", cm.Name, what),
		}, nil
	}
	if len(pods.Items) == 0 {
		return nil, nil
	}
	names := make([]string, len(pods.Items))
	for n := range pods.Items {
		names[n] = pods.Items[n].Namespace + "/" + pods.Items[n].Name
	}
	rest := ""
	if pods.Continue != "" {
		rest = " and others"
	}
	return admission.Warnings{
		fmt.Sprintf(
			"the auth-config %q %s while running Pods use it (%s%s): they keep what they have read, and do not "+
				"start again without it",
			cm.Name,
			what,
			strings.Join(names, ", "),
			rest,
		),
	}, nil
}
