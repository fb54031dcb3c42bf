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

// maxKept is the longest text that the pool keeps alive with a decoder, until it is lent again.
const maxKept = 4 << 10

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// WithDecoder lends a decoder for data, which must not change while it is used.
func WithDecoder(data []byte, use func(*jsontext.Decoder) error, options ...jsontext.Options) error {
	d, _ := decoders.Get().(*decoder)
	d.reset(data, options...)
	err := use(&d.Decoder)
	if len(data) > maxKept {
		d.reset(nil)
	}
	decoders.Put(d)
	return err
}

func (d *decoder) reset(data []byte, options ...jsontext.Options) {
	d.buffer = *bytes.NewBuffer(data)
	d.Reset(&d.buffer, options...)
}
