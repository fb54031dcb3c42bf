package admission

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// apiServer calls a server and keeps its connections.
type apiServer struct {
	client *http.Client
	url    string
}

type answer struct {
	status int
	last   bool
	err    error
}

func (s apiServer) call() answer {
	response, err := s.client.Post(s.url, "application/json", nil)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return answer{status: response.StatusCode, last: response.Close, err: err}
}

// serveDraining serves until ctx ends and the delay is over, as the manager does:
// requests in flight are cancelled and waited for.
func serveDraining(ctx context.Context, t *testing.T, delay time.Duration, handler http.HandlerFunc) (apiServer, *drain, context.Context) {
	t.Helper()
	d := &drain{}
	postponed, stop := d.postpone(ctx, delay)
	t.Cleanup(stop)
	server := httptest.NewUnstartedServer(d.handler(handler))
	server.Config.BaseContext = func(net.Listener) context.Context { return postponed }
	server.Start()
	t.Cleanup(server.Close)
	return apiServer{server.Client(), server.URL}, d, postponed
}

func await[T any](t *testing.T, what string, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("waited in vain: " + what)
	}
	return value
}

func TestAnswersOfADrainAreTheLastOfTheirConnections(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	server, d, postponed := serveDraining(ctx, t, time.Hour, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{}"))
	})
	if got := server.call(); got != (answer{status: http.StatusOK}) {
		t.Errorf("before the drain: %+v", got)
	}
	end()
	for begun := time.Now(); !d.begun.Load() && time.Since(begun) < 20*time.Second; time.Sleep(time.Millisecond) {
	}
	if got := server.call(); got != (answer{status: http.StatusOK, last: true}) {
		t.Errorf("during the drain: %+v", got)
	}
	if postponed.Err() != nil {
		t.Error("ended before the delay was over")
	}
}

func TestARequestInFlightWhenTheReplicaStopsIsAnswered(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	release := make(chan struct{})
	server, _, postponed := serveDraining(ctx, t, 0, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	answers := make(chan answer, 1)
	go func() { answers <- server.call() }()
	await(t, "the request arrives", arrived)
	end()
	await(t, "the delay is over", postponed.Done())
	// What was cancelled is told in a goroutine.
	time.Sleep(50 * time.Millisecond)
	close(release)
	if got := await(t, "the answer", answers); got != (answer{status: http.StatusNoContent, last: true}) {
		t.Errorf("%+v", got)
	}
}

func TestACallThatTheAPIServerHasGivenUpIsCancelled(t *testing.T) {
	arrived, cancelled := make(chan struct{}), make(chan struct{})
	server, _, _ := serveDraining(t.Context(), t, time.Hour, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(cancelled)
	})
	ctx, giveUp := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := server.client.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}()
	await(t, "the request arrives", arrived)
	began := time.Now()
	giveUp()
	await(t, "it is cancelled", cancelled)
	if time.Since(began) > callTimeout/2 {
		t.Error("it went on until the timeout")
	}
}
