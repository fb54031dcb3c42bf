package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/fairness"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// placeWait is how long a caller above his share waits for a place.
	placeWait = time.Second
	// upstreamWait is how long a request waits for its turn at an upstream whose
	// requests in flight are bounded.
	upstreamWait = 5 * time.Second
	// streamShare is the part of an upstream's streams that one caller may have.
	streamShare = 3
	// maxHeldBodies bounds the bodies that are held at once, in bytes; half of it is for
	// one caller, and more where limits.maxRequestBytes needs it. Bodies of up to smallBody
	// count with their places alone.
	maxHeldBodies = 32 << 20
	smallBody     = 4 << 10
	// eagerBody is what is made ready for a body before it comes.
	eagerBody = 64 << 10
	// parseCost is how much more than its length reading a body can take, at the most,
	// and maxParsing bounds that for all bodies that are read at once.
	parseCost  = 16
	maxParsing = 64 << 20
)

// capacity is what requests share: places, by caller, and memory for bodies.
type capacity struct {
	metrics  *telemetry.Metrics
	requests fairness.Places
	streams  fairness.Places
	rates    *fairness.Rates
	bodies   fairness.Budget
	parsing  *semaphore.Weighted

	mu sync.Mutex
	// upstreams are the requests in flight to upstreams, and upstreamStreams the streams
	// among them, by Upstream.Key.
	upstreams, upstreamStreams map[string]*fairness.Places
}

func newCapacity(metrics *telemetry.Metrics) *capacity {
	return &capacity{
		metrics: metrics, rates: fairness.NewRates(func() { metrics.Evicted("rates") }),
		parsing:   semaphore.NewWeighted(maxParsing),
		upstreams: map[string]*fairness.Places{}, upstreamStreams: map[string]*fairness.Places{},
	}
}

// place is a call's place among those in flight.
type place struct {
	among  *capacity
	caller string
	stream bool
}

func (c *capacity) kind(stream bool) *fairness.Places {
	if stream {
		return &c.streams
	}
	return &c.requests
}

// take gives the caller a place.
func (c *capacity) take(
	ctx context.Context,
	caller *identity.Caller,
	stream bool,
	config *authconfig.Config,
) (*place, error) {
	limits := fairness.Limits{
		Most: config.Limits.MaxConcurrentRequests, PerCaller: config.Limits.MaxConcurrentPerCaller,
		Shared: config.Identity.Source == authconfig.SourceBearer,
	}
	if limits.Shared {
		limits.Wait = placeWait
	}
	if stream {
		// They last: to wait for one to end is of no use.
		limits.Most, limits.PerCaller = config.Limits.MaxStreams, config.Limits.MaxStreamsPerCaller
		limits.Wait = 0
	}
	name := caller.Key()
	if err := c.kind(stream).Take(ctx, name, limits); err != nil {
		return nil, err
	}
	if stream {
		c.metrics.StreamStarted()
	} else {
		c.metrics.RequestStarted()
	}
	return &place{among: c, caller: name, stream: stream}, nil
}

// release gives the place back; the call may have none.
func (p *place) release() {
	if p == nil {
		return
	}
	p.among.kind(p.stream).Release(p.caller)
	if p.stream {
		p.among.metrics.StreamEnded()
	} else {
		p.among.metrics.RequestEnded()
	}
}

// takePlace gives the call its place, once it is known who sends it.
func (c *call) takePlace() *failure {
	shared := c.server.capacity
	if wait, ok := shared.rates.Allow(c.caller.Key(), c.snap.Config.Limits.RequestsPerSecond); !ok {
		shared.metrics.Overloaded("rate")
		return tooManyRequests(wait)
	}
	stream := c.r.Method == http.MethodGet
	var err error
	if c.place, err = shared.take(c.r.Context(), c.caller, stream, c.snap.Config.Config); err != nil {
		return c.noPlace(stream)
	}
	return nil
}

func (c *call) noPlace(stream bool) *failure {
	if stream {
		c.server.capacity.metrics.Overloaded("streams")
		return overloaded("too many streams at once")
	}
	c.server.capacity.metrics.Overloaded("requests")
	return overloaded("too many requests at once")
}

// moveToStreams changes the place of a request that turns out to last.
func (c *call) moveToStreams() *failure {
	next, err := c.server.capacity.take(c.r.Context(), c.caller, true, c.snap.Config.Config)
	if err != nil {
		return c.noPlace(true)
	}
	c.place.release()
	c.place = next
	return nil
}

// upstreamPlace is a request's place among those in flight to an upstream; nil where they are
// not bounded.
type upstreamPlace struct {
	all, streams *fairness.Places
	caller       string
	released     atomic.Bool
}

// release gives the place back; only the first call counts.
func (p *upstreamPlace) release() {
	if p == nil || p.released.Swap(true) {
		return
	}
	p.all.Release(p.caller)
	if p.streams != nil {
		p.streams.Release(p.caller)
	}
}

// takeUpstream waits for the call's turn at its upstream, where the requests in flight
// to it are bounded.
func (c *call) takeUpstream(ctx context.Context) (*upstreamPlace, *failure) {
	most := c.upstream.MaxRequests
	if most == 0 {
		return nil, nil
	}
	place := &upstreamPlace{caller: c.caller.Key()}
	limits := fairness.Limits{Most: most, Shared: c.isBearer(), Wait: upstreamWait}
	all, streams := c.server.capacity.ofUpstream(c.upstream.Key)
	if c.isStream() {
		half := limits
		half.Most, half.Wait = max(1, most/2), 0
		if half.Shared {
			half.PerCaller = max(1, half.Most/streamShare)
		}
		if streams.Take(ctx, place.caller, half) != nil {
			return nil, c.noUpstream("upstreamStreams")
		}
		place.streams = streams
	}
	if all.Take(ctx, place.caller, limits) != nil {
		if place.streams != nil {
			streams.Release(place.caller)
		}
		return nil, c.noUpstream("upstream")
	}
	place.all = all
	return place, nil
}

func (c *call) noUpstream(what string) *failure {
	c.server.capacity.metrics.Overloaded(what)
	return overloaded("too many requests to this upstream at once")
}

func (c *capacity) ofUpstream(key string) (all, streams *fairness.Places) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.upstreams[key] == nil {
		c.upstreams[key], c.upstreamStreams[key] = &fairness.Places{}, &fairness.Places{}
	}
	return c.upstreams[key], c.upstreamStreams[key]
}

// errBodies says that the bodies that are held are too many.
var errBodies = errors.New("too many large bodies at once")

// holdBody takes memory for so many bytes more of the call's body.
func (c *call) holdBody(n int) error {
	if n <= 0 {
		return nil
	}
	// Two callers have room for the largest body that the auth-config allows.
	most := max(maxHeldBodies, 2*(c.snap.Config.Limits.MaxRequestBytes+1))
	if !c.server.capacity.bodies.Take(c.caller.Key(), int64(n), most) {
		c.server.capacity.metrics.Overloaded("bodies")
		return errBodies
	}
	c.held += int64(n)
	return nil
}

func (c *call) releaseBody() {
	if c.held > 0 {
		c.server.capacity.bodies.Release(c.caller.Key(), c.held)
	}
}
