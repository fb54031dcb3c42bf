package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryFieldIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("operations.md", "field")
	if err != nil {
		t.Fatal(err)
	}
	full := Record{
		Time: time.Now(), RequestID: "x", TraceID: "x", Caller: "x", Issuer: "x", Actor: "x", SessionName: "x", Role: "x", Upstream: "x", HTTPMethod: "x",
		Method: "x", Subjects: []string{"x"}, Decision: "x", Reason: "x", Failure: "x", NotEnforced: true, Policies: []string{"x"},
		Errors: []string{"x"}, Status: 1, Duration: 1, UpstreamRequestID: "x", AWS: &AWS{}, Arguments: jsontext.Value("{}"),
	}
	several, long := full, full
	several.Subjects = []string{"x", "y"}
	long.Arguments = jsontext.Value(`"` + strings.Repeat("x", maxArguments) + `"`)
	var written []string
	for _, record := range []Record{full, several, long} {
		var object map[string]jsontext.Value
		if err := json.Unmarshal(record.append(nil), &object); err != nil {
			t.Fatal(err)
		}
		for name := range object {
			if !slices.Contains(written, name) {
				written = append(written, name)
			}
		}
	}
	for _, difference := range doctable.Differences(written, table) {
		t.Error(difference)
	}
}
