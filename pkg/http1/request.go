package http1

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// MaxBody is the length of the longest body that a request may have: what a socket takes
// at once, so that a server that answers without reading it is heard.
const MaxBody = 16 << 10

// ErrBodyTooLarge is for a request with a body above MaxBody.
var ErrBodyTooLarge = fmt.Errorf("the body is longer than the %d bytes that can be written at once", MaxBody)

var (
	errInvalidMethod = errors.New("invalid method")
	errInvalidHost   = errors.New("invalid Host header")
	errInvalidTarget = errors.New("invalid URL")
)

// written is a request as it goes over the wire.
type written []byte

// maxKeptRequest bounds the buffers that are kept for the next requests.
const maxKeptRequest = 32 << 10

var buffers = sync.Pool{New: func() any { return new(written) }}

func newWritten(r *http.Request, body []byte) (*written, error) {
	w, _ := buffers.Get().(*written)
	text, err := appendRequest((*w)[:0], r, body)
	if err != nil {
		return nil, err
	}
	*w = text
	return w, nil
}

// release gives the buffer to another request; there are credentials in it.
func (w *written) release() {
	if cap(*w) > maxKeptRequest {
		return
	}
	clear(*w)
	buffers.Put(w)
}

// appendRequest writes what Request.Write would, in one pass and without sorting the header: RFC
// 9112, sections 3 and 5. What that would alter is refused, since a signature is over what was
// given.
func appendRequest(b []byte, r *http.Request, body []byte) ([]byte, error) {
	if len(body) > MaxBody {
		return nil, ErrBodyTooLarge
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method): // a token, as methods are
		return nil, errInvalidMethod
	case !httpguts.ValidHostHeader(r.Host):
		return nil, errInvalidHost
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return nil, errInvalidTarget
	}
	b = append(append(b, r.Method...), ' ')
	target := len(b)
	b = append(b, cmp.Or(r.URL.EscapedPath(), "/")...)
	if r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	if bytes.ContainsFunc(b[target:], func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, errInvalidTarget
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), r.Host...)
	b = append(b, "\r\n"...)
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) || isFraming(name) {
			return nil, fmt.Errorf("invalid header field name %q", name)
		}
		for _, value := range values {
			if !isFieldValue(value) {
				return nil, fmt.Errorf("invalid value of header field %q", name) // it may be a secret
			}
			if value == "" && name == "User-Agent" {
				continue // as net/http has it
			}
			b = append(append(b, name...), ": "...)
			b = append(append(b, textproto.TrimString(value)...), "\r\n"...)
		}
	}
	if len(body) > 0 || r.Method == http.MethodPost {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10), "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...), nil
}

// notInValues has the bytes that no value of a header field has: RFC 9110, section 5.5.
var notInValues = func() (table [256]bool) {
	for c := range table {
		table[c] = !httpguts.ValidHeaderFieldValue(string([]byte{byte(c)}))
	}
	return table
}()

// isFieldValue is httpguts.ValidHeaderFieldValue, which looks at a byte more than once.
func isFieldValue(value string) bool {
	for i := range len(value) {
		if notInValues[value[i]] {
			return false
		}
	}
	return true
}

// framing are the headers that say where a message ends, or what its connection is for, which is
// the transport's to say.
var framing = []string{
	"Host", "Content-Length", "Transfer-Encoding", "Trailer", "TE", "Connection", "Keep-Alive", "Proxy-Connection",
	"Upgrade", "Expect",
}

func isFraming(name string) bool {
	return slices.ContainsFunc(
		framing,
		func(f string) bool { return len(f) == len(name) && strings.EqualFold(f, name) },
	)
}
