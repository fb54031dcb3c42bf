package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The headers of CORS.
// https://fetch.spec.whatwg.org/#http-cors-protocol
const (
	headerAllowOrigin = "Access-Control-Allow-Origin"
	maxAge            = "600"
)

// allowOrigin reports whether a page of the request's Origin may call: one of the
// Host's own, or one that the auth-config names, which gets what its browser needs
// to read the answer.
func allowOrigin(w http.ResponseWriter, r *http.Request, allowed []string) bool {
	if len(allowed) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	case slices.Contains(allowed, origins[0]):
		w.Header().Set(headerAllowOrigin, origins[0])
		w.Header().Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate")
		return true
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// isPreflight reports whether a browser asks what it may send. It sends no token
// with that.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// allowedRequestHeaders are those that clients of MCP send; beside them every
// header that begins with Mcp- is allowed, of which names come from tools.
const allowedRequestHeaders = "Authorization, Content-Type, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, " +
	"Mcp-Method, Mcp-Name"

func answerPreflight(w http.ResponseWriter, r *http.Request) {
	names := allowedRequestHeaders
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if strings.HasPrefix(name, "Mcp-Param-") && len(name) <= 128 {
			names += ", " + name
		}
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", names)
	w.Header().Set("Access-Control-Max-Age", maxAge)
	w.WriteHeader(http.StatusNoContent)
}
