package mcp

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// AnswerError is an error object of JSON-RPC.
type AnswerError struct {
	Code    int
	Message string
	// Reason becomes data.reason when it is not empty.
	Reason string
}

// AppendError appends a JSON-RPC error answer. An empty id becomes null.
func AppendError(dst []byte, id jsontext.Value, e AnswerError) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if len(id) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, id...)
	}
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, e.Message)
	if e.Reason != "" {
		dst = append(dst, `,"data":{"reason":`...)
		dst = appendString(dst, e.Reason)
		dst = append(dst, '}')
	}
	return append(dst, "}}"...)
}

func appendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		// Invalid UTF-8; our own texts have none, names of others may.
		return append(dst, `""`...)
	}
	return quoted
}
