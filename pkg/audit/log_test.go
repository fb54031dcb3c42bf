package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// slowWriter takes a while for each write, as a reader that is busy makes it.
type slowWriter struct {
	pause  time.Duration
	mu     sync.Mutex
	writes [][]byte
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.pause)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, bytes.Clone(p))
	return len(p), nil
}

func (w *slowWriter) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

// lines are those of all writes, each of which must hold whole ones.
func (w *slowWriter) lines(t *testing.T) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, write := range w.writes {
		for line := range strings.Lines(string(write)) {
			if !strings.HasSuffix(line, "\n") || !json.Valid([]byte(line)) {
				t.Fatalf("a torn record: %q", line)
			}
			all = append(all, line)
		}
	}
	return all
}

func TestNoRecordIsTornOrLost(t *testing.T) {
	w := &slowWriter{}
	log := NewLog(w)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			for m := range 50 {
				log.Write(&Record{
					Time: time.Now(), RequestID: fmt.Sprintf("%02d-%02d.", n, m), Caller: "a\nb\"c",
					Subjects: []string{strings.Repeat("é", 3000)}, Decision: Allow,
					Arguments: jsontext.Value("{\n \"a\": 1}"),
				})
			}
		})
	}
	all.Wait()
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := w.lines(t)
	text := strings.Join(lines, "")
	for n := range 50 {
		// Those of one goroutine keep their order.
		last := -1
		for m := range 50 {
			at := strings.Index(text, fmt.Sprintf("%02d-%02d.", n, m))
			if at <= last {
				t.Fatalf("record %d of %d stands at %d, the one before at %d", m, n, at, last)
			}
			last = at
		}
	}
	if len(lines) != 2500 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestALineIsWrittenAtOnceWhenNothingElseIs(t *testing.T) {
	w := &slowWriter{}
	log := NewLog(w)
	for n := range 3 {
		log.Write(&Record{Decision: Allow})
		if w.count() != n+1 {
			t.Errorf("%d writes after %d records", w.count(), n+1)
		}
	}
}

func TestLinesThatComeDuringAWriteGoTogetherInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowWriter{pause: time.Second}
		log := NewLog(w)
		for range 20 {
			go log.Write(&Record{Decision: Allow})
		}
		if err := log.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if len(w.lines(t)) != 20 || w.count() != 2 {
			t.Errorf("%d lines in %d writes", len(w.lines(t)), w.count())
		}
	})
}

func TestAReaderThatStopsHoldsRequestsBackAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		log := NewLog(writer)
		const records = 2000
		var all sync.WaitGroup
		written := make(chan struct{}, records)
		for range records {
			all.Go(func() {
				log.Write(&Record{Decision: Allow, Caller: strings.Repeat("c", 500)})
				written <- struct{}{}
			})
		}
		synctest.Wait()
		most := maxWaiting/500 + 1
		if len(written) > most || len(log.waiting) > maxWaiting+1000 {
			t.Errorf("%d records wait in %d bytes", len(written), len(log.waiting))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := log.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush tells %v", err)
		}
		read := make(chan int)
		go func() {
			text, _ := io.ReadAll(reader)
			read <- bytes.Count(text, []byte("\n"))
		}()
		all.Wait()
		if err := log.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		_ = writer.Close()
		if n := <-read; n != records {
			t.Errorf("%d records were written", n)
		}
	})
}

func TestARecordThatIsKeptIsShortWhateverItSays(t *testing.T) {
	recent := &Recent{}
	hostile := strings.Repeat("\x01", maxField)
	r := &Record{
		RequestID: "r", Caller: hostile, Issuer: hostile, Actor: hostile, Role: hostile, Method: hostile, Reason: hostile,
		Subjects: []string{hostile, hostile}, Policies: []string{hostile, hostile, hostile}, Decision: Deny,
	}
	WriteTo(r, NewLog(io.Discard), recent)
	recent.Add(r)
	lines, _ := recent.After(0)
	for _, line := range lines {
		if len(line) > maxRecentBytes || !bytes.Contains(line, []byte(`"requestId":"r"`)) {
			t.Errorf("%d bytes: %.100s", len(line), line)
		}
	}
	if len(lines) != 2 {
		t.Errorf("%d are kept", len(lines))
	}
}

func TestRequestsThatWaitForTheLogHoldNoLines(t *testing.T) {
	read, write := io.Pipe()
	log := NewLog(write)
	var calls []string
	for n := range maxListed {
		calls = append(calls, fmt.Sprint(n, strings.Repeat("c", maxField-10)))
	}
	record := &Record{Decision: Allow, AWS: &AWS{Calls: calls, Actions: calls}}
	const requests = 200
	var all sync.WaitGroup
	for range requests {
		all.Go(func() { log.Write(record) })
	}
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	// One line has 200 KiB.
	if m.HeapAlloc > 20<<20 {
		t.Errorf("%d MiB of heap are in use", m.HeapAlloc>>20)
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	all.Wait()
}
