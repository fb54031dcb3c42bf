package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask sends a request without a token, as browsers do before a login.
func (b *bed) ask(method, path string, edits ...edit) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.front.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range edits {
		e(r)
	}
	recorder := httptest.NewRecorder()
	r.RequestURI, r.RemoteAddr = path, "10.1.2.3:4567"
	b.server.ServeHTTP(recorder, r)
	return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
}

const metadataPath = "/.well-known/oauth-protected-resource/mcp"

func TestAnyPageMayReadTheMetadata(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON})
	origin := withHeader("Origin", "https://app.example.com")
	if got := b.ask(http.MethodGet, metadataPath, origin); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", got.status, got.header)
	}
	got := b.ask(http.MethodOptions, metadataPath, origin, withHeader("Access-Control-Request-Method", "GET"))
	if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Headers") != "MCP-Protocol-Version" || got.header.Get("Access-Control-Allow-Methods") != "GET" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := b.ask(http.MethodOptions, "/mcp", origin, withHeader("Access-Control-Request-Method", "POST")); got.status != http.StatusForbidden {
		t.Errorf("a page of another origin: %d", got.status)
	}
}

func TestAPageThatTheConfigNamesMayCall(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, oidc: `, allowedOrigins: ["https://app.example.com"]`})
	origin := withHeader("Origin", "https://app.example.com")
	preflight := b.ask(http.MethodOptions, "/mcp", origin, withHeader("Access-Control-Request-Method", "POST"),
		withHeader("Access-Control-Request-Headers", "authorization, mcp-param-region, x-evil"))
	allowed := preflight.header.Get("Access-Control-Allow-Headers")
	if preflight.status != http.StatusNoContent || preflight.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		!strings.Contains(allowed, "Authorization") || !strings.Contains(allowed, "Mcp-Param-Region") || strings.Contains(strings.ToLower(allowed), "evil") {
		t.Errorf("%d %v", preflight.status, preflight.header)
	}
	got := b.ask(http.MethodPost, "/mcp", origin)
	if got.status != http.StatusUnauthorized || got.header.Get("Vary") != "Origin" || !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := b.ask(http.MethodPost, "/mcp", withHeader("Origin", "https://evil.example.com")); got.status != http.StatusForbidden || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another page: %d %v", got.status, got.header)
	}
}

func TestAChallengeTellsWhatAClientNeeds(t *testing.T) {
	b := newBed(t, bedOptions{mcp: statelessJSON, oidc: `, requiredScopes: [mcp], scopes: [openid, mcp]`})
	if got := b.ask(http.MethodPost, "/mcp").header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="mcp"`) || strings.Contains(got, "error") {
		t.Errorf("without a token: %s", got)
	}
	if got := b.ask(http.MethodPost, "/mcp", withHeader("Authorization", "Bearer x.y.z")).header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="mcp"`) || !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("with a bad one: %s", got)
	}
	if got := b.ask(http.MethodGet, metadataPath); !strings.Contains(got.body, `"scopes_supported":["openid","mcp"]`) {
		t.Errorf("%s", got.body)
	}
}

func TestATrustedProxySaysWhatClientsCalled(t *testing.T) {
	forwarded := []edit{withHeader("X-Forwarded-Proto", "https"), withHeader("X-Forwarded-Host", "mcp.example.com")}
	for name, c := range map[string]struct{ oidc, want string }{
		"one that is trusted":  {`, trustedProxies: ["10.0.0.0/8"]`, `"resource":"https://mcp.example.com/mcp"`},
		"one that is not":      {`, trustedProxies: ["192.0.2.0/24"]`, `"resource":"http://127.0.0.1`},
		"none that is trusted": {``, `"resource":"http://127.0.0.1`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, bedOptions{mcp: statelessJSON, oidc: c.oidc})
			if got := b.ask(http.MethodGet, metadataPath, forwarded...); !strings.Contains(got.body, c.want) {
				t.Errorf("%s", got.body)
			}
		})
	}
}
