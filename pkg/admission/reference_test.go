package admission

import (
	"os"
	"regexp"
	"testing"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryMetricIsDocumented(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`"(countersign_[a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		names = append(names, m[1])
	}
	table, err := doctable.FirstColumn("webhook.md", "metric")
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range doctable.Differences(names, table) {
		t.Error(difference)
	}
}
