package proxy_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

func TestTheUpstreamIsReachedOverHTTP2WithTheRootsOfTheConfig(t *testing.T) {
	var mu sync.Mutex
	versions, connections := map[string]int{}, map[string]bool{}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		versions[r.Proto]++
		connections[r.RemoteAddr] = true
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	defer upstream.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	b := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp", files: map[string]string{"ca.pem": string(ca)}})
	token := b.token("alice", nil)
	for i := range 5 {
		if got := b.post(token, callTool(i, "echo", "{}")); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if versions["HTTP/2.0"] != 5 || len(connections) != 1 {
		t.Errorf("versions %v, %d connections", versions, len(connections))
	}
	without := newBed(t, bedOptions{upstreamURL: upstream.URL + "/mcp"})
	if got := without.post(without.token("alice", nil), callTool(1, "echo", "{}")); got.status != http.StatusBadGateway {
		t.Errorf("a certificate that nobody vouches for: %d", got.status)
	}
}
