package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// largest is about the largest body that is allowed by default, in bytes.
const largest = 4<<20 - 4096

// many writes a body of one part again and again inside of a call's arguments.
func many(before, part, after string) string {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":`
	count := (largest - len(call) - len(before) - len(after)) / len(part)
	return call + before + strings.TrimSuffix(strings.Repeat(part, count), ",") + after + `}}`
}

// TestBodiesThatGrowWhenTheyAreReadFitTheContainersMemory sends what takes many times its
// length where it becomes values, many at once, in the memory of the container.
func TestBodiesThatGrowWhenTheyAreReadFitTheContainersMemory(t *testing.T) {
	numbered := func() string {
		var members strings.Builder
		for n := 0; members.Len() < largest-200; n++ {
			_, _ = fmt.Fprintf(&members, `"%d":%d,`, n, n)
		}
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x",` +
			strings.TrimSuffix(members.String(), ",") + `}}}`
	}
	for name, body := range map[string]string{
		"empty objects":        many(`{"a":[`, `{},`, `]}`),
		"lists of one number":  many(`{"a":[`, `[0],`, `]}`),
		"nested in each other": many(`{"a":`+strings.Repeat(`[`, 60), `1,`, strings.Repeat(`]`, 60)+`}`),
		"members":              numbered(),
		"escapes":              many(`{"text":"`, `\u00e9`, `"}`),
		"text that is read":    many(`{"text":"`, `x`, `"}`),
		"a set that is read":   many(`{"text":[`, `"x",`, `]}`),
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoad(t, memoryLimit)
			token := l.scene.issuer.Token(usualClaims(1))
			var sending sync.WaitGroup
			for range 16 {
				sending.Go(func() {
					response, err := l.client.Do(l.request(t, http.MethodPost, token, body))
					if err != nil {
						t.Errorf("no answer: %v", err)
						return
					}
					defer response.Body.Close()
					_, _ = io.Copy(io.Discard, response.Body)
				})
			}
			sending.Wait()
			if !l.call(t, l.scene.issuer.Token(usualClaims(2))) {
				t.Error("another caller is not served")
			}
			peak := residentPeak(t, l.scene.process)
			t.Logf("%d KiB were resident at the most", peak)
			if peak<<10 > memoryLimit {
				t.Errorf("%d KiB were resident", peak)
			}
		})
	}
}
