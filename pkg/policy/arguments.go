package policy

import (
	"errors"
	"fmt"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/countersign-io/countersign/pkg/jsonread"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of the values that are built of one request's arguments. cedar-go compares
// the members of a set with each other.
const (
	maxSetMembers = 1000
	maxValues     = 20_000
	// maxArgumentWork bounds the members of all sets, squared and summed up.
	maxArgumentWork = 2_000_000
	// maxMismatches bounds what is noted one by one.
	maxMismatches = 1000
)

// argumentReader turns a tool's arguments into context.input, as far as policies
// read them. It never uses Cedar's JSON form: an argument {"__entity": ...} stays a
// record.
type argumentReader struct {
	decoder *jsontext.Decoder
	path    []string
	// shallow is what path is of, where arguments are not deep.
	shallow    [4]string
	mismatches []mismatch
	values     int
	work       int
}

var errNotObject = errors.New("arguments are not an object")

// contextInput is the part of context that has a call's arguments.
const contextInput = "input"

// readArguments gives context.input and what of it cannot be compared. Whatever
// stands in place of that must not decide: see Set.undecidable.
func readArguments(arguments jsontext.Value, declared *argumentType, read *reads) (types.Record, []mismatch, error) {
	if read == nil || len(arguments) == 0 || arguments.Kind() == 'n' {
		return types.Record{}, nil, nil
	}
	if arguments.Kind() != '{' {
		return types.Record{}, nil, errNotObject
	}
	if declared == nil {
		declared = &argumentType{kind: kindRecord}
	}
	r := argumentReader{}
	r.path = append(r.shallow[:0], contextInput)
	var value types.Value
	err := jsonread.WithDecoder(arguments, func(d *jsontext.Decoder) (err error) {
		r.decoder = d
		value, err = r.value(declared, read)
		return err
	})
	if err != nil {
		return types.Record{}, nil, err
	}
	record, ok := value.(types.Record)
	if !ok {
		// Too large: nothing is known of any argument.
		return types.Record{}, r.mismatches, nil
	}
	return record, r.mismatches, nil
}

// notComparable notes that the value just read must not be compared; the result
// stands in its place.
func (r *argumentReader) notComparable(why string) types.Value {
	switch n := len(r.mismatches); {
	case n < maxMismatches:
		r.mismatches = append(r.mismatches, mismatch{path: append([]string(nil), r.path...), why: why})
	case n == maxMismatches:
		why = fmt.Sprintf("has more than %d values that cannot be compared", maxMismatches)
		r.mismatches = append(r.mismatches, mismatch{path: []string{contextInput}, why: why})
	}
	return types.False
}

// value reads one JSON value; nil stands for null, which is left out of records and
// sets.
func (r *argumentReader) value(declared *argumentType, read *reads) (types.Value, error) {
	kind := r.decoder.PeekKind()
	if r.values++; r.values > maxValues {
		return r.notComparable(fmt.Sprintf("has more than %d values", maxValues)), r.skip()
	}
	if kind != 'n' && !declared.fits(kind) {
		return r.notComparable("does not have the type that tools.json declares"), r.skip()
	}
	switch kind {
	case '{':
		return r.record(declared, read)
	case '[':
		return r.set(declared, read)
	}
	token, err := r.decoder.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	switch kind {
	case 'n':
		return nil, nil
	case '"':
		return types.String(token.String()), nil
	case '0':
		return r.number(token.String(), declared, read.decimal), nil
	}
	return types.Boolean(token.Bool()), nil
}

func (r *argumentReader) skip() error {
	if err := r.decoder.SkipValue(); err != nil {
		return fmt.Errorf("read arguments: %w", err)
	}
	return nil
}

// number gives a number the type that tools.json declares, else that with which
// policies compare it, else the one that it has.
func (r *argumentReader) number(text string, declared *argumentType, decimal bool) types.Value {
	value, exact := numberValue(text)
	if exact && (declared.is(kindDecimal) || decimal && !declared.is(kindLong)) {
		value, exact = decimalValue(text)
	}
	if _, isLong := value.(types.Long); exact && declared.is(kindLong) && !isLong {
		return r.notComparable("does not have the type that tools.json declares")
	}
	if !exact {
		return r.notComparable("is a number that Cedar cannot hold exactly")
	}
	return value
}

func (r *argumentReader) record(declared *argumentType, read *reads) (types.Value, error) {
	record := newRecordDraft()
	if _, err := r.decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	for r.decoder.PeekKind() != '}' {
		name, err := r.decoder.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read arguments: %w", err)
		}
		key := name.String()
		below := read.of(key)
		if below == nil {
			if err := r.skip(); err != nil {
				return nil, err
			}
			continue
		}
		r.path = append(r.path, key)
		value, err := r.value(declared.property(key), below)
		if err != nil {
			return nil, err
		}
		r.path = r.path[:len(r.path)-1]
		if value != nil {
			record[types.String(key)] = value
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	return record.finish(), nil
}

func (r *argumentReader) set(declared *argumentType, read *reads) (types.Value, error) {
	member := &reads{value: true, decimal: read.decimal}
	var members []types.Value
	if _, err := r.decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	for count := 0; r.decoder.PeekKind() != ']'; count++ {
		if count == maxSetMembers {
			return r.notComparable(fmt.Sprintf("has more than %d members", maxSetMembers)), r.skipRest()
		}
		value, err := r.value(declared.items(), member)
		if err != nil {
			return nil, err
		}
		if value != nil {
			members = append(members, value)
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	if r.work += len(members) * len(members); r.work > maxArgumentWork {
		return r.notComparable("is one of too many long lists"), nil
	}
	return types.NewSet(members...), nil
}

// skipRest passes over the rest of a list and its end.
func (r *argumentReader) skipRest() error {
	for r.decoder.PeekKind() != ']' {
		if err := r.skip(); err != nil {
			return err
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return fmt.Errorf("read arguments: %w", err)
	}
	return nil
}
