// Package authconfig defines the auth-config: what a platform team writes in a
// ConfigMap and what the sidecar reads from a directory. It decodes strictly,
// applies defaults and validates everything that needs no policy or expression
// compiler; package compile adds those.
package authconfig

// The names that Kubernetes objects and users see. They are spelled here and
// nowhere else.
const (
	// Prefix begins every annotation, label and API group of the project.
	Prefix = "countersign.io"
	// APIVersion is the only accepted apiVersion of auth-config.yaml.
	APIVersion = Prefix + "/v1alpha1"
	// Kind is the only accepted kind of auth-config.yaml.
	Kind = "AuthConfig"
)
