// Package telemetry holds the sidecar's Prometheus metrics and OpenTelemetry
// traces. Labels take values from bounded sets only.
package telemetry

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Other is the label of values outside the bounded set.
const Other = "other"

// maxTools bounds the tool names that become labels.
const maxTools = 500

// Metrics are all metrics of one sidecar.
type Metrics struct {
	registry *prometheus.Registry

	requests              *prometheus.CounterVec
	requestDuration       *prometheus.HistogramVec
	upstreamDuration      *prometheus.HistogramVec
	decisions             *prometheus.CounterVec
	authentications       *prometheus.CounterVec
	exchanges             *prometheus.CounterVec
	exchangeDuration      prometheus.Histogram
	tokenExchanges        *prometheus.CounterVec
	tokenExchangeDuration prometheus.Histogram
	stsConnections        *prometheus.CounterVec
	overloads             *prometheus.CounterVec
	evictions             *prometheus.CounterVec
	reloads               *prometheus.CounterVec
	reloadSuccess         prometheus.Gauge
	inFlight              prometheus.Gauge
	streams               prometheus.Gauge
	eventFields           *prometheus.CounterVec
	emptyLists            *prometheus.CounterVec
	toolDrifts            *prometheus.CounterVec
	scripts               scriptMetrics
	// refused counts auth-configs that were not taken, for who may know numbers only.
	refused atomic.Int64

	tools knownTools
}

// operationBuckets are those of OpenTelemetry's mcp.server.operation.duration.
var operationBuckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// NewMetrics registers everything in a registry of its own.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "countersign_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(
			prometheus.HistogramOpts{Name: "countersign_" + name, Help: help, Buckets: operationBuckets},
			labels,
		)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "countersign_" + name, Help: help})
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter(
			"requests_total",
			"HTTP requests by upstream, MCP method and status.",
			"upstream",
			"method",
			"code",
		),
		requestDuration: histogram(
			"request_duration_seconds",
			"Time from a request's arrival to the end of its answer; streams of GET and subscriptions/listen are "+
				"left out.",
			"upstream",
			"method",
		),
		upstreamDuration: histogram(
			"upstream_duration_seconds",
			"Time from a request's dispatch to the upstream's response header.",
			"upstream",
		),
		decisions: counter(
			"decisions_total",
			"Decisions on MCP messages.",
			"decision",
			"reason",
			"upstream",
			"method",
			"tool",
			"enforced",
		),
		authentications: counter("authentications_total", "Outcomes of identifying the caller.", "result"),
		exchanges:       counter("sts_exchanges_total", "Exchanges of a token for credentials with STS.", "result"),
		exchangeDuration: prometheus.NewHistogram(
			prometheus.HistogramOpts{
				Name:    "countersign_sts_exchange_duration_seconds",
				Help:    "Time of one exchange with STS.",
				Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
			},
		),
		tokenExchanges: counter(
			"token_exchanges_total",
			"Exchanges of a caller's token with the identity provider for the one that STS gets.",
			"result",
		),
		tokenExchangeDuration: prometheus.NewHistogram(
			prometheus.HistogramOpts{
				Name:    "countersign_token_exchange_duration_seconds",
				Help:    "Time of one exchange with the identity provider.",
				Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
			},
		),
		stsConnections: counter(
			"sts_connections_refused_total",
			"The Pod's own connections to AWS STS that egress.denySTS refused, by what told them.",
			"by",
		),
		overloads: counter(
			"overload_total",
			"Requests that were refused for want of something that is bounded.",
			"what",
		),
		evictions: counter(
			"evictions_total",
			"What was forgotten of callers before its time, for want of room.",
			"cache",
		),
		reloads: counter("config_reloads_total", "Auth-configs that were read, by result.", "result"),
		reloadSuccess: gauge(
			"config_last_reload_successful",
			"1 when the newest auth-config is in use, 0 when it was refused.",
		),
		inFlight: gauge("requests_in_flight", "Requests being served, streams left out."),
		eventFields: counter(
			"event_fields_dropped_total",
			"Fields of upstreams' events that were left out because they hold the end of a line.",
			"upstream",
		),
		emptyLists: counter(
			"empty_lists_total",
			"Lists of tools that AWS's server gave without an entry, as it does under throttling.",
			"upstream",
		),
		toolDrifts: counter(
			"tool_drift_total",
			"Tools in lists that are not as tools.lock has them, because they are new or changed.",
			"upstream",
			"drift",
		),
		streams: gauge("streams_open", "Streams of GET and subscriptions/listen being served."),
		scripts: newScriptMetrics(counter),
	}
	m.registry.MustRegister(m.scripts.collectors()...)
	m.registry.MustRegister(
		m.requests,
		m.requestDuration,
		m.upstreamDuration,
		m.decisions,
		m.authentications,
		m.exchanges,
		m.exchangeDuration,
		m.tokenExchanges,
		m.tokenExchangeDuration,
		m.stsConnections,
		m.overloads,
		m.evictions,
		m.reloads,
		m.reloadSuccess,
		m.inFlight,
		m.streams,
		m.eventFields,
		m.emptyLists,
		m.toolDrifts,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// Counters that never moved are worth seeing as zero.
	for _, result := range []string{
		"success", "access_denied", "invalid_token", "identity_provider", "policy_too_large", "unavailable", "error",
	} {
		m.exchanges.WithLabelValues(result)
		m.scripts.exchanges.WithLabelValues(result)
	}
	for _, result := range []string{
		"success", "invalid_grant", "interaction_required", "access_denied", "misconfigured", "unavailable",
	} {
		m.tokenExchanges.WithLabelValues(result)
	}
	for _, what := range []string{
		"arriving", "requests", "streams", "rate", "bodies", "parsing", "upstream", "upstreamStreams", "connections",
	} {
		m.overloads.WithLabelValues(what)
	}
	for _, cache := range []string{
		"tokens", "roles", "credentials", "exchangedTokens", "exchangeFailures", "challenges", "rates", "tasks",
	} {
		m.evictions.WithLabelValues(cache)
	}
	for _, by := range []string{"name", "address"} {
		m.stsConnections.WithLabelValues(by)
	}
	for _, result := range []string{"success", "refused"} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(
		m.registry,
		promhttp.HandlerOpts{
			Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
		},
	)
}

// ObserveCredentialCache adds the size of the credential cache.
func (m *Metrics) ObserveCredentialCache(size func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{
			Name: "countersign_credential_cache_entries",
			Help: "Role sessions in the credential cache.",
		},
		func() float64 { return float64(size()) },
	))
}

// Exchanged implements credentials.Observer.
func (m *Metrics) Exchanged(result string, took time.Duration, narrowed bool) {
	if narrowed {
		m.scripts.exchanges.WithLabelValues(result).Inc()
	}
	m.exchanges.WithLabelValues(result).Inc()
	m.exchangeDuration.Observe(took.Seconds())
}

// TokenExchanged implements tokenexchange.Observer.
func (m *Metrics) TokenExchanged(result string, took time.Duration) {
	m.tokenExchanges.WithLabelValues(result).Inc()
	m.tokenExchangeDuration.Observe(took.Seconds())
}

// STSConnectionRefused counts a connection that was refused by its server "name" or by
// its "address".
func (m *Metrics) STSConnectionRefused(by string) { m.stsConnections.WithLabelValues(by).Inc() }

// Evicted counts what was forgotten for want of room.
func (m *Metrics) Evicted(cache string) { m.evictions.WithLabelValues(cache).Inc() }

// Overloaded counts a request, or a connection, that was refused for want of something
// that is bounded: see the labels in NewMetrics.
func (m *Metrics) Overloaded(what string) { m.overloads.WithLabelValues(what).Inc() }

// Authenticated counts an outcome: success, token, scope, unavailable.
func (m *Metrics) Authenticated(result string) { m.authentications.WithLabelValues(result).Inc() }

// Reloaded notes whether an auth-config was taken.
func (m *Metrics) Reloaded(ok bool) {
	if ok {
		m.reloads.WithLabelValues("success").Inc()
		m.reloadSuccess.Set(1)
		return
	}
	m.reloads.WithLabelValues("refused").Inc()
	m.refused.Add(1)
	m.reloadSuccess.Set(0)
}

// ReloadsRefused counts auth-configs that were not taken.
func (m *Metrics) ReloadsRefused() int { return int(m.refused.Load()) }

// RequestStarted counts a request in flight, until RequestEnded.
func (m *Metrics) RequestStarted() { m.inFlight.Inc() }

// RequestEnded undoes RequestStarted.
func (m *Metrics) RequestEnded() { m.inFlight.Dec() }

// StreamStarted counts a stream.
func (m *Metrics) StreamStarted() { m.streams.Inc() }

// StreamEnded undoes StreamStarted.
func (m *Metrics) StreamEnded() { m.streams.Dec() }

// Requested counts a request that is done; method is a label from a bounded set.
func (m *Metrics) Requested(upstream, method string, status int, took time.Duration, stream bool) {
	m.RequestedIn("", upstream, method, status, took, stream)
}

// RequestedIn is Requested for a request that is traced: its trace is the exemplar.
func (m *Metrics) RequestedIn(traceID, upstream, method string, status int, took time.Duration, stream bool) {
	m.requests.WithLabelValues(upstream, method, statusLabel(status)).Inc()
	if stream {
		return
	}
	observer := m.requestDuration.WithLabelValues(upstream, method)
	if with, ok := observer.(prometheus.ExemplarObserver); ok && traceID != "" {
		with.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": traceID})
		return
	}
	observer.Observe(took.Seconds())
}

// DroppedEventFields counts fields of events that were left out.
func (m *Metrics) DroppedEventFields(upstream string, n int) {
	m.eventFields.WithLabelValues(upstream).Add(float64(n))
}

// EmptyList counts a list of tools without an entry.
func (m *Metrics) EmptyList(upstream string) { m.emptyLists.WithLabelValues(upstream).Inc() }

// ToolDrifted counts a tool in a list that is "new" or "changed" beside what is pinned.
func (m *Metrics) ToolDrifted(upstream, drift string) {
	m.toolDrifts.WithLabelValues(upstream, drift).Inc()
}

// UpstreamAnswered observes the time to the upstream's header.
func (m *Metrics) UpstreamAnswered(upstream string, took time.Duration) {
	m.upstreamDuration.WithLabelValues(upstream).Observe(took.Seconds())
}

// Decided counts a decision; decision is allow or deny, method a label from a
// bounded set.
func (m *Metrics) Decided(decision, reason, upstream, method, tool string, enforced bool) {
	m.decisions.WithLabelValues(decision, reason, upstream, method, m.tools.label(tool), strconv.FormatBool(enforced)).
		Inc()
}

// KnowTool lets a tool's name become a label: a list has shown it.
func (m *Metrics) KnowTool(name string) { m.tools.add(name) }

// knownTools is read on each decision and written only for new names.
type knownTools struct {
	mu    sync.RWMutex
	names map[string]struct{}
}

func (k *knownTools) add(name string) {
	k.mu.RLock()
	_, known := k.names[name]
	full := len(k.names) >= maxTools
	k.mu.RUnlock()
	// The protocol recommends 1 to 128 characters.
	if known || full || len(name) > 128 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.names == nil {
		k.names = map[string]struct{}{}
	}
	k.names[name] = struct{}{}
}

func (k *knownTools) label(name string) string {
	if name == "" {
		return ""
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if _, ok := k.names[name]; ok {
		return name
	}
	return Other
}

// statusLabel avoids formatting the usual ones.
func statusLabel(status int) string {
	if status == http.StatusOK {
		return "200"
	}
	return strconv.Itoa(status)
}
