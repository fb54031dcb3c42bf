package proxy

import (
	"sync/atomic"

	"github.com/countersign-io/countersign/pkg/telemetry"
)

// inFlight counts the calls that are being served. Streams last, so they have a
// count of their own.
type inFlight struct {
	requests atomic.Int64
	streams  atomic.Int64
	metrics  *telemetry.Metrics
}

// place is a call's place among those in flight.
type place struct {
	among  *inFlight
	stream bool
}

// take gives a place unless limit are taken already.
func (f *inFlight) take(stream bool, limit int) (*place, bool) {
	counter := &f.requests
	if stream {
		counter = &f.streams
	}
	if counter.Add(1) > int64(limit) {
		counter.Add(-1)
		return nil, false
	}
	if stream {
		f.metrics.StreamStarted()
	} else {
		f.metrics.RequestStarted()
	}
	return &place{among: f, stream: stream}, true
}

// release gives the place back.
func (p *place) release() {
	if p.stream {
		p.among.streams.Add(-1)
		p.among.metrics.StreamEnded()
		return
	}
	p.among.requests.Add(-1)
	p.among.metrics.RequestEnded()
}

// moveToStreams changes the place of a request that turns out to last; when no
// place is free there it keeps the one that it has.
func (p *place) moveToStreams(limit int) bool {
	next, ok := p.among.take(true, limit)
	if !ok {
		return false
	}
	p.release()
	*p = *next
	return true
}
