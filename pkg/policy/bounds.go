package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what an auth-config says in JSON, and of the time that validating it takes.
const (
	// maxTools bounds tools.json, maxSchemaDepth how deep it is nested: each tool is an
	// action of the schema, and each level a type in a type.
	maxTools       = 1000
	maxSchemaDepth = 64
	// maxEntityDepth bounds the nesting of entities.json, maxEntityValues its values.
	maxEntityDepth  = 32
	maxEntityValues = 50_000
	// maxSetWork bounds the members of sets, squared and summed up: cedar-go compares
	// the members of a set whose hashes are equal with each other.
	maxSetWork = 4_000_000
	// maxSchemaWork bounds policies times the size of the schema: cedar-go's validator
	// looks at all of the schema for each policy.
	maxSchemaWork = 4_000_000
)

// decisionTime is how long one question may take: a policy is never interrupted, the
// next is not begun.
const decisionTime = 2 * time.Second

// jsonBounds bound a JSON text before anything is built of it.
type jsonBounds struct {
	depth, values int
	// setWork bounds the members of lists, squared and summed up, but for the list at
	// the top and lists of members with this name.
	setWork  int64
	noSetsIn string
}

// check measures a text; what is no JSON is for its reader to tell.
func (b *jsonBounds) check(text []byte) error {
	decoder := jsontext.NewDecoder(
		bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
	)
	values, work := 0, int64(0)
	// names are those of the members that the objects and lists around are the values of.
	var names []string
	name := ""
	for {
		kind, length := decoder.StackIndex(decoder.StackDepth())
		token, err := decoder.ReadToken()
		if err != nil {
			return nil //nolint:nilerr // the end, or nothing that a reader takes
		}
		values++
		switch token.Kind() {
		case '[', '{':
			names = append(names, name)
		case ']':
			if around := names[len(names)-1]; len(names) > 1 && around != b.noSetsIn {
				work += length * length
			}
			names = names[:len(names)-1]
		case '}':
			names = names[:len(names)-1]
		case '"':
			if kind == '{' && length%2 == 0 {
				name = token.String()
			}
		}
		switch {
		case len(names) > b.depth:
			return fmt.Errorf("is nested more than %d deep", b.depth)
		case values > b.values:
			return fmt.Errorf("has more than %d values and names", b.values)
		case work > b.setWork:
			return errors.New("has sets that are too large: to compare their members would take too long; split them")
		}
	}
}

// checkedTogether is how many policies are asked between two looks at the clock.
const checkedTogether = 8

// timely yields policies while there is time, and somebody waits for the decision; late
// tells whether one was left out.
type timely struct {
	policies policyList
	begun    time.Time
	ctx      context.Context //nolint:containedctx // that of one decision
	late     bool
}

// All implements cedar.PolicyIterator.
func (t *timely) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for i := range t.policies {
			if i%checkedTogether == checkedTogether-1 && (time.Since(t.begun) > decisionTime || t.ctx.Err() != nil) {
				t.late = true
				return
			}
			if !yield(t.policies[i].id, t.policies[i].policy) {
				return
			}
		}
	}
}
