package jsonread_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/jsonread"
)

func TestWhatWasReadIsNotKept(t *testing.T) {
	for name, whole := range map[string]bool{"all of a body": true, "a part of a body": false} {
		t.Run(name, func(t *testing.T) {
			body := make([]byte, 1<<20)
			text := body[:copy(body, `{"a":[1,2,3]}`)]
			if whole {
				for i := range body[len(text):] {
					body[len(text)+i] = ' '
				}
				text = body
			}
			kept := weak.Make(&body[0])
			if err := jsonread.WithDecoder(text, func(d *jsontext.Decoder) error { return d.SkipValue() }); err != nil {
				t.Fatal(err)
			}
			body, text = nil, nil
			// A pool keeps what is in it for one collection.
			runtime.GC()
			if kept.Value() != nil {
				t.Error("the decoder that waits for the next text keeps the last one alive")
			}
		})
	}
}
