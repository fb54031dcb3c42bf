package rolemap

import (
	"maps"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// manyMembers is from how many members on a list is worth a set.
const manyMembers = 16

// stringList is a list of strings in which CEL's in finds one without a look at each, so
// that thousands of matchers against thousands of groups cost their sum.
type stringList struct {
	traits.Lister
	held valueSet
}

// Contains implements traits.Container.
func (l *stringList) Contains(member ref.Val) ref.Val {
	if text, ok := member.(types.String); ok {
		return types.Bool(l.held[string(text)])
	}
	return l.Lister.Contains(member)
}

// newStringList gives nil for lists that are short, or not of strings alone.
func newStringList(members []any) *stringList {
	if len(members) < manyMembers {
		return nil
	}
	texts := make([]string, len(members))
	for i, member := range members {
		text, ok := member.(string)
		if !ok {
			return nil
		}
		texts[i] = text
	}
	return &stringList{Lister: types.NewStringList(types.DefaultTypeAdapter, texts), held: setOf(texts)}
}

// withStringLists gives the claims with long lists of strings in that form, for matchers.
// What has none is not copied.
func withStringLists(claims map[string]any) (result map[string]any, changed bool) {
	result = claims
	for name, value := range claims {
		var next any
		switch v := value.(type) {
		case []any:
			if list := newStringList(v); list != nil {
				next = list
			}
		case map[string]any:
			if inner, some := withStringLists(v); some {
				next = inner
			}
		}
		if next == nil {
			continue
		}
		if !changed {
			result, changed = maps.Clone(claims), true
		}
		result[name] = next
	}
	return result, changed
}
