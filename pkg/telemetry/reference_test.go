package telemetry

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryMetricIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("operations.md", "metric")
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics()
	m.ObserveCredentialCache(func() int { return 0 })
	for _, difference := range doctable.Differences(namesOf(m.registry), table) {
		t.Error(difference)
	}
}

// namesOf are the names of our metrics, also of those that have no value yet.
func namesOf(registry *prometheus.Registry) []string {
	descriptions := make(chan *prometheus.Desc, 1024)
	registry.Describe(descriptions)
	close(descriptions)
	var names []string
	for description := range descriptions {
		_, rest, _ := strings.Cut(description.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		if strings.HasPrefix(name, "countersign_") {
			names = append(names, name)
		}
	}
	return names
}
