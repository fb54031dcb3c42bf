package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-io/countersign/pkg/configmap"
)

// maxNote bounds the text of an Event: the API takes 1024 bytes.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
const maxNote = 1000

// The reasons of Events on auth-configs.
const (
	eventInvalid   = "InvalidAuthConfig"
	eventNotCopied = "NotCopied"
	eventValid     = "ValidAuthConfig"
)

// eventRecorder tells on a ConfigMap what the controller sees of it.
type eventRecorder struct{ events.EventRecorder }

func (e eventRecorder) notCopied(cm *corev1.ConfigMap, err error) {
	e.tell(
		cm,
		corev1.EventTypeWarning,
		eventNotCopied,
		"the shared auth-config is invalid, so namespaces keep the last good copy: "+err.Error(),
	)
}

func (e eventRecorder) tell(cm *corev1.ConfigMap, kind, reason, note string) {
	if e.EventRecorder == nil {
		return
	}
	if len(note) > maxNote {
		note = note[:maxNote] + "..."
	}
	e.Eventf(cm, nil, kind, reason, "Validate", "%s", note)
}

// authConfigEvents tells of auth-configs that are invalid although the validating webhook
// refuses such: those that were there before it, or were labelled past it.
type authConfigEvents struct {
	cached, live client.Reader
	validated    *validatedConfigs
	events       eventRecorder
	// invalid are the versions that were told of, by namespace and name.
	invalid sync.Map
}

func (a *authConfigEvents) setUp(m manager.Manager) error {
	return builder.ControllerManagedBy(m).Named("auth-config-events").
		For(&corev1.ConfigMap{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			cm, ok := o.(*corev1.ConfigMap)
			return ok && configmap.IsAuthConfig(cm)
		}))).
		Complete(a)
}

// Reconcile looks at one auth-config.
func (a *authConfigEvents) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var cm corev1.ConfigMap
	err := a.cached.Get(ctx, r.NamespacedName, &cm)
	if err == nil && isLarge(&cm) {
		err = a.live.Get(ctx, r.NamespacedName, &cm)
	}
	if apierrors.IsNotFound(err) || err == nil && !configmap.IsAuthConfig(&cm) {
		a.invalid.Delete(r.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read the auth-config %s: %w", r, err)
	}
	_, err = a.validated.get(ctx, &cm)
	switch {
	case errors.Is(err, errBusy):
		return reconcile.Result{}, err
	case err == nil:
		if _, was := a.invalid.LoadAndDelete(r.NamespacedName); was {
			a.events.tell(&cm, corev1.EventTypeNormal, eventValid, "the auth-config is valid again")
		}
		return reconcile.Result{}, nil
	}
	if before, _ := a.invalid.Swap(r.NamespacedName, cm.ResourceVersion); before != cm.ResourceVersion {
		a.events.tell(&cm, corev1.EventTypeWarning, eventInvalid, "Pods that name it are refused: "+err.Error())
	}
	return reconcile.Result{}, nil
}
