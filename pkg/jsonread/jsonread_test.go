package jsonread_test

import (
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/jsonread"
)

// read gives where a text began that was read, of which nothing else is left.
func read(t *testing.T, rest int) weak.Pointer[byte] {
	t.Helper()
	body := []byte(`{"a":[1,2,3]}` + strings.Repeat(" ", 1<<20))
	skip := func(d *jsontext.Decoder) error { return d.SkipValue() }
	if err := jsonread.WithDecoder(body[:len(body)-rest], skip); err != nil {
		t.Fatal(err)
	}
	return weak.Make(&body[0])
}

func TestWhatWasReadIsNotKept(t *testing.T) {
	for name, rest := range map[string]int{"all of a body": 0, "a part of a body": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			text := read(t, rest)
			// A pool keeps what is in it for one collection.
			runtime.GC()
			if text.Value() != nil {
				t.Error("the decoder that waits for the next text keeps the last one alive")
			}
		})
	}
}
