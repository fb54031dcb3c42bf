package mcp

import (
	"bytes"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// SetMeta gives a message in which params._meta of every request has the given
// members; they replace what the client wrote there. The rest stays as it is. The
// message must have been parsed before.
func SetMeta(body []byte, messages *Body, meta map[string]string) ([]byte, error) {
	if len(meta) == 0 {
		return body, nil
	}
	if !messages.Batch {
		return setMeta(body, &messages.Messages[0], meta)
	}
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	out := []byte{'['}
	for i := range messages.Messages {
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		changed, err := setMeta(value, &messages.Messages[i], meta)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, changed...)
	}
	return append(out, ']'), nil
}

func setMeta(message []byte, m *Message, meta map[string]string) ([]byte, error) {
	if m.IsResponse() || m.IsNotification() {
		return message, nil
	}
	return setMember(message, "params", func(params jsontext.Value) (jsontext.Value, error) {
		return setMember(params, "_meta", func(object jsontext.Value) (jsontext.Value, error) {
			for _, name := range slices.Sorted(maps.Keys(meta)) {
				text, err := jsontext.AppendQuote(nil, meta[name])
				if err != nil {
					return nil, err
				}
				given := func(jsontext.Value) (jsontext.Value, error) { return text, nil }
				if object, err = setMember(object, name, given); err != nil {
					return nil, err
				}
			}
			return object, nil
		})
	})
}

// setMember gives an object with one member changed, or added behind the others.
// Anything but an object is treated as an empty object.
func setMember(
	object jsontext.Value,
	name string,
	change func(jsontext.Value) (jsontext.Value, error),
) (jsontext.Value, error) {
	out, found := []byte{'{'}, false
	add := func(quoted, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted...), ':'), value...)
	}
	if object.Kind() == '{' {
		d := jsontext.NewDecoder(bytes.NewReader(object))
		_, _ = d.ReadToken() // its kind was looked at
		for d.PeekKind() == '"' {
			quoted, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			quoted = quoted.Clone()
			value, err := d.ReadValue()
			if err != nil {
				return nil, err
			}
			if unquoted(quoted) == name {
				found = true
				if value, err = change(value.Clone()); err != nil {
					return nil, err
				}
			}
			add(quoted, value)
		}
	}
	if !found {
		value, err := change(nil)
		if err != nil {
			return nil, err
		}
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return nil, err
		}
		add(quoted, value)
	}
	return append(out, '}'), nil
}
