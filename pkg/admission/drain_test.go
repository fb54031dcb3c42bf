package admission

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// drained is a server that drain sits before, and a client that keeps its
// connections, as API servers do.
func drained(t *testing.T, d *drain, handler http.HandlerFunc) (call func() *http.Response) {
	t.Helper()
	server := httptest.NewServer(d.limited(handler))
	t.Cleanup(server.Close)
	return func() *http.Response {
		answer, err := server.Client().Post(server.URL, "application/json", nil)
		if err != nil {
			t.Error(err)
			return nil
		}
		_ = answer.Body.Close()
		return answer
	}
}

func TestAnswersOfADrainAreTheLastOfTheirConnections(t *testing.T) {
	d := newDrain()
	call := drained(t, d, func(http.ResponseWriter, *http.Request) {})
	if call().Close || d.ready() != nil {
		t.Error("a connection is closed, or the replica not ready, before the drain")
	}
	ctx, end := context.WithCancel(t.Context())
	served, stop := d.context(ctx, time.Minute)
	defer stop()
	end()
	for !d.begun.Load() {
		time.Sleep(time.Millisecond)
	}
	if answer := call(); answer.StatusCode != http.StatusOK || !answer.Close {
		t.Errorf("%s, close %t, during the drain", answer.Status, answer.Close)
	}
	if d.ready() == nil {
		t.Error("ready during the drain")
	}
	if served.Err() != nil {
		t.Error("ended before the delay")
	}
}

func TestADrainWaitsForRequestsInFlight(t *testing.T) {
	d := newDrain()
	arrived, release := make(chan struct{}), make(chan struct{})
	call := drained(t, d, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	ctx, end := context.WithCancel(t.Context())
	served, stop := d.context(ctx, 0)
	defer stop()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		call()
	}()
	<-arrived
	end()
	select {
	case <-served.Done():
		t.Error("ended with a request in flight")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	<-served.Done()
	<-answered
}
