package proxy

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// headerDelay is how long the header of a stream may wait for the first event,
// to go out with it. A profile showed that a packet of its own for the header
// costs more than a policy decision; most answers to a tools/call are one event
// that is there at once.
const headerDelay = 500 * time.Microsecond

// flushWriter writes events and flushes after each; the header goes out with the
// first, or alone when that is long in coming.
type flushWriter struct {
	mu      sync.Mutex
	writer  io.Writer
	control *http.ResponseController
	timer   *time.Timer
	stopped bool
}

func newFlushWriter(w http.ResponseWriter) *flushWriter {
	f := &flushWriter{writer: w, control: http.NewResponseController(w)}
	f.timer = time.AfterFunc(headerDelay, func() { _ = f.Flush() }) // a client that is gone shows at the next write
	return f
}

// Write implements io.Writer.
func (f *flushWriter) Write(b []byte) (int, error) {
	f.timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extend()
	return f.writer.Write(b)
}

// Flush sends what was written.
func (f *flushWriter) Flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil
	}
	return f.control.Flush()
}

// stop makes sure that the timer touches nothing after the handler has
// returned.
func (f *flushWriter) stop() {
	f.timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	// What net/http writes at the end of the answer may come long after.
	f.extend()
}

func (f *flushWriter) extend() {
	_ = f.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // see extendWrite
}

// cut makes a write that waits for the client fail.
func (f *flushWriter) cut() { _ = f.control.SetWriteDeadline(time.Now()) }
