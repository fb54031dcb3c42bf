package proxy

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/liveconfig"
)

// ServeHTTP serves the plain listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Before anything is answered: net/http reads the rest of a body then.
	setReadDeadline(w, time.Now().Add(bodyTimeout))
	if s.options.LoopbackOnly && !IsLoopbackHost(r.Host) {
		refuse(w, r, forbiddenHost())
		return
	}
	snap := s.options.Configs.Current()
	s.route(w, r, snap, snap.Plain) //nolint:contextcheck // the request carries it
}

// route finds the upstream by the request's path.
func (s *Server) route(w http.ResponseWriter, r *http.Request, snap *liveconfig.Snapshot, routes *liveconfig.Routes) {
	if s.ending.Load() {
		w.Header().Set("Connection", "close")
	}
	if connection := ConnectionOf(r); connection != nil && connection.Surplus {
		s.capacity.metrics.Overloaded("connections")
		w.Header().Set("Connection", "close")
		refuse(w, r, overloaded("too many connections"))
		return
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, authconfig.MetadataPath); ok {
		if r.ContentLength != 0 {
			dropBody(w)
		}
		s.serveMetadata(w, r, snap, routes, rest)
		return
	}
	if !allowOrigin(w, r, snap.Config.Identity.OIDC.AllowedOrigins) {
		refuse(w, r, forbiddenOrigin())
		return
	}
	u, ok := routes.ByPath[path]
	if !ok {
		refuse(w, r, notFound("no upstream has this path"))
		return
	}
	switch {
	case isPreflight(r) && w.Header().Get(headerAllowOrigin) != "":
		if r.ContentLength != 0 {
			dropBody(w)
		}
		answerPreflight(w, r)
		return
	case r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "GET, POST, DELETE")
		refuse(w, r, methodNotAllowed("POST, GET or DELETE"))
		return
	case r.URL.RawQuery != "" && r.URL.RawQuery != u.URL.RawQuery:
		refuse(w, r, invalid("the query is not the one of the upstream's URL"))
		return
	}
	s.serve(w, r, snap, u)
}

// refuse answers a request of nobody who is known, whose body is not waited for.
func refuse(w http.ResponseWriter, r *http.Request, f *failure) {
	if r.ContentLength != 0 {
		dropBody(w)
	}
	f.write(w, nil)
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
func (s *Server) serveMetadata(
	w http.ResponseWriter,
	r *http.Request,
	snap *liveconfig.Snapshot,
	routes *liveconfig.Routes,
	rest string,
) {
	oidc := &snap.Config.Identity.OIDC
	_, known := routes.ByPath[rest]
	known = known || rest == "" || rest == "/"
	if configured, err := url.Parse(oidc.ResourceURL); err == nil && oidc.ResourceURL != "" &&
		configured.EscapedPath() == rest {
		known = true
	}
	if snap.Config.Identity.Source != authconfig.SourceBearer || !known {
		refuse(w, r, notFound("there is no metadata for this path"))
		return
	}
	// It holds nothing secret, and browser clients have to read it before a login.
	w.Header().Set(headerAllowOrigin, "*")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", "GET")
		w.Header().Set("Access-Control-Allow-Headers", "MCP-Protocol-Version")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, r, methodNotAllowed("GET"))
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
// the client called. A proxy in front that is trusted says what that was.
func resourceURL(snap *liveconfig.Snapshot, r *http.Request, path string) string {
	oidc := &snap.Config.Identity.OIDC
	if oidc.ResourceURL != "" {
		return oidc.ResourceURL
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if isTrustedProxy(r.RemoteAddr, oidc.TrustedProxies) {
		if said := r.Header.Get("X-Forwarded-Proto"); said == "https" || said == "http" {
			scheme = said
		}
		if said := r.Header.Get("X-Forwarded-Host"); said != "" && authconfig.IsHostPort(said) {
			host = said
		}
	} else if scheme == "http" && r.Header.Get("X-Forwarded-Proto") == "https" {
		warnOfProxy.Do(func() {
			slog.Warn("a proxy in front says that clients use https, so the metadata names a resource that they "+
				"did not call: "+
				"set spec.identity.oidc.resourceURL or trustedProxies", "proxy", r.RemoteAddr)
		})
	}
	return scheme + "://" + host + path
}

// warnOfProxy keeps a warning that every request could cause to one.
var warnOfProxy sync.Once

func isTrustedProxy(remote string, trusted []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil &&
		slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
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
	deadline := time.Now().Add(writeTimeout)
	if direct, ok := w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = direct.SetWriteDeadline(deadline)
		return
	}
	// Not every ResponseWriter has deadlines; the ones that serve here do.
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)
}

// setReadDeadline bounds how long the rest of the body may take.
func setReadDeadline(w http.ResponseWriter, deadline time.Time) {
	if direct, ok := w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = direct.SetReadDeadline(deadline)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
}
