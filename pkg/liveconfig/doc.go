// Package liveconfig is the life of an auth-config in a running sidecar: it is
// loaded, compared with the one in use, swapped in whole or refused, and retired
// when the last request that uses it is done.
package liveconfig
