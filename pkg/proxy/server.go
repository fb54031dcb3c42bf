package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/sessionid"
	"github.com/countersign-io/countersign/pkg/sigv4"
	"github.com/countersign-io/countersign/pkg/telemetry"
	"golang.org/x/time/rate"
)

// Options are what a Server works with.
type Options struct {
	// Configs holds the auth-config in use, which must be there before a request
	// comes.
	Configs *liveconfig.Store
	// Metrics is required; Tracer may be nil.
	Metrics *telemetry.Metrics
	Tracer  *telemetry.Tracer
	// Meter may be nil.
	Meter *telemetry.Meter
	// Audit receives decision records.
	Audit *audit.Log
	// Recent and Denials keep the newest decisions for the admin port; they may be nil.
	Recent  *audit.Recent
	Denials *authorize.Denials
	// SessionKeys bind MCP sessions to callers.
	SessionKeys *sessionid.Keys
	// LoopbackOnly is set when the plain listener has a loopback address: then
	// the Host header must name one, against DNS rebinding.
	LoopbackOnly bool
}

// Server serves MCP requests: it is the pipeline with what outlives one request.
type Server struct {
	options   Options
	tasks     *ownership
	seenTools seenTools
	// newTools tells some of the tools that nobody pinned.
	newTools    rate.Sometimes
	credentials *credentials.Cache
	challenged  challenged
	signer      *sigv4.Signer

	capacity *capacity
	// overloads tells some of what was refused for want of capacity.
	overloads rate.Sometimes
	heldLists *mcp.HoldBudget
	listeners *listeners
	sequence  atomic.Uint64
	dates     dates
	idPrefix  string

	// stopping ends streams when the server shuts down.
	stopping context.Context //nolint:containedctx // the server's own life
	stop     context.CancelFunc
	// ending has connections end with their answers.
	ending atomic.Bool
}

// New makes a server.
func New(options Options) *Server {
	evicted := func(cache string) func() { return func() { options.Metrics.Evicted(cache) } }
	s := &Server{
		options: options, tasks: newOwnership(evicted("tasks")), signer: sigv4.NewSigner(), idPrefix: newIDPrefix(),
		challenged: newChallenged(evicted("challenges")), capacity: newCapacity(options.Metrics),
		overloads: rate.Sometimes{First: 10, Interval: time.Second},
		newTools:  rate.Sometimes{First: 10, Interval: newToolInterval},
		heldLists: mcp.NewHoldBudget(maxHeldLists), listeners: newListeners(),
	}
	s.credentials = credentials.NewCache(options.Metrics)
	options.Configs.OnSwap(s.configChanged)
	s.stopping, s.stop = context.WithCancel(context.Background())
	options.Metrics.ObserveCredentialCache(s.credentials.Len)
	return s
}

// EndStreams makes every GET and subscriptions/listen stream end.
func (s *Server) EndStreams() { s.stop() }

// EndConnections has every answer from now on say that its connection ends with it.
// net/http closes those that are idle when it stops serving, and what a client sends
// into one at that moment is lost.
func (s *Server) EndConnections() { s.ending.Store(true) }

// MaxConnections is how many connections each listener may have.
func (s *Server) MaxConnections() int {
	return s.options.Configs.Current().Config.Limits.MaxConnections
}

// CredentialCacheSize is the number of role sessions in the cache.
func (s *Server) CredentialCacheSize() int { return s.credentials.Len() }

// newIDPrefix tells the request ids of one process from those of another.
func newIDPrefix() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:]) + "-"
}
