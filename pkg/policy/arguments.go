package policy

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/go-json-experiment/json/jsontext"
)

// errArgumentType says that an argument is not of the type that tools.json
// declares: an upstream may convert it ("22" to 22) after a policy saw it
// unconverted, so such a call is denied.
var errArgumentType = errors.New("an argument does not have the type that tools.json declares")

// inputRecord turns a tool's arguments into context.input. It never uses
// Cedar's JSON form: an argument {"__entity": ...} stays a record.
func inputRecord(arguments jsontext.Value, declared *argumentType) (types.Record, error) {
	if len(arguments) == 0 || arguments.Kind() == 'n' {
		return types.Record{}, nil
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(arguments))
	if declared == nil {
		declared = &argumentType{kind: kindRecord}
	}
	value, err := readValue(decoder, declared)
	if err != nil {
		return types.Record{}, err
	}
	record, ok := value.(types.Record)
	if !ok {
		return types.Record{}, errors.New("arguments are not an object")
	}
	return record, nil
}

// readValue reads one JSON value; nil stands for null, which is left out of
// records and sets.
func readValue(decoder *jsontext.Decoder, declared *argumentType) (types.Value, error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	kind := token.Kind()
	if kind == 'n' {
		return nil, nil
	}
	if !declared.fits(kind) {
		return nil, errArgumentType
	}
	switch kind {
	case '{':
		return readRecord(decoder, declared)
	case '[':
		return readSet(decoder, declared)
	case '"':
		return types.String(token.String()), nil
	case '0':
		return declaredNumber(token.String(), declared)
	default:
		return types.Boolean(token.Bool()), nil
	}
}

// declaredNumber gives a number the type that tools.json declares. One that does
// not have it is refused: an upstream might round 22.4 to the 22 that a rule is
// about.
func declaredNumber(text string, declared *argumentType) (types.Value, error) {
	if declared.is(kindDecimal) {
		if value, ok := decimalValue(text).(types.Decimal); ok {
			return value, nil
		}
		return nil, errArgumentType
	}
	value := numberValue(text)
	if _, ok := value.(types.Long); !ok && declared.is(kindLong) {
		return nil, errArgumentType
	}
	return value, nil
}

func readRecord(decoder *jsontext.Decoder, declared *argumentType) (types.Value, error) {
	record := types.RecordMap{}
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read arguments: %w", err)
		}
		key := name.String()
		value, err := readValue(decoder, declared.property(key))
		if err != nil {
			return nil, err
		}
		if value != nil {
			record[types.String(key)] = value
		}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	return types.NewRecord(record), nil
}

func readSet(decoder *jsontext.Decoder, declared *argumentType) (types.Value, error) {
	var members []types.Value
	for decoder.PeekKind() != ']' {
		value, err := readValue(decoder, declared.items())
		if err != nil {
			return nil, err
		}
		if value != nil {
			members = append(members, value)
		}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	return types.NewSet(members...), nil
}
