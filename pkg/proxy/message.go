package proxy

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/countersign-io/countersign/pkg/mcp"
)

// readMessages reads and parses the body of a POST.
func (c *call) readMessages() *failure {
	if f := c.checkHeaders(); f != nil {
		return f
	}
	if c.r.Method != http.MethodPost {
		if c.r.ContentLength != 0 {
			return invalid("only a POST has a body")
		}
		c.clearReadDeadline()
		return nil
	}
	if f := c.readBody(); f != nil {
		return f
	}
	messages, err := c.parse()
	if errors.Is(err, errBodies) {
		return overloaded(err.Error())
	}
	if err != nil {
		var bad *mcp.InvalidMessageError
		if errors.As(err, &bad) {
			return malformed(bad)
		}
		return invalid("the body is not a message")
	}
	c.messages = messages
	if messages.Batch && c.version != mcp.VersionBatch {
		return invalid("batches exist only in protocol version " + mcp.VersionBatch)
	}
	if f := c.checkAgreement(); f != nil {
		return f
	}
	lasts := !messages.Batch && mcp.MethodOf(messages.Messages[0].Method).Lasts
	if lasts {
		return c.moveToStreams()
	}
	return nil
}

// repeatable are the relayed headers that may come in several lines.
var repeatable = map[string]bool{"Accept": true, "Tracestate": true, "Baggage": true}

// checkHeaders refuses a single-valued header that comes twice: two readers
// could take different ones.
func (c *call) checkHeaders() *failure {
	for name, values := range c.r.Header {
		if len(values) > 1 && (isRelayed(name) || c.upstream.Headers.Allow[name] || name == "Content-Type") &&
			!repeatable[name] {
			return invalid("the header " + name + " is repeated")
		}
	}
	c.version = headerValue(c.r.Header, "Mcp-Protocol-Version")
	if c.version == "" {
		c.version = mcp.VersionBatch
	}
	if c.r.Method != http.MethodPost {
		return nil
	}
	if !isPlainJSON(headerValue(c.r.Header, "Content-Type")) {
		return unsupportedMediaType()
	}
	return nil
}

// isPlainJSON accepts application/json in UTF-8 only: an upstream that honoured
// another charset would read another message than the one decided on.
func isPlainJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	kind, parameters, err := mime.ParseMediaType(contentType)
	charset, has := parameters["charset"]
	return err == nil && kind == "application/json" && (!has || strings.EqualFold(charset, "utf-8"))
}

func (c *call) readBody() *failure {
	limit := c.snap.Config.Limits.MaxRequestBytes
	if c.r.ContentLength > limit {
		return bodyTooLarge(limit)
	}
	err := c.readAll(limit)
	switch {
	case err == nil:
		c.bodyRead = true
		c.clearReadDeadline()
		return nil
	case errors.Is(err, errBodies):
		return overloaded(err.Error())
	case errors.Is(err, errTooLarge):
		return bodyTooLarge(limit)
	}
	return invalid("the body breaks off")
}

var errTooLarge = errors.New("the body is too large")

// readAll reads the body. Memory is taken for what has come, and not for what a client
// says that it will send.
func (c *call) readAll(limit int64) error {
	size := int64(smallBody)
	if c.r.ContentLength >= 0 {
		size = min(c.r.ContentLength, eagerBody)
	}
	if size > smallBody {
		if err := c.holdBody(int(size)); err != nil {
			return err
		}
	}
	body := make([]byte, 0, size+1)
	for {
		if len(body) == cap(body) {
			more := min(max(int64(cap(body)), smallBody), limit+1-int64(len(body)))
			if c.r.ContentLength > int64(cap(body)) {
				more = min(more, c.r.ContentLength+1-int64(cap(body)))
			}
			if more <= 0 {
				return errTooLarge
			}
			if err := c.holdBody(int(more)); err != nil {
				return err
			}
			body = slices.Grow(body, int(more))[:len(body)]
		}
		n, err := c.r.Body.Read(body[len(body):cap(body)])
		if body = body[:len(body)+n]; int64(len(body)) > limit {
			return errTooLarge
		}
		switch {
		case errors.Is(err, io.EOF):
			c.body = body
			return nil
		case err != nil:
			return err
		}
	}
}

// parse reads the messages of the body. Large ones take turns: reading one can take many
// times its length.
func (c *call) parse() (*mcp.Body, error) {
	if len(c.body) <= smallBody {
		return mcp.Parse(c.body)
	}
	cost := min(int64(len(c.body))*parseCost, maxParsing)
	ctx, cancel := context.WithTimeout(c.r.Context(), placeWait)
	defer cancel()
	if c.server.capacity.parsing.Acquire(ctx, cost) != nil {
		c.server.capacity.metrics.Overloaded("parsing")
		return nil, errBodies
	}
	defer c.server.capacity.parsing.Release(cost)
	return mcp.Parse(c.body)
}

// clearReadDeadline is for requests whose body was read whole; for others the
// deadline stays, so that net/http does not wait for the rest without end.
func (c *call) clearReadDeadline() {
	// Not every ResponseWriter has deadlines; the ones that serve here do.
	setReadDeadline(c.w, time.Time{})
}

// checkAgreement compares what headers and _meta say with the body, from which
// decisions are taken. A header that is missing disagrees with nothing; the
// upstream will ask for it where its version does.
func (c *call) checkAgreement() *failure {
	method, hasMethod := c.r.Header["Mcp-Method"]
	name, hasName := c.r.Header["Mcp-Name"]
	if c.messages.Batch {
		if hasMethod || hasName {
			return disagrees("the header Mcp-Method or Mcp-Name")
		}
		return nil
	}
	m := &c.messages.Messages[0]
	if hasMethod && !headerSays(method[0], m.Method) {
		return disagrees("the header Mcp-Method")
	}
	for _, subject := range m.Subjects() {
		if hasName && subject.Written != "" && !headerSays(name[0], subject.Written) {
			return disagrees("the header Mcp-Name")
		}
	}
	if f := c.checkParamHeaders(m); f != nil {
		return f
	}
	if said := m.Params.Meta.ProtocolVersion; said != "" && said != headerValue(c.r.Header, "Mcp-Protocol-Version") {
		return disagrees("the header MCP-Protocol-Version")
	}
	return nil
}

// checkParamHeaders compares the headers that repeat arguments, where tools.json
// says which these are; elsewhere only the upstream can.
func (c *call) checkParamHeaders(m *mcp.Message) *failure {
	subjects := m.Subjects()
	if !mcp.IsStateless(c.version) || len(subjects) != 1 || subjects[0].Kind != mcp.SubjectTool {
		return nil
	}
	headers := c.snap.Config.ParamHeaders[subjects[0].Name]
	for i := range headers {
		if h := &headers[i]; !h.Agrees(c.r.Header[h.Header], m.Params.Arguments) {
			return disagrees("the header " + h.Header)
		}
	}
	return nil
}

func headerSays(header, value string) bool {
	decoded, ok := mcp.DecodeHeader(strings.TrimSpace(header))
	return ok && decoded == value
}
