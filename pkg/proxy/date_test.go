package proxy

import (
	"net/http"
	"testing"
	"time"
)

func TestAnAnswersDateIsThatOfItsSecond(t *testing.T) {
	var d dates
	begun := time.Date(2026, 11, 27, 9, 0, 0, 0, time.FixedZone("", 3600))
	for _, after := range []time.Duration{0, time.Second - 1, time.Second, 2 * time.Second, time.Second} {
		at := begun.Add(after)
		got, err := http.ParseTime(d.at(at)[0])
		if err != nil || !got.Equal(at.Truncate(time.Second)) {
			t.Errorf("%v: %v, %v", at, got, err)
		}
	}
}
