package main

import (
	"cmp"
	"fmt"
	"math"
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

// minInterval is the number of values from which on there is an interval that the median lies in by a
// chance of 19 to 1.
const minInterval = 6

// String gives the median, what it lies in by a chance of 19 to 1 whatever the distribution
// (order statistics of the binomial distribution with one half), and the quartiles; of few values the
// smallest and the largest.
func (r ratio) String() string {
	if len(r) < minInterval {
		return fmt.Sprintf("%.2f (%.2f to %.2f)", r[len(r)/2], r[0], r[len(r)-1])
	}
	n := float64(len(r))
	off := int(math.Ceil(math.Sqrt(n)))
	low, high := max(len(r)/2-off, 0), min(len(r)/2+off, len(r)-1)
	return fmt.Sprintf("%.2f (%.2f to %.2f; %.2f to %.2f)", r[len(r)/2], r[low], r[high], r[len(r)/4], r[len(r)*3/4])
}
