package admission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/cert"
)

// TestCertificatesThatSomebodyElseMakes is `--cert-dir`, as the overlay for
// cert-manager has it.
func TestCertificatesThatSomebodyElseMakes(t *testing.T) {
	dir := t.TempDir()
	registry := prometheus.NewRegistry()
	metrics := newMetrics(registry)
	if _, err := certificatesFrom(dir, metrics); err == nil || !strings.Contains(err.Error(), "--cert-dir") {
		t.Errorf("an empty directory: %v", err)
	}
	chain, key, err := cert.GenerateSelfSignedCertKey("countersign-webhook.countersign-system.svc", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"tls.crt": chain, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := certificatesFrom(dir, metrics)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if served, err := c.get(nil); err != nil || len(served.Certificate) == 0 {
		t.Errorf("nothing is served: %v", err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "countersign_certificate_expiry_timestamp_seconds" && family.GetMetric()[0].GetGauge().GetValue() > 0 {
			return
		}
	}
	t.Error("its end is not a metric")
}
