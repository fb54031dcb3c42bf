// Package sidecar is the process of `sidecar proxy`: its listeners and their
// connections, the admin port, watching the auth-config, and stopping.
package sidecar
