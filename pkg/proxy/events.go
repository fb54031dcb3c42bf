package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/countersign-io/countersign/pkg/mcp"
)

// eventStream writes an upstream's events to the client. Between two of them it
// puts events of the sidecar's own.
type eventStream struct {
	out *flushWriter

	mu       sync.Mutex
	rewriter *mcp.EventRewriter
	buffer   []byte
	ended    bool
}

// relayEvents passes a stream event by event. What cannot be read ends it with
// an error.
func (c *call) relayEvents(answer *http.Response) *failure {
	c.copyHeader(answer)
	c.w.Header().Set("Content-Type", typeEvents)
	// Asks proxies in between not to hold events back.
	c.w.Header().Set("X-Accel-Buffering", "no")
	c.begin(answer.StatusCode)
	out := newFlushWriter(c.w)
	defer out.stop()
	stream := &eventStream{out: out, rewriter: mcp.NewEventRewriter(c.answers())}
	c.events = stream
	if c.isStream() {
		defer context.AfterFunc(answer.Request.Context(), out.cut)()
		defer c.server.listeners.add(c)()
		// The record of a stream is written when it opens: it may last hours.
		c.record()
	}
	err := stream.pass(answer.Body)
	defer stream.end()
	if n := stream.rewriter.Dropped(); n > 0 {
		c.server.options.Metrics.DroppedEventFields(c.upstream.Name, n)
	}
	if err == nil || c.r.Context().Err() != nil {
		return nil
	}
	var refusedByRewriter *refusedEventError
	switch {
	case errors.As(err, &refusedByRewriter):
		f := c.unreadable(refusedByRewriter.cause)
		f.requestID = c.requestID()
		stream.fail(append(append([]byte("data: "), f.body(c.messages)...), "\n\n"...))
		return f
	case c.isStream():
		// The token expired, the server stops, or the upstream closed: the
		// client will reconnect.
		return nil
	}
	slog.Warn("an upstream's stream broke off", "upstream", c.upstream.Name, "error", err)
	return c.breakOff(badGateway("the upstream's answer breaks off"))
}

// refusedEventError is what a rewriter refuses, told apart from what the network
// does.
type refusedEventError struct{ cause error }

func (e *refusedEventError) Error() string { return e.cause.Error() }

// pass reads the upstream's events until their end. An event that the stream
// breaks off in is dropped by clients, as the format has it.
func (s *eventStream) pass(body io.Reader) error {
	waiting := make([]byte, waitingBuffer)
	for {
		n, readErr := body.Read(waiting)
		if err := s.write(waiting[:n]); err != nil {
			return err
		}
		if readErr == nil && n == len(waiting) {
			readErr = s.passBurst(body)
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// waitingBuffer is what a stream has while it is quiet, which most are most of the time.
const waitingBuffer = 1 << 10

// passBurst reads much at a time while all that fits comes; it ends with what the stream
// ends with, or nil once less comes.
func (s *eventStream) passBurst(body io.Reader) error {
	buffer, _ := readBuffers.Get().(*[16 << 10]byte)
	defer readBuffers.Put(buffer)
	for {
		n, readErr := body.Read(buffer[:])
		if err := s.write(buffer[:n]); err != nil {
			return err
		}
		if readErr != nil || n < len(buffer) {
			return readErr
		}
	}
}

func (s *eventStream) write(chunk []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, refused := s.rewriter.Write(s.buffer[:0], chunk)
	if s.buffer = out; cap(out) > 4*maxHeldHead {
		s.buffer = nil
	}
	if len(out) > 0 {
		if _, err := s.out.Write(out); err != nil {
			return err
		}
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
	if refused != nil {
		return &refusedEventError{cause: refused}
	}
	return nil
}

// insert writes an event of ours, now or when the one on its way has ended.
func (s *eventStream) insert(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case !s.rewriter.AtBoundary():
		s.rewriter.InsertAfterEvent(event)
	default:
		if _, err := s.out.Write(event); err == nil {
			_ = s.out.Flush() // a client that is gone shows at the next write
		}
	}
}

// fail ends an event that is on its way, so that nobody takes it for whole, and
// writes the last one.
func (s *eventStream) fail(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(append(s.rewriter.Cut(nil), event...)); err == nil {
		_ = s.out.Flush() // the client may be gone
	}
}

// end makes sure that nothing is written any longer.
func (s *eventStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.rewriter.Release()
}
