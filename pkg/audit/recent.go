package audit

import (
	"sync"
	"time"
)

const (
	// maxRecent bounds the records that are kept to be shown.
	maxRecent = 256
	// maxRecentBytes bounds each of them; of a longer one arguments, errors and what
	// its script does are left out.
	maxRecentBytes = 8 << 10
	// maxRecentMinutes bounds how far back decisions are counted.
	maxRecentMinutes = 15
)

// Counts are decisions by what they were.
type Counts struct {
	Allow  int `json:"allow"`
	Deny   int `json:"deny"`
	Reject int `json:"reject"`
}

func (c *Counts) add(decision string) {
	switch decision {
	case Allow:
		c.Allow++
	case Deny:
		c.Deny++
	default:
		c.Reject++
	}
}

// Recent holds the newest records as the log has them, and counts decisions by the
// minute. It is safe for concurrent use; the zero value is ready.
type Recent struct {
	mu sync.Mutex
	// lines is a ring; the line of the record with number n is at n modulo its length.
	lines [maxRecent][]byte
	// next is the number of the next record, from 0.
	next    uint64
	minutes [maxRecentMinutes]struct {
		minute int64
		counts Counts
	}
}

// Add takes a record.
func (r *Recent) Add(record *Record) { r.add(record, record.append(nil)) }

// add takes a record that has this line.
func (r *Recent) add(record *Record, whole []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(whole) > maxRecentBytes {
		whole = shortened(record)
	}
	line := &r.lines[r.next%maxRecent]
	*line = append((*line)[:0], whole...)
	r.next++
	minute := record.Time.Unix() / 60
	slot := &r.minutes[minute%maxRecentMinutes]
	if slot.minute != minute {
		slot.minute, slot.counts = minute, Counts{}
	}
	slot.counts.add(record.Decision)
}

// shortened is the line of a record whose own is too long.
func shortened(record *Record) []byte {
	short := *record
	short.Arguments, short.AWS, short.Errors = nil, nil, nil
	short.Policies = short.Policies[:min(len(short.Policies), 3)]
	short.Subjects = short.Subjects[:min(len(short.Subjects), 1)]
	if line := short.append(nil); len(line) <= maxRecentBytes {
		return line
	}
	// What a caller wrote can be six times as long with escapes: what is left is ours.
	return (&Record{
		Time: record.Time, RequestID: record.RequestID, Upstream: record.Upstream, HTTPMethod: record.HTTPMethod,
		Decision: record.Decision, NotEnforced: record.NotEnforced, Status: record.Status, Duration: record.Duration,
	}).append(nil)
}

// After gives the records with a number of at least from, oldest first and each one JSON
// object, and the number to ask for next. What is no longer held is passed over.
func (r *Recent) After(from uint64) (lines [][]byte, next uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from > r.next { // numbers of a process that was there before
		from = 0
	}
	if r.next > maxRecent {
		from = max(from, r.next-maxRecent)
	}
	for ; from < r.next; from++ {
		line := r.lines[from%maxRecent]
		lines = append(lines, append([]byte(nil), line[:len(line)-1]...)) // without the line's end
	}
	return lines, r.next
}

// Since counts the decisions of the last minutes, whole minutes of the clock, the one
// that runs among them.
func (r *Recent) Since(now time.Time, minutes int) Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum Counts
	oldest := now.Unix()/60 - int64(min(minutes, maxRecentMinutes)) + 1
	for _, slot := range r.minutes {
		if slot.minute >= oldest {
			sum.Allow += slot.counts.Allow
			sum.Deny += slot.counts.Deny
			sum.Reject += slot.counts.Reject
		}
	}
	return sum
}
