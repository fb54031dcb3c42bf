// Package residentmemory gives back to the operating system what a process needs no more.
package residentmemory

import "runtime/debug"

// GiveBack is for the moment in which something large is done that will not come again soon, such as
// reading auth-configs: the heap's unused pages go back, and those of the program.
func GiveBack() {
	debug.FreeOSMemory()
	releaseProgramPages()
}
