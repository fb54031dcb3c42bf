package sidecar

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/telemetry"
	"github.com/go-json-experiment/json"
)

// Status is what /status tells; it holds no secret.
type Status struct {
	ConfigHash string           `json:"configHash"`
	Upstreams  []UpstreamStatus `json:"upstreams"`
	// Policies is the number of policies; Authorization is enforce, logOnly or
	// none.
	Policies      int    `json:"policies"`
	Authorization string `json:"authorization"`
	// CredentialCacheSize is the number of role sessions in the cache.
	CredentialCacheSize int `json:"credentialCacheSize"`
	// Refused says why the newest auth-config is not in use.
	Refused string `json:"refused,omitempty"`
	// Warnings are what the auth-config allows and is probably not meant to.
	Warnings []string `json:"warnings,omitempty"`
}

// UpstreamStatus is one configured upstream.
type UpstreamStatus struct {
	Name      string `json:"name"`
	URL       string `json:"url"`
	Region    string `json:"region"`
	Service   string `json:"service"`
	Guardrail string `json:"guardrail"`
}

func statusOf(configs *liveconfig.Store, server *proxy.Server) Status {
	config := configs.Current().Config
	status := Status{
		ConfigHash: config.Hash, CredentialCacheSize: server.CredentialCacheSize(),
		Policies:      config.Authorizer.PolicyCount(),
		Authorization: "none", Refused: configs.Refused(), Warnings: config.Warnings,
	}
	if config.Authorizer.HasPolicies() {
		status.Authorization = string(config.Authorization.Mode)
	}
	for _, u := range config.Upstreams {
		status.Upstreams = append(status.Upstreams, UpstreamStatus{
			Name: u.Name, URL: u.URL.String(), Region: u.Region, Service: u.Service, Guardrail: string(u.Guardrail),
		})
	}
	return status
}

// adminHandler serves health, metrics and status.
func adminHandler(configs *liveconfig.Store, server *proxy.Server, metrics *telemetry.Metrics) http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
	mux.HandleFunc("GET /healthz", ok)
	// Ready means that an auth-config is in use and requests are accepted; it
	// depends on no network, so that an outage elsewhere restarts nobody.
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackPeer(r.RemoteAddr) || !proxy.IsLoopbackHost(r.Host) {
			http.Error(w, "status is shown on loopback only", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.MarshalWrite(w, statusOf(configs, server)); err != nil {
			return // the client is gone
		}
		_, _ = w.Write([]byte("\n"))
	})
	return mux
}

func isLoopbackPeer(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
