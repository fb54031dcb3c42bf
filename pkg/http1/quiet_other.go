//go:build !unix

package http1

type watched struct{}

// nothingToRead cannot be told here, so that no connection is used twice.
func (*watched) nothingToRead(uintptr) bool { return false }
