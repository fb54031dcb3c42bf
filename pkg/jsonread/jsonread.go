// Package jsonread lends decoders for JSON that is in memory.
package jsonread

import (
	"bytes"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads from its buffer.
type decoder struct {
	jsontext.Decoder
	buffer bytes.Buffer
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// WithDecoder lends a decoder for data, which must not change while it is used.
func WithDecoder(data []byte, use func(*jsontext.Decoder) error, options ...jsontext.Options) error {
	d, _ := decoders.Get().(*decoder)
	d.reset(data, options...)
	err := use(&d.Decoder)
	// The pool must not keep a body alive, of which data may be a part.
	d.reset(nil)
	decoders.Put(d)
	return err
}

func (d *decoder) reset(data []byte, options ...jsontext.Options) {
	d.buffer = *bytes.NewBuffer(data)
	d.Reset(&d.buffer, options...)
}
