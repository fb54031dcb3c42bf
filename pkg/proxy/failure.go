package proxy

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// The JSON-RPC codes of our own are the HTTP status times 100 plus a number. They
// lie outside the range that JSON-RPC reserves, and beyond 599: clients take a
// smaller one for an HTTP status and begin a login.
const (
	codePolicy           = 40300
	codeNoRole           = 40301
	codeAWSDenied        = 40302
	codeOrigin           = 40303
	codeExchangeDenied   = 40304
	codePath             = 40400
	codeSession          = 40401
	codeMethodNotAllowed = 40500
	codeRate             = 42900
)

// Reasons end up in audit records and as a metric's label, beside those of
// package authorize.
const (
	reasonPolicy    = string(authorize.ReasonPolicy)
	reasonMethod    = string(authorize.ReasonMethod)
	reasonToken     = "token"
	reasonScope     = "scope"
	reasonNoRole    = "noRole"
	reasonSTSDenied = "stsAccessDenied"
	reasonSTSToken  = "stsInvalidToken"
	reasonAWSDenied = "awsAccessDenied"

	reasonExchangeToken  = "exchangeInvalidGrant"
	reasonInteraction    = "exchangeInteractionRequired"
	reasonExchangeDenied = "exchangeAccessDenied"

	reasonSession     = "session"
	reasonTask        = "task"
	reasonInvalid     = "invalidMessage"
	reasonMismatch    = "headerMismatch"
	reasonOverload    = "overload"
	reasonRate        = "rate"
	reasonUnavailable = "unavailable"
	reasonProvider    = "identityProviderConfig"
	reasonUpstream    = "upstream"
	reasonInternal    = "internal"
	reasonGone        = "clientGone"
	reasonBatch       = "batch"
	reasonScriptSize  = "scriptSize"
)

// statusClientGone is nginx's code for a client that left before the answer; it
// appears in records only.
const statusClientGone = 499

// failure ends a request early. Its message is for the client: it names the
// client's own fault exactly and our inner state never. Make one with the
// functions below, which are the rows of the table of answers.
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
	// shown is data.reason, requestID is data.requestId.
	shown     string
	requestID string
	// script is data.script, what was read of the caller's script, as JSON.
	script jsontext.Value
	// header are further headers of the answer.
	header http.Header
}

// refused is a decision against the caller that its client is told the reason of.
func refused(status, code int, reason, message string) *failure {
	return &failure{status: status, code: code, message: message, reason: reason, shown: reason, denied: true}
}

// unauthenticated is a 401 or 403 that tells the client where to get a token.
func unauthenticated(err error, reason, metadataURL string, requiredScopes []string) *failure {
	status, challenge := identity.Challenge(err, metadataURL, requiredScopes)
	return &failure{status: status, message: err.Error(), reason: reason, denied: true, challenge: challenge}
}

func noRole(message string) *failure {
	return refused(http.StatusForbidden, codeNoRole, reasonNoRole, message)
}

func deniedBySTS() *failure {
	return refused(
		http.StatusForbidden,
		codeAWSDenied,
		reasonSTSDenied,
		"AWS STS denies the role that is mapped to this caller",
	)
}

func deniedExchange(message string) *failure {
	return refused(http.StatusForbidden, codeExchangeDenied, reasonExchangeDenied, message)
}

func deniedByAWS() *failure {
	return refused(
		http.StatusForbidden,
		codeAWSDenied,
		reasonAWSDenied,
		"AWS denies access to the role of this caller",
	)
}

// deniedByPolicy leaves to the record which policies it was.
func deniedByPolicy(status int, subject string) *failure {
	return refused(status, codePolicy, reasonPolicy, "access denied: this "+subject+" is not allowed for this caller")
}

func driftedTool(status int) *failure {
	return refused(status, codePolicy, string(authorize.ReasonToolDrift),
		"access denied: the tool is not the one that was approved")
}

func unknownMethod(status int) *failure {
	return &failure{
		status: status, code: mcp.CodeMethodNotFound, message: "the method is not one that policies know",
		reason: reasonMethod, denied: true,
	}
}

func unknownTask() *failure {
	return &failure{
		status: http.StatusOK, code: mcp.CodeInvalidParams, message: "the task is not known", reason: reasonTask,
		denied: true,
	}
}

func unknownSession() *failure {
	return &failure{
		status: http.StatusNotFound, code: codeSession, message: "the session is not known here; initialize again",
		reason: reasonSession, denied: true,
	}
}

func forbiddenOrigin() *failure {
	return &failure{
		status:  http.StatusForbidden,
		code:    codeOrigin,
		message: "requests of another Origin are not served",
	}
}

func forbiddenHost() *failure {
	return &failure{
		status:  http.StatusForbidden,
		code:    codeOrigin,
		message: "the Host header must be a loopback address",
	}
}

func misdirected() *failure {
	return &failure{
		status: http.StatusMisdirectedRequest, code: codePath,
		message: "the Host is not the one that the connection is for",
	}
}

func notFound(message string) *failure {
	return &failure{status: http.StatusNotFound, code: codePath, message: message}
}

func methodNotAllowed(allowed string) *failure {
	return &failure{
		status:  http.StatusMethodNotAllowed,
		code:    codeMethodNotAllowed,
		message: "the method must be " + allowed,
	}
}

// malformed is a body that is no message.
func malformed(bad *mcp.InvalidMessageError) *failure {
	return &failure{
		status:  http.StatusBadRequest,
		code:    bad.Code,
		id:      bad.ID,
		message: bad.Reason,
		reason:  reasonInvalid,
	}
}

func invalid(message string) *failure {
	return &failure{
		status:  http.StatusBadRequest,
		code:    mcp.CodeInvalidRequest,
		message: message,
		reason:  reasonInvalid,
	}
}

func bodyTooLarge(limit int64) *failure {
	return &failure{
		status: http.StatusRequestEntityTooLarge, code: mcp.CodeInvalidRequest,
		message: fmt.Sprintf("the body is longer than %d bytes", limit), reason: reasonInvalid,
	}
}

func unsupportedMediaType() *failure {
	return &failure{
		status: http.StatusUnsupportedMediaType, code: mcp.CodeInvalidRequest,
		message: "Content-Type must be application/json in UTF-8", reason: reasonInvalid,
	}
}

// disagrees is for what a header says otherwise than the body.
func disagrees(what string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: mcp.CodeHeaderMismatch,
		message: what + " does not agree with the body", reason: reasonMismatch,
	}
}

func overloaded(message string) *failure {
	return &failure{
		status: http.StatusServiceUnavailable, code: mcp.CodeInternal, message: message, reason: reasonOverload,
		retryAfter: 1,
	}
}

// tooManyRequests is for a caller above limits.requestsPerSecond.
func tooManyRequests(wait time.Duration) *failure {
	return &failure{
		status: http.StatusTooManyRequests, code: codeRate, message: "this caller sends too many requests a second",
		reason: reasonRate, retryAfter: max(1, int(math.Ceil(wait.Seconds()))),
	}
}

func unavailable(message string) *failure {
	return &failure{
		status: http.StatusServiceUnavailable, code: mcp.CodeInternal, message: message, reason: reasonUnavailable,
		retryAfter: 1,
	}
}

func badGateway(message string) *failure {
	return &failure{status: http.StatusBadGateway, code: mcp.CodeInternal, message: message, reason: reasonUpstream}
}

func gatewayTimeout() *failure {
	return &failure{
		status: http.StatusGatewayTimeout, code: mcp.CodeInternal, message: "the upstream took too long to answer",
		reason: reasonUpstream,
	}
}

// upstreamStatus is an error of the upstream whose body says nothing that can be
// passed on.
func upstreamStatus(status int) *failure {
	return &failure{
		status: status, code: mcp.CodeInternal, message: "the upstream answers with status " + strconv.Itoa(status),
		reason: reasonUpstream,
	}
}

func internalError(message string) *failure {
	return &failure{
		status:  http.StatusInternalServerError,
		code:    mcp.CodeInternal,
		message: message,
		reason:  reasonInternal,
	}
}

// misconfiguredProvider is what a login cannot mend: AWS IAM does not know the
// issuer or the audience of the caller's tokens.
func misconfiguredProvider() *failure {
	return &failure{
		status: http.StatusInternalServerError, code: mcp.CodeInternal, reason: reasonProvider, shown: reasonProvider,
		message: "AWS IAM is not set up for the identity provider of this caller",
	}
}

// misconfiguredExchange is the operator's to look at as well.
func misconfiguredExchange() *failure {
	return &failure{
		status: http.StatusInternalServerError, code: mcp.CodeInternal, reason: reasonProvider, shown: reasonProvider,
		message: "the identity provider is not set up for the exchange of tokens",
	}
}

// clientGone is for the record: nobody reads the answer. A denial stays one.
func clientGone(f *failure) *failure {
	gone := &failure{status: statusClientGone, reason: reasonGone}
	if f.denied {
		gone.reason, gone.denied = f.reason, true
	}
	return gone
}

func (f *failure) answerError() mcp.AnswerError {
	return mcp.AnswerError{Code: f.code, Message: f.message, Reason: f.shown, RequestID: f.requestID, Script: f.script}
}

// write sends the failure. In a batch every request gets the error.
func (f *failure) write(w http.ResponseWriter, body *mcp.Body) {
	extendWrite(w)
	header := w.Header()
	maps.Copy(header, f.header)
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
	switch {
	case f.reason == reasonInteraction:
		code = identity.CodeInsufficientClaims
	case f.status == http.StatusForbidden:
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
