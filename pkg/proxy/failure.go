package proxy

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/mcp"
)

// The JSON-RPC codes of our own lie outside the range that JSON-RPC reserves.
const (
	codeDenied           = 403
	codeNotFound         = 404
	codeMethodNotAllowed = 405
)

// Reasons end up in audit records and as a metric's label.
const (
	reasonPolicy      = "policy"
	reasonReserved    = "reserved"
	reasonNoPolicies  = "noPolicies"
	reasonToken       = "token"
	reasonScope       = "scope"
	reasonNoRole      = "noRole"
	reasonSTSDenied   = "stsAccessDenied"
	reasonSTSToken    = "stsInvalidToken"
	reasonAWSDenied   = "awsAccessDenied"
	reasonSession     = "session"
	reasonTask        = "task"
	reasonMethod      = "method"
	reasonInvalid     = "invalidMessage"
	reasonMismatch    = "headerMismatch"
	reasonOverload    = "overload"
	reasonUnavailable = "unavailable"
	reasonUpstream    = "upstream"
	reasonInternal    = "internal"
	reasonGone        = "clientGone"
	reasonBatch       = "batch"
)

// statusClientGone is nginx's code for a client that left before the answer; it
// appears in records only.
const statusClientGone = 499

// failure ends a request early. Its message is for the client: it names the
// client's own fault exactly and our inner state never.
type failure struct {
	status  int
	code    int
	message string
	reason  string
	// denied tells a decision against the caller from a request that could not
	// be served.
	denied bool
	// retryAfter is in seconds.
	retryAfter int
	// challenge is WWW-Authenticate; the body is then not JSON-RPC.
	challenge string
	// id is the JSON-RPC id when it is not that of the parsed message.
	id jsontext.Value
	// shown is data.reason.
	shown string
}

func unavailable(message string) *failure {
	return &failure{status: http.StatusServiceUnavailable, code: mcp.CodeInternal, message: message, reason: reasonUnavailable, retryAfter: 1}
}

func invalid(message string) *failure {
	return &failure{status: http.StatusBadRequest, code: mcp.CodeInvalidRequest, message: message, reason: reasonInvalid}
}

func badGateway(message string) *failure {
	return &failure{status: http.StatusBadGateway, code: mcp.CodeInternal, message: message, reason: reasonUpstream}
}

func (f *failure) answerError() mcp.AnswerError {
	return mcp.AnswerError{Code: f.code, Message: f.message, Reason: f.shown}
}

// write sends the failure. In a batch every request gets the error.
func (f *failure) write(w http.ResponseWriter, body *mcp.Body) {
	extendWrite(w)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if f.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	content := f.body(body)
	if f.challenge != "" {
		header.Set("Www-Authenticate", f.challenge)
		content = f.plainBody()
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(f.status)
	_, _ = w.Write(content) // the client may be gone
}

func (f *failure) body(body *mcp.Body) []byte {
	answer := f.answerError()
	if body == nil || len(f.id) > 0 {
		return mcp.AppendError(nil, f.id, answer)
	}
	if !body.Batch {
		return mcp.AppendError(nil, body.Messages[0].ID, answer)
	}
	out := []byte{'['}
	for i := range body.Messages {
		if m := &body.Messages[i]; !m.IsResponse() && !m.IsNotification() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = mcp.AppendError(out, m.ID, answer)
		}
	}
	if len(out) == 1 {
		return mcp.AppendError(nil, nil, answer)
	}
	return append(out, ']')
}

func (f *failure) plainBody() []byte {
	code := "invalid_token"
	if f.status == http.StatusForbidden {
		code = "insufficient_scope"
	}
	text, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, f.message})
	if err != nil {
		return []byte(`{"error":"` + code + `"}`)
	}
	return text
}
