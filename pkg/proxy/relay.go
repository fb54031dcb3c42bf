package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/countersign-io/countersign/pkg/mcp"
)

// maxMessage bounds one message of the upstream: a JSON answer or an event.
const maxMessage = 8 << 20

// returned are the response headers that come back, beside those that begin
// with Mcp-. Set-Cookie and WWW-Authenticate are not among them.
var returned = map[string]bool{
	"Content-Type": true, "Cache-Control": true, "Retry-After": true, "Allow": true,
	"X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true,
}

// relay passes the answer on, with what the caller may not see cut out of
// lists.
func (c *call) relay(answer *http.Response) *failure {
	if f := c.checkAnswer(answer); f != nil {
		return f
	}
	if f := c.bindSession(answer); f != nil {
		return f
	}
	kind := mediaType(answer.Header)
	if kind == "text/event-stream" {
		return c.relayEvents(answer)
	}
	return c.relayMessage(answer, kind)
}

func (c *call) checkAnswer(answer *http.Response) *failure {
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return badGateway("the upstream redirects, which is not followed")
	}
	for _, encoding := range answer.Header["Content-Encoding"] {
		if !strings.EqualFold(encoding, "identity") {
			return badGateway("the upstream's answer is compressed, so it cannot be checked")
		}
	}
	return nil
}

func (c *call) copyHeader(answer *http.Response) {
	header := c.w.Header()
	for name, values := range answer.Header {
		if returned[name] || strings.HasPrefix(name, "Mcp-") {
			header[name] = values
		}
	}
}

// relayMessage passes one JSON message, or a body that is none where the status
// says that there is no result.
func (c *call) relayMessage(answer *http.Response, kind string) *failure {
	body, f := readMessage(answer)
	if f != nil {
		return f
	}
	c.copyHeader(answer)
	if len(body) > 0 {
		if body, f = c.filterMessage(answer.StatusCode, kind, body); f != nil {
			return f
		}
	}
	if answer.StatusCode != http.StatusNoContent {
		c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	extendWrite(c.w)
	c.begin(answer.StatusCode)
	_, _ = c.w.Write(body) // the client may be gone
	return nil
}

// filterMessage gives what may go on of a body. An error that is no message goes
// on as plain text where the upstream says that it is, and for 429, whose reason
// the client needs.
func (c *call) filterMessage(status int, kind string, body []byte) ([]byte, *failure) {
	view := visibility{c}
	filtered, err := mcp.FilterMessage(body, view, view.private())
	if err == nil {
		return filtered, nil
	}
	if status < http.StatusBadRequest {
		slog.Warn("an upstream's answer was refused", "upstream", c.upstream.Name, "error", err)
		return nil, badGateway("the upstream's answer cannot be read")
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n\xEF\xBB\xBF")
	looksLikeJSON := len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[')
	if !looksLikeJSON && (kind == "text/plain" || status == http.StatusTooManyRequests) {
		c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		c.w.Header().Set("X-Content-Type-Options", "nosniff")
		return body, nil
	}
	return nil, upstreamStatus(status)
}

func readMessage(answer *http.Response) ([]byte, *failure) {
	tooLarge := badGateway("the upstream's answer is too large")
	if answer.ContentLength > maxMessage {
		return nil, tooLarge
	}
	var body []byte
	var err error
	if answer.ContentLength >= 0 {
		body = make([]byte, answer.ContentLength)
		_, err = io.ReadFull(answer.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(answer.Body, maxMessage+1))
	}
	switch {
	case err != nil:
		return nil, badGateway("the upstream's answer breaks off")
	case len(body) > maxMessage:
		return nil, tooLarge
	}
	return body, nil
}

// begin sends the status.
func (c *call) begin(status int) {
	c.answered, c.outcome.status = true, status
	c.w.WriteHeader(status)
}

// relayEvents passes a stream event by event. What cannot be read ends it with
// an error.
func (c *call) relayEvents(answer *http.Response) *failure {
	c.copyHeader(answer)
	// Asks proxies in between not to hold events back.
	c.w.Header().Set("X-Accel-Buffering", "no")
	c.begin(answer.StatusCode)
	out := newFlushWriter(c.w)
	defer out.stop()
	if c.isStream() {
		defer context.AfterFunc(answer.Request.Context(), out.cut)()
		// The record of a stream is written when it opens: it may last hours.
		c.record()
	}
	view := visibility{c}
	private := view.private()
	rewriter := mcp.NewEventRewriter(maxMessage, func(data []byte) ([]byte, error) {
		return mcp.FilterMessage(data, view, private)
	})
	err := mcp.RewriteEvents(out, out.Flush, answer.Body, rewriter)
	switch {
	case err == nil || c.r.Context().Err() != nil:
		return nil
	case errors.Is(err, mcp.ErrUnreadable) || errors.Is(err, mcp.ErrTooLarge):
		slog.Warn("an upstream's stream was ended", "upstream", c.upstream.Name, "error", err)
		f := badGateway("the upstream's answer cannot be read")
		_, _ = out.Write(c.lastEvent(f)) // the client may be gone
		return f
	case c.isStream():
		// The token expired, the server stops, or the upstream went away: the
		// client opens another stream.
		return nil
	}
	// The upstream broke off; so must the answer, or the client would take it
	// for whole.
	c.outcome.reason = reasonUpstream
	panic(http.ErrAbortHandler)
}

// lastEvent is the failure as an event.
func (c *call) lastEvent(f *failure) []byte {
	event := append([]byte("\ndata: "), f.body(c.messages)...)
	return append(event, "\n\n"...)
}
