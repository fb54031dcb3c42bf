package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/liveconfig"
)

// ServeHTTP serves the plain listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Before anything is answered: net/http reads the rest of a body then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	if s.options.LoopbackOnly && !IsLoopbackHost(r.Host) {
		forbiddenHost().write(w, nil)
		return
	}
	snap := s.options.Configs.Current()
	s.route(w, r, snap, snap.Plain) //nolint:contextcheck // the request carries it
}

// route finds the upstream by the request's path.
func (s *Server) route(w http.ResponseWriter, r *http.Request, snap *liveconfig.Snapshot, routes *liveconfig.Routes) {
	if f := checkOrigin(r); f != nil {
		f.write(w, nil)
		return
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, authconfig.MetadataPath); ok {
		s.serveMetadata(w, r, snap, routes, rest)
		return
	}
	u, ok := routes.ByPath[path]
	if !ok {
		notFound("no upstream has this path").write(w, nil)
		return
	}
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete:
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		methodNotAllowed("POST, GET or DELETE").write(w, nil)
		return
	}
	if r.URL.RawQuery != "" && r.URL.RawQuery != u.URL.RawQuery {
		invalid("the query is not the one of the upstream's URL").write(w, nil)
		return
	}
	s.serve(w, r, snap, u)
}

// checkOrigin refuses what a browser page of another origin could send.
func checkOrigin(r *http.Request) *failure {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return nil
	case 1:
		if u, err := url.Parse(origins[0]); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
			return nil
		}
	}
	return forbiddenOrigin()
}

// IsLoopbackHost reports whether a Host header names a loopback address.
func IsLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// serveMetadata serves RFC 9728 metadata for the resource with the path rest.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request, snap *liveconfig.Snapshot, routes *liveconfig.Routes, rest string) {
	oidc := &snap.Config.Identity.OIDC
	_, known := routes.ByPath[rest]
	known = known || rest == "" || rest == "/"
	if configured, err := url.Parse(oidc.ResourceURL); err == nil && oidc.ResourceURL != "" && configured.EscapedPath() == rest {
		known = true
	}
	if snap.Config.Identity.Source != authconfig.SourceBearer || !known {
		notFound("there is no metadata for this path").write(w, nil)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		methodNotAllowed("GET").write(w, nil)
		return
	}
	if rest == "" || rest == "/" {
		rest = routes.First.Path
	}
	document, err := identity.ResourceMetadata(oidc, resourceURL(snap, r, rest))
	if err != nil {
		internalError("internal error").write(w, nil)
		return
	}
	extendWrite(w)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) //nolint:gosec // JSON, not HTML; the client may be gone
}

// resourceURL is the RFC 9728 resource of a request: configured, or the URL that
// the client called.
func resourceURL(snap *liveconfig.Snapshot, r *http.Request, path string) string {
	if configured := snap.Config.Identity.OIDC.ResourceURL; configured != "" {
		return configured
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + path
}

const (
	// bodyTimeout bounds how long a client may take to send a body.
	bodyTimeout = 30 * time.Second
	// writeTimeout bounds how long a client may leave what is sent unread.
	writeTimeout = 60 * time.Second
)

// extendWrite gives the client writeTimeout from now; call it before each write
// that may come late.
func extendWrite(w http.ResponseWriter) {
	// Not every ResponseWriter has deadlines; the ones that serve here do.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}
