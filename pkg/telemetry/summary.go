package telemetry

import (
	"fmt"
	"math"
	"strconv"

	dto "github.com/prometheus/client_model/go"
)

// UpstreamSummary is what became of the requests for one upstream since the sidecar began.
type UpstreamSummary struct {
	Requests uint64 `json:"requests"`
	// Failed are those of which the sidecar or the upstream gave 500 to 599.
	Failed uint64 `json:"failed"`
	// Median and P99 are times to the upstream's response header in seconds, worked out from
	// the buckets of a histogram; 0 before the first answer.
	Median float64 `json:"medianSeconds"`
	P99    float64 `json:"p99Seconds"`
}

// Summary is what the metrics say at one moment.
type Summary struct {
	// Upstreams by name, Exchanges, TokenExchanges and Scripts by result.
	Upstreams      map[string]*UpstreamSummary `json:"upstreams"`
	Exchanges      map[string]uint64           `json:"exchanges"`
	TokenExchanges map[string]uint64           `json:"tokenExchanges"`
	Scripts        map[string]uint64           `json:"scripts"`
	InFlight       uint64                      `json:"requestsInFlight"`
	Streams        uint64                      `json:"streams"`
	// ReloadsRefused counts auth-configs that were refused.
	ReloadsRefused uint64 `json:"reloadsRefused"`
}

// Summary sums the metrics up.
func (m *Metrics) Summary() (*Summary, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	s := &Summary{
		Upstreams: map[string]*UpstreamSummary{}, Exchanges: map[string]uint64{},
		TokenExchanges: map[string]uint64{}, Scripts: map[string]uint64{},
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			s.add(family.GetName(), metric)
		}
	}
	return s, nil
}

func (s *Summary) add(name string, metric *dto.Metric) {
	count := uint64(metric.GetCounter().GetValue())
	switch name {
	case "countersign_requests_total":
		u := s.upstream(metric)
		u.Requests += count
		if code, err := strconv.Atoi(label(metric, "code")); err == nil && code >= 500 {
			u.Failed += count
		}
	case "countersign_upstream_duration_seconds":
		u := s.upstream(metric)
		const half, nearlyAll = 0.5, 0.99
		u.Median, u.P99 = quantile(metric.GetHistogram(), half), quantile(metric.GetHistogram(), nearlyAll)
	case "countersign_sts_exchanges_total":
		s.Exchanges[label(metric, "result")] += count
	case "countersign_token_exchanges_total":
		s.TokenExchanges[label(metric, "result")] += count
	case "countersign_scripts_total":
		s.Scripts[label(metric, "result")] += count
	case "countersign_requests_in_flight":
		s.InFlight = uint64(metric.GetGauge().GetValue())
	case "countersign_streams_open":
		s.Streams = uint64(metric.GetGauge().GetValue())
	case "countersign_config_reloads_total":
		if label(metric, "result") == "refused" {
			s.ReloadsRefused = count
		}
	}
}

func (s *Summary) upstream(metric *dto.Metric) *UpstreamSummary {
	name := label(metric, "upstream")
	if s.Upstreams[name] == nil {
		s.Upstreams[name] = &UpstreamSummary{}
	}
	return s.Upstreams[name]
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// quantile interpolates within a bucket, as Prometheus' histogram_quantile does.
// https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
func quantile(h *dto.Histogram, q float64) float64 {
	rank := q * float64(h.GetSampleCount())
	if rank == 0 {
		return 0
	}
	lower, below := 0.0, 0.0
	for _, bucket := range h.GetBucket() {
		upper, upTo := bucket.GetUpperBound(), float64(bucket.GetCumulativeCount())
		if upTo >= rank && !math.IsInf(upper, 1) {
			return lower + (upper-lower)*(rank-below)/(upTo-below)
		}
		if !math.IsInf(upper, 1) {
			lower, below = upper, upTo
		}
	}
	return lower
}
