package admission

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/inject"
)

// labelCopy is the value of inject.LabelAuthConfig on a copy of a shared
// auth-config. It differs from "true": a copy is no auth-config that can be
// named in an annotation, and the validating webhook passes it over.
const labelCopy = "copy"

// newScheme knows what the webhook reads and writes, and no more.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, admissionregistrationv1.AddToScheme, coordinationv1.AddToScheme, metav1.AddMetaToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build scheme: %w", err)
		}
	}
	return scheme, nil
}

func newMetadata(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(gvk)
	return object
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	return newMetadata(corev1.SchemeGroupVersion.WithKind("Namespace"))
}

func configMapMetadata() *metav1.PartialObjectMetadata {
	return newMetadata(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
}

func ownerMetadata() *metav1.PartialObjectMetadata {
	return newMetadata(admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"))
}

// cacheOptions keep labelled ConfigMaps, labelled namespaces and our own
// webhook configuration, and of each only what is needed. What is read from the
// cache must not be changed: it is not copied.
func cacheOptions(webhookConfiguration string) (cache.Options, error) {
	configs, err := labels.Parse(inject.LabelAuthConfig + " in (true," + labelCopy + ")")
	if err != nil {
		return cache.Options{}, fmt.Errorf("select auth-configs: %w", err)
	}
	return cache.Options{
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}: {Label: configs, Transform: stripConfigMap, UnsafeDisableDeepCopy: ptr.To(true)},
			namespaceMetadata(): {
				Label:     labels.SelectorFromSet(labels.Set{inject.LabelInjection: "enabled"}),
				Transform: stripMetadata, UnsafeDisableDeepCopy: ptr.To(true),
			},
			ownerMetadata(): {
				Field:     fields.OneTermEqualSelector("metadata.name", webhookConfiguration),
				Transform: stripMetadata, UnsafeDisableDeepCopy: ptr.To(true),
			},
		},
	}, nil
}

// maxCachedBytes is the most that is kept of one auth-config. Larger ones are
// read when they are needed, so that nobody can fill every replica's memory.
const maxCachedBytes = 16 << 10

// Annotations of what is cached, and only there: what became of the data.
const (
	// annotationDigest stands for the data of a copy.
	annotationDigest = authconfig.Prefix + "/cached-digest"
	// annotationLarge says that the data must be read live.
	annotationLarge = authconfig.Prefix + "/cached-without-data"
)

func isLarge(cm *corev1.ConfigMap) bool { return cm.Annotations[annotationLarge] != "" }

func stripConfigMap(object any) (any, error) {
	cm, ok := object.(*corev1.ConfigMap)
	if !ok {
		return object, nil
	}
	stripped := &corev1.ConfigMap{ObjectMeta: stripObjectMeta(&cm.ObjectMeta)}
	size := 0
	for key, value := range cm.Data {
		size += len(key) + len(value)
	}
	switch {
	case cm.Labels[inject.LabelAuthConfig] == labelCopy:
		stripped.Annotations = map[string]string{annotationDigest: authconfig.Files(cm.Data).Hash()}
	case size > maxCachedBytes:
		stripped.Annotations = map[string]string{annotationLarge: "true"}
	default:
		stripped.Data = cm.Data
	}
	// The values are of no use: that there are any is an error.
	for key := range cm.BinaryData {
		if stripped.BinaryData == nil {
			stripped.BinaryData = map[string][]byte{}
		}
		stripped.BinaryData[key] = nil
	}
	return stripped, nil
}

func stripMetadata(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		stripped := &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: stripObjectMeta(&o.ObjectMeta)}
		// Only a few short annotations matter: ranges of uids and a mesh's settings.
		stripped.Annotations = inject.NamespaceAnnotations(o.Annotations)
		return stripped, nil
	}
	return object, nil
}

func stripObjectMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Labels: m.Labels, OwnerReferences: m.OwnerReferences, DeletionTimestamp: m.DeletionTimestamp,
	}
}
