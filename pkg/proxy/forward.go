package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/http1"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// isRelayed reports whether a client's header goes up. Beside those that begin with Mcp-
// it is a list of what is known to be harmless: AWS acts on headers that choose a
// user, and Idempotency-Key makes net/http send a POST twice. A name with _ does not:
// servers behind CGI or WSGI take it for the one with -, and Mcp-Session_Id for
// the session that was checked.
func isRelayed(name string) bool {
	switch name {
	case "Accept", "User-Agent", "Last-Event-Id", "Traceparent", "Tracestate", "Baggage":
		return true
	}
	return strings.HasPrefix(name, "Mcp-") && !strings.Contains(name, "_")
}

// headerValue is Header.Get for a name in its canonical form, which it does not look at.
func headerValue(header http.Header, canonical string) string {
	if values := header[canonical]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// forward gets credentials, signs and sends. A credential that AWS refuses as
// such is replaced once.
func (c *call) forward(ctx context.Context) (*http.Response, *failure) {
	var credential aws.Credentials
	f := c.step(stageExchange, func() (f *failure) {
		var err error
		credential, err = c.server.credentials.Get(
			ctx, c.snap.Credentials(), c.role.key, c.caller, c.role.session,
		)
		if err != nil {
			return c.credentialFailure(err)
		}
		return nil
	})
	if f != nil {
		return nil, f
	}
	var traced http.Header
	if c.tracing != nil {
		traced = http.Header{}
	}
	ctx = c.beginClientSpan(ctx, traced)
	if err := c.prepareBody(traced); err != nil {
		slog.Error("a request could not be made", "error", err)
		return nil, internalError("internal error")
	}
	header := c.upstreamHeader()
	if len(traced) > 0 {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
			delete(header, name) // the client's go with the client's own
		}
		maps.Copy(header, traced)
	}
	answer, f := c.sendSigned(ctx, header, &credential)
	if f != nil || !c.asksForTools() {
		return answer, f
	}
	return c.repeatIfEmpty(ctx, answer, func() (*http.Response, *failure) {
		return c.sendSigned(ctx, maps.Clone(header), &credential)
	})
}

// sendSigned sends the request, and once more with a new credential where AWS
// refuses the one that it was signed with.
func (c *call) sendSigned(
	ctx context.Context,
	header http.Header,
	credential *aws.Credentials,
) (*http.Response, *failure) {
	answer, f := c.send(ctx, header, *credential)
	if f != nil {
		return nil, f
	}
	awsError := readAWSError(answer)
	if awsError == badCredential {
		renewed, err := c.server.credentials.Renew(
			ctx, c.snap.Credentials(), c.role.key, c.caller, c.role.session, *credential,
		)
		switch {
		case errors.Is(err, credentials.ErrRenewedRecently):
		case err != nil:
			return nil, c.credentialFailure(err)
		default:
			*credential = renewed
			// The first request's header may still be read by its connection.
			if answer, f = c.send(ctx, maps.Clone(header), renewed); f != nil {
				return nil, f
			}
			awsError = readAWSError(answer)
		}
	}
	switch awsError {
	case badCredential, badSignature:
		return nil, badGateway("AWS does not accept the signature")
	case accessDenied:
		return nil, deniedByAWS()
	}
	return answer, nil
}

// prepareBody adds what the auth-config has set in every request, and the trace context that
// traced has: the upstream's span is a child of ours, wherever it looks for its parent.
func (c *call) prepareBody(traced http.Header) error {
	if c.messages == nil {
		return nil
	}
	meta := c.upstream.Meta
	if c.tracing != nil && len(traced) > 0 {
		meta = maps.Clone(meta)
		if meta == nil {
			meta = map[string]string{}
		}
		for name, values := range traced {
			meta[strings.ToLower(name)] = values[0]
		}
	}
	body, err := mcp.SetMeta(c.body, c.messages, meta)
	if err == nil {
		c.body = body
	}
	return err
}

// Values of headers that every request has; nobody changes them.
var jsonType, identityEncoding, noUserAgent = []string{typeJSON}, []string{"identity"}, []string{""}

func (c *call) upstreamHeader() http.Header {
	header := make(http.Header, len(c.r.Header)+6)
	for name, values := range c.r.Header {
		if isRelayed(name) || c.upstream.Headers.Allow[name] {
			header[name] = values
		}
	}
	if c.r.Method == http.MethodPost {
		// Not the client's: a charset could make the upstream read another
		// message than the one that was decided on.
		header["Content-Type"] = jsonType
	}
	for name, value := range c.upstream.Headers.Set {
		header[name] = []string{value}
	}
	c.setSession(header)
	header["Accept-Encoding"] = identityEncoding
	if _, ok := header["User-Agent"]; !ok {
		// Without one, net/http would add its own.
		header["User-Agent"] = noUserAgent
	}
	return header
}

// send signs a request and waits for the header of its answer. Nothing is sent
// unsigned.
func (c *call) send(ctx context.Context, header http.Header, credential aws.Credentials) (*http.Response, *failure) {
	place, f := c.takeUpstream(ctx)
	if f != nil {
		return nil, f
	}
	request := new(http.Request).WithContext(ctx)
	request.Method, request.Header = c.r.Method, header
	request.URL, request.Host = c.upstream.URL, c.upstream.URL.Host
	request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/1.1", 1, 1
	c.server.signer.Sign(request, c.body, credential, c.upstream.Scope, time.Now())
	if c.script != nil {
		c.script.accessKeyID = credential.AccessKeyID
	}
	c.signed = signedWith{header: header, callerToken: c.caller.Token.Reveal()}
	begun := time.Now()
	answer, err := c.snap.Send(c.upstream, request, c.body)
	if err != nil {
		place.release()
		return nil, c.sendFailure(err)
	}
	c.server.options.Metrics.UpstreamAnswered(c.upstream.Name, time.Since(begun))
	c.outcome.upstreamRequestID = headerValue(answer.Header, "X-Amzn-Requestid")
	if place != nil {
		answer.Body = &placedBody{ReadCloser: answer.Body, place: place}
	}
	return answer, nil
}

// placedBody gives the call's place at the upstream back with the answer.
type placedBody struct {
	io.ReadCloser
	place *upstreamPlace
}

// Close implements io.Closer.
func (b *placedBody) Close() error {
	err := b.ReadCloser.Close()
	b.place.release()
	return err
}

func (c *call) sendFailure(err error) *failure {
	if errors.Is(err, http1.ErrHeaderTimeout) {
		return gatewayTimeout()
	}
	if c.r.Context().Err() == nil {
		slog.Warn("the upstream cannot be reached", "upstream", c.upstream.Name, "error", err)
	}
	return badGateway("the upstream cannot be reached")
}
