// Package admission is the webhook: it injects the sidecar into Pods, refuses
// broken auth-configs, and keeps copies of shared ones in every labelled
// namespace.
//
// A Pod travels through these files:
//
//	run.go       what runs in the process
//	cache.go     what of the cluster is kept in memory
//	pod.go       the admission of a Pod
//	resolve.go   from the annotation to an auth-config
//	validated.go auth-configs, validated once
//	metrics.go   what is counted
//
// An auth-config travels through configmap.go (its admission) and, if it is
// shared, shared.go (its copies).
package admission
