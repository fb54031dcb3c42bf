// Package liveconfig is the life of an auth-config in a running sidecar: it is
// loaded, compared with the one in use, swapped in whole or refused; the one before it is
// retired.
package liveconfig
