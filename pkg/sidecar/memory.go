package sidecar

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heapShare is the part of the container's memory that Go's runtime may have: what it does
// not count, such as the binary's own pages, needs the rest. The collector works harder
// as the runtime comes near that, where it would let garbage grow as large as what is in
// use, and the container be killed for it.
const heapShare = 0.7

// heapGrowth is by how many per cent of what is in use the heap may grow before garbage is
// collected, where memory is bounded: less than the heap's share of that is never worth
// collecting for.
const heapGrowth = 200

// UseContainerMemory has the runtime keep within the container's memory, and use it. GOMEMLIMIT
// and GOGC, where they are set, stand.
func UseContainerMemory() {
	limit, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(heapShare))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		// Nothing bounds the memory: not in a container.
	case err != nil:
		slog.Warn("the container's memory limit is not known", "error", err)
	default:
		slog.Debug("memory limit of the runtime", "bytes", limit)
	}
	if os.Getenv("GOGC") == "" && debug.SetMemoryLimit(-1) != math.MaxInt64 {
		debug.SetGCPercent(heapGrowth)
	}
}
