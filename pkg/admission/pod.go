package admission

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-io/countersign/pkg/inject"
)

// podHandler admits Pods. It answers with the patch of package inject as it is:
// a computed difference of the whole Pod would move its init containers and
// remove what our version of the API does not know.
type podHandler struct {
	resolver *resolver
	options  inject.Options
	metrics  *metrics
}

var errNotAPod = errors.New("the request is not about a Pod that is created")

// Handle admits one Pod. Nothing in the cluster changes, so dry runs need no
// special handling.
func (h *podHandler) Handle(ctx context.Context, request admission.Request) admission.Response {
	begun := time.Now()
	answer, result, code := h.admit(ctx, &request)
	h.metrics.admitted(result, code, time.Since(begun))
	return answer
}

func (h *podHandler) admit(
	ctx context.Context,
	request *admission.Request,
) (admission.Response, outcome, inject.Code) {
	if request.Operation != admissionv1.Create || request.Kind.Kind != "Pod" || request.SubResource != "" {
		return admission.Errored(http.StatusBadRequest, errNotAPod), outcomeError, ""
	}
	var pod corev1.Pod
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(request.Object.Raw, &pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err), outcomeError, ""
	}
	if !inject.Asks(pod.Annotations) {
		return admission.Allowed(""), outcomeSkipped, ""
	}
	log := slog.With(
		"namespace",
		request.Namespace,
		"pod",
		displayName(&pod),
		"dryRun",
		request.DryRun != nil && *request.DryRun,
	)
	injection, refusal, err := h.inject(ctx, &pod, request.Namespace)
	switch {
	case err != nil:
		log.Error("a Pod could not be admitted", "error", err)
		return admission.Errored(http.StatusInternalServerError, err), outcomeError, ""
	case refusal != nil:
		log.Info("a Pod was refused", "code", refusal.Code, "reason", refusal.Sentence)
		return refused(refusal), outcomeRefused, refusal.Code
	case injection == nil:
		return admission.Allowed("").WithWarnings(notLabelled(request.Namespace)), outcomeSkipped, ""
	}
	answer := admission.Allowed("").WithWarnings(injection.Warnings...)
	if len(injection.Operations) == 0 {
		return answer, outcomeUnchanged, ""
	}
	for _, o := range injection.Operations {
		answer.Patches = append(
			answer.Patches,
			jsonpatch.JsonPatchOperation{Operation: o.Op, Path: o.Path, Value: o.Value},
		)
	}
	log.Info(
		"a Pod was injected",
		"mode",
		injection.Mode,
		"authConfig",
		pod.Annotations[inject.AnnotationAuthConfig],
		"operations",
		len(injection.Operations),
	)
	return answer, outcomeInjected, ""
}

// inject gives nothing at all for a namespace that is not labelled: the webhook
// configuration's selector keeps such Pods away, unless somebody widened it.
func (h *podHandler) inject(
	ctx context.Context,
	pod *corev1.Pod,
	namespaceName string,
) (*inject.Injection, *inject.Refusal, error) {
	namespace, err := h.resolver.namespace(ctx, namespaceName)
	if err != nil {
		return nil, nil, err
	}
	if namespace.Labels[inject.LabelInjection] != "enabled" {
		return nil, nil, nil
	}
	name, refusal := inject.ConfigName(pod.Annotations)
	if refusal != nil {
		return nil, refusal, nil
	}
	config, refusal, err := h.resolver.resolve(ctx, namespace, name)
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	injection, refusal := inject.Pod(pod, namespace, config, h.options)
	return injection, refusal, nil
}

func notLabelled(namespace string) string {
	return "the namespace " + namespace + " is not labelled " + inject.LabelInjection +
		": enabled: no sidecar is injected"
}

// refused carries the code for programs as a cause beside the sentence.
func refused(refusal *inject.Refusal) admission.Response {
	answer := admission.Denied(refusal.Error())
	answer.Result.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{
		{Type: metav1.CauseType(refusal.Code), Message: refusal.Sentence},
	}}
	return answer
}

func displayName(pod *corev1.Pod) string {
	if pod.Name != "" {
		return pod.Name
	}
	return pod.GenerateName + "*"
}
