package standin

import (
	"net/http"
	"sync"
	"time"
)

// Fault makes a stand-in slow or failing. The zero Fault is none.
type Fault struct {
	// Latency comes before every answer.
	Latency time.Duration
	// Status other than 0 is answered instead of the real thing, with Code and
	// Message in the form of the service.
	Status  int
	Code    string
	Message string
	// Times bounds how often Status is answered; 0 is always.
	Times int
}

// faults is a Fault that can be changed while requests run.
type faults struct {
	mu      sync.Mutex
	current Fault
	used    int
}

// Set replaces the fault.
func (f *faults) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current, f.used = fault, 0
}

// next waits out the latency and reports whether the request has to fail.
func (f *faults) next(r *http.Request) (Fault, bool) {
	f.mu.Lock()
	fault := f.current
	fails := fault.Status != 0 && (fault.Times == 0 || f.used < fault.Times)
	if fails {
		f.used++
	}
	f.mu.Unlock()
	if fault.Latency > 0 {
		select {
		case <-time.After(fault.Latency):
		case <-r.Context().Done():
		}
	}
	return fault, fails
}
