package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-io/countersign/pkg/inject"
)

// The outcomes of a Pod's admission.
type outcome string

const (
	// outcomeInjected: the Pod was given the sidecar, or brought up to date.
	outcomeInjected outcome = "injected"
	// outcomeUnchanged: the Pod had the sidecar already.
	outcomeUnchanged outcome = "unchanged"
	// outcomeSkipped: the Pod does not ask.
	outcomeSkipped outcome = "skipped"
	outcomeRefused outcome = "refused"
	// outcomeError: the cluster could not be read, or the request was broken.
	outcomeError outcome = "error"
)

type metrics struct {
	admissions *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	resolving  prometheus.Histogram
	configMaps *prometheus.CounterVec
	expiry     *prometheus.GaugeVec
	copies     *prometheus.CounterVec
}

// admissionBuckets are in seconds; a cached auth-config takes far below 1 ms.
var admissionBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_admissions_total",
			Help: "Pods by outcome (injected, unchanged, skipped, refused, error) and code of the refusal.",
		}, []string{"outcome", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "countersign_admission_duration_seconds", Help: "Time that a Pod's admission took here.",
			Buckets: admissionBuckets,
		}, []string{"outcome"}),
		resolving: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "countersign_config_resolve_duration_seconds",
			Help: "Time from the annotation to a validated auth-config.", Buckets: admissionBuckets,
		}),
		configMaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_config_admissions_total",
			Help: "Auth-configs that were applied, by outcome (valid, invalid).",
		}, []string{"outcome"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_certificate_expiry_timestamp_seconds",
			Help: "When the webhook's certificate ends (ca, serving).",
		}, []string{"certificate"}),
		copies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_shared_config_writes_total",
			Help: "Copies of shared auth-configs written, by operation (create, update, delete).",
		}, []string{"operation"}),
	}
	registry.MustRegister(m.admissions, m.duration, m.resolving, m.configMaps, m.expiry, m.copies)
	return m
}

func (m *metrics) admitted(o outcome, code inject.Code, took time.Duration) {
	m.admissions.WithLabelValues(string(o), string(code)).Inc()
	m.duration.WithLabelValues(string(o)).Observe(took.Seconds())
}

func (m *metrics) resolved(took time.Duration) { m.resolving.Observe(took.Seconds()) }

func (m *metrics) configAdmitted(valid bool) {
	result := "invalid"
	if valid {
		result = "valid"
	}
	m.configMaps.WithLabelValues(result).Inc()
}

func (m *metrics) certificates(ca, leaf time.Time) {
	m.certificate("ca", ca)
	m.certificate("serving", leaf)
}

func (m *metrics) certificate(name string, end time.Time) {
	m.expiry.WithLabelValues(name).Set(float64(end.Unix()))
}

func (m *metrics) copyWritten(operation string) { m.copies.WithLabelValues(operation).Inc() }
