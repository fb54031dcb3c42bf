package main

import (
	"cmp"
	"fmt"
	"slices"
)

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratio compares two targets pair by pair: what slows the machine for a moment hits
// neighbours alike, and does not count.
type ratio []float64

func ratioOf[T ~int64 | ~float64](ours, others []T) ratio {
	all := make(ratio, len(ours))
	for i := range ours {
		all[i] = float64(ours[i]) / float64(others[i])
	}
	slices.Sort(all)
	return all
}

// String gives the median with the smallest and the largest.
func (r ratio) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", r[len(r)/2], r[0], r[len(r)-1])
}
