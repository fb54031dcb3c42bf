package mcp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// valuesOf are the elements of an array as jsontext reads them; nil where it does not.
func valuesOf(t *testing.T, array []byte) (values []string, ok bool) {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(array), scanOptions...)
	if token, err := d.ReadToken(); err != nil || token.Kind() != '[' {
		return nil, false
	}
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		values = append(values, string(value))
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	return values, d.InputOffset() == int64(len(array))
}

// FuzzWalkerReadsWhatAParserReads: where a text is JSON, values end where jsontext has them end; where it is
// none, the walker ends within the text.
func FuzzWalkerReadsWhatAParserReads(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[ ]`, `[{"a":[1,2,{"b":"]"}]} , "x\\\"]" ,-1.5e3, null,true]`, `["\u005d\\",[[]],{}]`, `["`, `[1`, `["\`, `[{]}`, `[,]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w := walker{text: text}
		var values []string
		err := w.take('[')
		for first := true; err == nil; first = false {
			var more bool
			if more, err = w.between(']', first); err != nil || !more {
				break
			}
			w.next()
			begin := w.at
			if err = w.skipValue(); err == nil {
				values = append(values, string(text[begin:w.at]))
			}
			if w.at > len(text) {
				t.Fatalf("at %d of %d", w.at, len(text))
			}
		}
		want, ok := valuesOf(t, text)
		if !ok {
			return
		}
		if err != nil || len(values) != len(want) {
			t.Fatalf("got %q, %v, want %q", values, err, want)
		}
		for i := range want {
			if values[i] != want[i] {
				t.Errorf("value %d: got %q, want %q", i, values[i], want[i])
			}
		}
	})
}

func TestNamesThatSomeReaderTakesForAnotherAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		quoted   string
		is, fail bool
	}{
		"the name":                 {`"name"`, true, false},
		"with an escape":           {`"n\u0061me"`, true, false},
		"another of its length":    {`"type"`, false, false},
		"another":                  {`"description"`, false, false},
		"in capitals":              {`"Name"`, false, true},
		"in capitals with escapes": {`"N\u0061me"`, false, true},
		"with a NUL behind":        {`"name\u0000x"`, false, true},
		"with a DEL behind":        {"\"name\x7fx\"", false, true},
		"with a C1 control behind": {`"name\u0085x"`, false, true},
		"cut within a character":   {"\"nam\xc3\"", false, true},
		"of half a surrogate":      {`"\ud800"`, false, true},
		"not of ASCII":             {`"näme"`, false, false},
		"empty":                    {`""`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if is, err := isName([]byte(c.quoted), "name"); is != c.is || (err != nil) != c.fail {
				t.Errorf("got %v, %v", is, err)
			}
		})
	}
}

// FuzzOnlyJSONPasses: a message passes where jsontext takes it for JSON, in whatever pieces it comes.
func FuzzOnlyJSONPasses(f *testing.F) {
	for _, seed := range []string{
		`{"a":[{"b":"c"} , "d"],"e":{}}`, `[[],[ ]]`, `["\u00e9\n",1.5e3,true]`, `[{"a":1]}`, `["a" "b"]`, `[{"a" "b"}]`, `[{,}]`, `[[}]`, "[\"\xe2\x80\xa8\"]",
	} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, value []byte, piece int) {
		message := slices.Concat([]byte(`{"result":{"x":`), value, []byte(`}}`))
		whole, err := FilterMessage(message, Answers{Filter: &hideSecrets{}})
		is := jsontext.Value(message).IsValid(scanOptions...)
		// A value that ends the result makes members of its own, which are looked at.
		if alone := jsontext.Value(value).IsValid(scanOptions...); alone && is != (err == nil) || !is && err == nil {
			t.Fatalf("JSON: %v, passes: %v: %q", is, err, message)
		}
		r := NewMessageRewriter(Answers{Filter: &hideSecrets{}})
		defer r.Release()
		var pieces []byte
		var piecesErr error
		for part := range slices.Chunk(message, int(1+uint(piece)%7)) {
			if pieces, piecesErr = r.Write(pieces, part); piecesErr != nil {
				break
			}
		}
		if piecesErr == nil {
			pieces, piecesErr = r.Finish(pieces)
		}
		if (err == nil) != (piecesErr == nil) || err == nil && !bytes.Equal(whole, pieces) {
			t.Fatalf("whole: %q, %v\npieces: %q, %v", whole, err, pieces, piecesErr)
		}
	})
}
