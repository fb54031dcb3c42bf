// Package idps has identity providers that people run exchange the tokens of callers for
// the sidecar's real program: Dex, the OP of zitadel/oidc and npm's oidc-provider. The
// module is of its own so that nothing of them is in the product's go.mod.
package idps
