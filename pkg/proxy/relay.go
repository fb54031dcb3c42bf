package proxy

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/countersign-io/countersign/pkg/mcp"
)

const (
	// maxHeldLists bounds all lists that are held to be filtered, of all callers.
	maxHeldLists = 16 << 20
	// maxHeldHead is how much of an answer is written at once when it is whole, so
	// that what is wrong with it becomes an answer of ours.
	maxHeldHead = 32 << 10
	// countedByServer is the length of answers that net/http itself gives a Content-Length.
	countedByServer = 1 << 10
)

// returned are the response headers that come back, beside those that begin
// with Mcp-. Set-Cookie and WWW-Authenticate are not among them; Content-Type is
// ours, since a charset or a second type could have the client read another
// message than the one that was filtered.
var returned = map[string]bool{
	"Cache-Control": true, "Retry-After": true, "Allow": true, "X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true,
	headerAgentCoreSession: true,
}

// The media types of answers.
const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// relay passes the answer on, with what the caller may not see cut out of
// lists.
func (c *call) relay(answer *http.Response) *failure {
	kind, f := checkAnswer(answer)
	if f != nil {
		return f
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return c.relayError(answer)
	}
	if f := c.bindSession(answer); f != nil {
		return f
	}
	switch {
	case !c.awaitsAnswer():
		return c.acknowledge(answer)
	case kind == typeEvents:
		return c.relayEvents(answer)
	}
	return c.relayMessage(answer)
}

// checkAnswer gives the media type of an answer that can be read in one way.
func checkAnswer(answer *http.Response) (kind string, f *failure) {
	if answer.StatusCode < http.StatusOK {
		return "", badGateway("the upstream's answer has a status that there is not")
	}
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return "", badGateway("the upstream redirects, which is not followed")
	}
	for _, encoding := range answer.Header["Content-Encoding"] {
		if !strings.EqualFold(encoding, "identity") {
			return "", badGateway("the upstream's answer is compressed, so it cannot be checked")
		}
	}
	types := answer.Header["Content-Type"]
	if len(types) > 1 || len(types) == 1 && strings.Contains(types[0], ",") {
		return "", badGateway("the upstream's answer has several media types")
	}
	switch {
	case len(types) == 0:
		return "", nil
	case types[0] == typeJSON || types[0] == typeEvents:
		// As nearly all are.
		return types[0], nil
	}
	kind, _, err := mime.ParseMediaType(types[0])
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "", nil
	}
	return kind, nil
}

// awaitsAnswer reports whether the request has a message that is answered; to
// notifications, the client's own answers and DELETE a body says nothing.
func (c *call) awaitsAnswer() bool {
	if c.messages == nil {
		return c.r.Method != http.MethodDelete
	}
	for i := range c.messages.Messages {
		if m := &c.messages.Messages[i]; !m.IsResponse() && !m.IsNotification() {
			return true
		}
	}
	return false
}

// acknowledge passes a status on without the body. A POST gets 202, as the
// protocol has it, whatever status of success came.
func (c *call) acknowledge(answer *http.Response) *failure {
	c.copyHeader(answer)
	status := answer.StatusCode
	if c.r.Method == http.MethodPost {
		status = http.StatusAccepted
	}
	if status != http.StatusNoContent {
		c.w.Header().Set("Content-Length", "0")
	}
	c.begin(status)
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

// answers say how the messages of this call's answer are passed.
func (c *call) answers() mcp.Answers {
	view := visibility{c}
	answers := mcp.Answers{
		Filter: view, Private: view.private(), ShowsAll: c.snap.Config.Authorizer.ShowsAll(),
		MaxHeld: c.snap.Config.Limits.MaxFilteredBytes,
		Budget:  c.server.heldLists, Notes: answerNotes{c},
	}
	if c.tracing != nil {
		answers.Failed = c.noteFailed
	}
	if c.readsToolResult() {
		answers.ToolResult = c.noteToolResult
	}
	return answers
}

// readBuffers are for answers on their way.
var readBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// relayMessage passes one JSON message. What is wrong with its beginning, or with
// all of a short one, becomes an answer of ours; later the answer breaks off, or
// the client would take it for whole.
func (c *call) relayMessage(answer *http.Response) *failure {
	rewriter := mcp.NewMessageRewriter(c.answers())
	defer rewriter.Release()
	buffer, _ := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	// What is read goes on, as a rule, with few bytes more.
	out := make([]byte, 0, min(max(answer.ContentLength, 0), int64(len(buffer)))+64)
	for {
		n, readErr := answer.Body.Read(buffer[:])
		var err error
		if out, err = rewriter.Write(out, buffer[:n]); err == nil && errors.Is(readErr, io.EOF) {
			if out, err = rewriter.Finish(out); err == nil {
				c.writeLast(answer, out)
				return nil
			}
		}
		switch {
		case err != nil:
			return c.breakOff(c.unreadable(err))
		case readErr != nil && !errors.Is(readErr, io.EOF):
			return c.breakOff(badGateway("the upstream's answer breaks off"))
		case len(out) >= maxHeldHead || c.answered && len(out) > 0:
			c.beginMessage(answer)
			extendWrite(c.w)
			if _, err := c.w.Write(out); err != nil {
				return nil
			}
			out = out[:0]
		}
	}
}

func (c *call) beginMessage(answer *http.Response) {
	if !c.answered {
		c.copyHeader(answer)
		header := c.w.Header()
		header["Content-Type"] = jsonType
		header["Date"] = c.server.dates.at(time.Now())
		c.begin(answer.StatusCode)
	}
}

// writeLast writes the end of an answer, with its length where it is whole.
func (c *call) writeLast(answer *http.Response, out []byte) {
	if !c.answered && len(out) > countedByServer {
		c.w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	}
	extendWrite(c.w)
	c.beginMessage(answer)
	_, _ = c.w.Write(out) // the client may be gone
}

// breakOff ends an answer that is on its way, or gives the failure to answer with.
func (c *call) breakOff(f *failure) *failure {
	if !c.answered || c.r.Context().Err() != nil {
		return f
	}
	c.outcome.reason = f.reason
	panic(http.ErrAbortHandler)
}

// unreadable is the failure for what a rewriter refuses.
func (c *call) unreadable(err error) *failure {
	slog.Warn("an upstream's answer was refused", "upstream", c.upstream.Name, "error", err)
	var tooLarge *mcp.TooLargeError
	switch {
	case errors.As(err, &tooLarge):
		return badGateway(tooLarge.Error())
	case errors.Is(err, mcp.ErrNoRoom):
		return overloaded(err.Error())
	}
	return badGateway("the upstream's answer cannot be read")
}

// begin sends the status.
func (c *call) begin(status int) {
	c.answered, c.outcome.status = true, status
	c.w.WriteHeader(status)
}
