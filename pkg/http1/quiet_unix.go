//go:build unix

package http1

import "golang.org/x/sys/unix"

// watched is what nothingToRead asks about; it is kept, since a system call's arguments are on the heap.
type watched [1]unix.PollFd

// nothingToRead reports whether the socket is open and a read from it would wait.
func (w *watched) nothingToRead(fd uintptr) bool {
	w[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} //nolint:gosec // as every descriptor
	n, err := unix.Poll(w[:], 0)
	return n == 0 && err == nil
}
