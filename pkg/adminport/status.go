package adminport

import (
	"log/slog"
	"time"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// Status is what /status tells; it holds no secret. Without the token it has numbers and the
// hash of the auth-config only.
type Status struct {
	ConfigHash string `json:"configHash"`
	// Policies is the number of policies, CredentialCacheSize that of role sessions in the
	// cache.
	Policies            int `json:"policies"`
	CredentialCacheSize int `json:"credentialCacheSize"`
	// Counts are further numbers.
	Counts Counts `json:"counts"`
	// Details are nil without the token.
	*Details
}

// Counts are numbers that tell nothing of callers, names or places.
type Counts struct {
	Upstreams    int `json:"upstreams"`
	RoleMappings int `json:"roleMappings"`
	Warnings     int `json:"warnings"`
	// ReloadsRefused counts auth-configs that were not taken.
	ReloadsRefused int `json:"reloadsRefused"`
	// Decisions are those of the last five minutes.
	Decisions audit.Counts `json:"decisions"`
}

// Details are for who brings the token.
type Details struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Pod     Pod       `json:"pod"`
	// Identity is bearer or serviceAccount; Issuer is that of callers' tokens. Exchange
	// reports whether the caller's token is exchanged in front of STS.
	Identity string `json:"identity"`
	Issuer   string `json:"issuer,omitempty"`
	Exchange bool   `json:"exchange"`

	Upstreams []UpstreamStatus `json:"upstreams"`
	// Authorization is enforce, logOnly or none.
	Authorization string `json:"authorization"`
	// Refused says why the newest auth-config is not in use.
	Refused string `json:"refused,omitempty"`
	// Warnings are what the auth-config allows and is probably not meant to.
	Warnings []string           `json:"warnings,omitempty"`
	Metrics  *telemetry.Summary `json:"metrics,omitempty"`
}

// Pod is where the sidecar runs; all fields are empty outside a cluster.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// UpstreamStatus is one configured upstream.
type UpstreamStatus struct {
	Name      string `json:"name"`
	URL       string `json:"url"`
	Region    string `json:"region"`
	Service   string `json:"service"`
	Guardrail string `json:"guardrail"`
}

// recentMinutes is over how many minutes decisions are counted.
const recentMinutes = 5

func (h *handler) status(withDetails bool) Status {
	config := h.options.Configs.Current().Config
	status := Status{
		ConfigHash: config.Hash, Policies: config.Authorizer.PolicyCount(),
		CredentialCacheSize: h.options.CredentialCacheSize(),
		Counts: Counts{
			Upstreams: len(config.Upstreams), RoleMappings: len(config.AWSSTS.RoleMappings),
			Warnings: len(config.Warnings), Decisions: h.options.Recent.Since(time.Now(), recentMinutes),
			ReloadsRefused: h.options.Metrics.ReloadsRefused(),
		},
	}
	if withDetails {
		summary, err := h.options.Metrics.Summary()
		if err != nil {
			slog.Warn("metrics cannot be summed up", "error", err)
		}
		status.Details = h.details(summary)
	}
	return status
}

func (h *handler) details(summary *telemetry.Summary) *Details {
	config := h.options.Configs.Current().Config
	d := &Details{
		Version: h.options.Version, Started: h.started, Identity: string(config.Identity.Source),
		Pod:    Pod{Namespace: h.options.Pod.Namespace, Name: h.options.Pod.Name},
		Issuer: config.Identity.OIDC.Issuer, Exchange: config.Identity.OIDC.Exchange != nil,
		Authorization: "none", Refused: h.options.Configs.Refused(), Warnings: config.Warnings, Metrics: summary,
	}
	if config.Authorizer.HasPolicies() {
		d.Authorization = string(config.Authorization.Mode)
	}
	for _, u := range config.Upstreams {
		d.Upstreams = append(d.Upstreams, UpstreamStatus{
			Name: u.Name, URL: u.URL.String(), Region: u.Region, Service: u.Service, Guardrail: string(u.Guardrail),
		})
	}
	return d
}
