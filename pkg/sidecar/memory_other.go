//go:build !linux

package sidecar

// releaseProgramPages is for Linux, where Pods run.
func releaseProgramPages() {}
