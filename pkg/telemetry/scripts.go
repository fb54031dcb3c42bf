package telemetry

import "github.com/prometheus/client_golang/prometheus"

// scriptMetrics are those of scripts for AWS's MCP server.
type scriptMetrics struct {
	read      *prometheus.CounterVec
	steps     prometheus.Histogram
	sessions  *prometheus.CounterVec
	exchanges *prometheus.CounterVec
	unseen    *prometheus.CounterVec
	stopped   *prometheus.CounterVec
	unread    *prometheus.CounterVec
}

// The sessions that a script is sent with, or why it is not.
const (
	ScriptSessionNarrowed = "script"
	ScriptSessionRole     = "role"
	ScriptSessionTooLarge = "too_large"
	ScriptSessionPacked   = "packed_too_large"
)

func newScriptMetrics(counter func(name, help string, labels ...string) *prometheus.CounterVec) scriptMetrics {
	const first, factor, count = 10, 4, 8
	return scriptMetrics{
		read: counter(
			"scripts_total",
			"Scripts by what came of reading them: complete, or the cause for which they are incomplete.",
			"upstream", "result",
		),
		steps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "countersign_script_analysis_steps",
			Help:    "Steps that reading a script took; 200000 at most.",
			Buckets: prometheus.ExponentialBuckets(first, factor, count),
		}),
		sessions: counter(
			"script_sessions_total",
			"Scripts that were allowed, by the session they are sent with: script, role, or none because its policy "+
				"is too_large, or packed_too_large for STS.",
			"upstream", "session",
		),
		exchanges: counter(
			"script_exchanges_total",
			"Those of countersign_sts_exchanges_total that were for the session of one script.",
			"result",
		),
		unseen: counter(
			"script_unseen_calls_total",
			"Calls that AWS says a script made and that were not seen in it.",
			"upstream",
		),
		stopped: counter(
			"script_stopped_calls_total",
			"Calls of scripts that their session policy stopped.",
			"upstream",
		),
		unread: counter(
			"script_results_unread_total",
			"Results of scripts that are too long to be compared with what was seen in the script.",
			"upstream",
		),
	}
}

func (s *scriptMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{s.read, s.steps, s.sessions, s.exchanges, s.unseen, s.stopped, s.unread}
}

// ScriptRead counts a script; cause is empty for one that is complete.
func (m *Metrics) ScriptRead(upstream, cause string, steps int) {
	if cause == "" {
		cause = "complete"
	}
	m.scripts.read.WithLabelValues(upstream, cause).Inc()
	m.scripts.steps.Observe(float64(steps))
}

// ScriptSession counts the session of a script that was allowed.
func (m *Metrics) ScriptSession(upstream, session string) {
	m.scripts.sessions.WithLabelValues(upstream, session).Inc()
}

// ScriptCalls counts calls that AWS reports of a script: unseen, and stopped by the
// session policy.
func (m *Metrics) ScriptCalls(upstream string, unseen, stopped int) {
	m.scripts.unseen.WithLabelValues(upstream).Add(float64(unseen))
	m.scripts.stopped.WithLabelValues(upstream).Add(float64(stopped))
}

// ScriptResultUnread counts a result that is too long to be looked at.
func (m *Metrics) ScriptResultUnread(upstream string) {
	m.scripts.unread.WithLabelValues(upstream).Inc()
}
