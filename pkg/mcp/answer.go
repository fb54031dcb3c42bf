package mcp

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// AnswerError is an error object of JSON-RPC.
type AnswerError struct {
	Code    int
	Message string
	// Reason and RequestID become data.reason and data.requestId where they are
	// not empty.
	Reason    string
	RequestID string
	// Script is JSON and becomes data.script where it is not empty.
	Script jsontext.Value
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
	separator := `,"data":{`
	for _, member := range [...]struct{ name, value string }{{"reason", e.Reason}, {"requestId", e.RequestID}} {
		if member.value != "" {
			dst = append(append(append(dst, separator...), '"'), member.name...)
			dst = appendString(append(dst, `":`...), member.value)
			separator = ","
		}
	}
	if len(e.Script) > 0 {
		dst = append(append(append(dst, separator...), `"script":`...), e.Script...)
		separator = ","
	}
	if separator == "," {
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
