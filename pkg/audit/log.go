package audit

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the lines that wait while others are written, in bytes. Whoever
	// comes when there are more waits: no record is lost to a slow reader of the log.
	maxWaiting = 256 << 10
	// flushPause is between two looks at whether all has been written.
	flushPause = time.Millisecond
)

// Log writes records to one writer, in the order in which they come. A line that comes
// when nothing is being written is written at once; those that come meanwhile go together
// in the next write.
type Log struct {
	writer io.Writer

	mu sync.Mutex
	// room is signalled when lines that waited are taken to be written.
	room    sync.Cond
	waiting []byte
	// spare is the buffer that waiting had before.
	spare   []byte
	writing bool
	failed  bool
}

// NewLog writes to w, which is standard output in the sidecar.
func NewLog(w io.Writer) *Log {
	l := &Log{writer: w}
	l.room.L = &l.mu
	return l
}

// Write appends the record as one line. A record that cannot be written is
// reported once in the program's log.
func (l *Log) Write(r *Record) { WriteTo(r, l, nil) }

// WriteTo makes the record's line once, for the log and for what keeps the newest ones;
// either may be nil.
func WriteTo(r *Record, log *Log, recent *Recent) {
	switch {
	case log != nil:
		log.write(r, recent)
	case recent != nil:
		recent.Add(r)
	}
}

func (l *Log) write(r *Record, recent *Recent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Who waits has no line yet: what waits is all that there is of them.
	for len(l.waiting) >= maxWaiting {
		l.room.Wait()
	}
	begin := len(l.waiting)
	l.waiting = r.append(l.waiting)
	if recent != nil {
		recent.add(r, l.waiting[begin:])
	}
	if l.writing {
		return
	}
	l.writing = true
	l.writeWaiting()
	if l.writing = len(l.waiting) > 0; l.writing {
		// This request's line is written; it does not wait for those of others.
		go l.drain()
	}
}

func (l *Log) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) > 0 {
		l.writeWaiting()
	}
	l.writing = false
}

// writeWaiting writes what waits now, in one write. It leaves the lock for that.
func (l *Log) writeWaiting() {
	lines := l.waiting
	l.waiting, l.spare = l.spare[:0], nil
	l.room.Broadcast()
	l.mu.Unlock()
	_, err := l.writer.Write(lines)
	l.mu.Lock()
	if err != nil && !l.failed {
		l.failed = true
		slog.Error("decision records cannot be written", "error", err)
	}
	if cap(lines) <= 16*maxArguments {
		l.spare = lines
	}
}

// Flush waits until all records are written, at most until ctx ends.
func (l *Log) Flush(ctx context.Context) error {
	for {
		l.mu.Lock()
		done := !l.writing
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the caller's own
		case <-time.After(flushPause):
		}
	}
}
