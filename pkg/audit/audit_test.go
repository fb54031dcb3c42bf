package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

func TestWhatARecordHolds(t *testing.T) {
	var text bytes.Buffer
	NewLog(&text).Write(&Record{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), RequestID: "r", TraceID: "t", Caller: "c", Issuer: "i", SessionName: "s", Role: "role",
		Upstream: "u", HTTPMethod: "POST", Method: "tools/call", Subjects: []string{"x"}, Decision: Deny, Reason: "policy", NotEnforced: true,
		Policies: []string{"a", "b"}, Errors: []string{"e"}, Status: 200, Duration: 1500 * time.Microsecond, UpstreamRequestID: "q",
	})
	want := `{"time":"2026-01-02T03:04:05.000006Z","requestId":"r","traceId":"t","caller":"c","issuer":"i","sessionName":"s","role":"role","upstream":"u","httpMethod":"POST","method":"tools/call","tool":"x","decision":"deny","reason":"policy","enforced":false,"policies":["a","b"],"errors":["e"],"status":200,"durationMs":1.5,"upstreamRequestId":"q"}` + "\n"
	if text.String() != want {
		t.Errorf("got  %s\nwant %s", text.String(), want)
	}
}

func TestLongArgumentsAreCut(t *testing.T) {
	var text bytes.Buffer
	NewLog(&text).Write(&Record{Arguments: jsontext.Value(`{"a":"` + strings.Repeat("x", 10000) + `"}`)})
	var record map[string]any
	if err := json.Unmarshal(text.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if cut, ok := record["argumentsTruncated"].(string); !ok || len(cut) > maxArguments || len(cut) < 1000 || record["arguments"] != nil {
		t.Errorf("%d bytes", len(text.String()))
	}
}

func TestAWriterThatFailsDoesNotStopRequests(*testing.T) {
	log := NewLog(failing{})
	log.Write(&Record{})
	log.Write(&Record{})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }
