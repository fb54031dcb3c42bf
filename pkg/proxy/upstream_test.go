package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// plainUpstream is an upstream that does what a test wants.
func plainUpstream(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + "/mcp"
}

// jsonUpstream answers every request with one body.
func jsonUpstream(t *testing.T, body string) string {
	return plainUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	})
}
