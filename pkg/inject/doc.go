// Package inject puts the sidecar into a Pod. It is a pure function from a Pod,
// an auth-config and options to a patch that only adds, or to a refusal: the
// webhook and `webhook inject` call the same one and give the same answer.
//
// A Pod travels through these files:
//
//	inject.go      the steps, in order
//	settings.go    what the Pod's annotations ask for
//	clash.go       what in the Pod stands in the way
//	render.go      the objects that are ours
//	environment.go what the Pod's own containers get
//	patch.go       the difference, as RFC 6902 operations
//	warnings.go    what the user should know and may have meant
//	refusal.go     every way in which the answer can be no
package inject
