//go:build !linux

package residentmemory

// releaseProgramPages is for Linux, where Pods run.
func releaseProgramPages() {}
