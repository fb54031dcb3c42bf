package rolemap

import (
	"math/bits"

	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// extensionCosts are the functions of CEL's extensions whose work grows with their
// arguments and that cel-go counts as one. The value says how it grows.
var extensionCosts = map[string]func(size uint64) uint64{
	"sort": sortCost, "@sortByAssociatedKeys": sortCost,
	"distinct": func(size uint64) uint64 { return size * size },
	"slice":    linearCost, "flatten": linearCost, "reverse": linearCost, "lists.range": linearCost,
	"indexOf": linearCost, "lastIndexOf": linearCost, "lowerAscii": linearCost, "upperAscii": linearCost,
	"replace": linearCost, "split": linearCost, "substring": linearCost, "trim": linearCost, "format": linearCost,
	"strings.quote": linearCost, "join": linearCost, "charAt": linearCost,
}

func linearCost(size uint64) uint64 { return size }

func sortCost(size uint64) uint64 {
	return size * uint64(bits.Len64(size)) //nolint:gosec // a length in bits is not negative
}

// callCosts counts the work of extension functions.
type callCosts struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (callCosts) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost, ok := extensionCosts[function]
	if !ok {
		return nil
	}
	left := uint64(maxMatcherCost)
	size := sizeOf(result, &left)
	for _, arg := range args {
		size += sizeOf(arg, &left)
	}
	units := 1 + cost(size)
	return &units
}

// flattenCosts count the members of the lists in a list, which cel-go does not.
func flattenCosts() []interpreter.CostTrackerOption {
	track := func(args []ref.Val, result ref.Val) *uint64 { return callCosts{}.CallCost("flatten", "", args, result) }
	return []interpreter.CostTrackerOption{
		interpreter.OverloadCostTracker("list_flatten", track),
		interpreter.OverloadCostTracker("list_flatten_int", track),
	}
}

// sizeOf is one for every member of a list, however deep, and for every ten bytes
// of text, as cel-go itself counts. It looks at no more than left.
func sizeOf(value ref.Val, left *uint64) uint64 {
	if *left == 0 {
		return 0
	}
	*left--
	switch v := value.(type) {
	case traits.Lister:
		size := uint64(1)
		for it := v.Iterator(); it.HasNext().Value() == true && *left > 0; {
			size += sizeOf(it.Next(), left)
		}
		return size
	case traits.Sizer:
		length, ok := v.Size().Value().(int64)
		if !ok || length < 0 {
			return 1
		}
		return 1 + uint64(length)/10
	}
	return 1
}
