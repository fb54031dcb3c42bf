package main

import (
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// patches are what the second mutating webhook does to a Pod with such a label.
var patches = map[string]string{
	"annotate": `[{"op": "add", "path": "/metadata/annotations", "value": {"countersign.io/auth-config": "aws"}}]`,
	"strip": `[{"op": "remove", "path": "/spec/initContainers/0/restartPolicy"}, ` +
		`{"op": "remove", "path": "/spec/initContainers/0/startupProbe"}]`,
	"mark": `[{"op": "add", "path": "/metadata/annotations/second", "value": "was here"}]`,
}

// serveSecondWebhook plays a mutating webhook of somebody else's.
func serveSecondWebhook(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&review); err != nil ||
		review.Request == nil {
		http.Error(w, "not an AdmissionReview", http.StatusBadRequest)
		return
	}
	var pod struct{ Metadata metav1.ObjectMeta }
	if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if patch, ok := patches[pod.Metadata.Labels["second"]]; ok {
		review.Response.PatchType, review.Response.Patch = &kind, []byte(patch)
	}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}
