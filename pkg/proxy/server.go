package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/sigv4"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

// Options are what the command line and the environment say.
type Options struct {
	// Pod is where the sidecar runs.
	Pod policy.Pod
	// ServiceAccountToken is the file of the serviceAccount source.
	ServiceAccountToken string
	// RootsFile holds further roots (AWS_CA_BUNDLE); empty for none.
	RootsFile string
	// DialContext connects to issuer, STS and upstreams; default a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Metrics is required; Tracer may be nil.
	Metrics *telemetry.Metrics
	Tracer  *telemetry.Tracer
	// Audit receives decision records.
	Audit *audit.Log
	// LoopbackOnly is set when the plain listener has a loopback address: then
	// the Host header must name one, against DNS rebinding.
	LoopbackOnly bool
	// NetworkReachable is set when a listener has another than a loopback address:
	// then the serviceAccount source is refused.
	NetworkReachable bool
	// Intercepts is set when connections are intercepted: then the upstreams'
	// hosts and ports were rendered into the Pod.
	Intercepts bool
	// TLSListeners are the addresses that upstream host names were pointed to.
	TLSListeners []string
}

// Server serves MCP requests. Make one with New and give it an auth-config with
// Load before it serves.
type Server struct {
	options  Options
	current  atomic.Pointer[snapshot]
	sessions *ownership
	tasks    *ownership
	// credentials outlives snapshots; exchanger is that of the current one.
	credentials *credentials.Cache
	signer      *sigv4.Signer

	inFlight atomic.Int64
	streams  atomic.Int64
	sequence atomic.Uint64
	idPrefix string

	// stopping ends streams when the server shuts down.
	stopping context.Context //nolint:containedctx // the server's own life
	stop     context.CancelFunc

	reloading sync.Mutex
	refused   atomic.Pointer[string]
	// rewriteTrust is called when the auth-config's own roots change; nil
	// without interception.
	rewriteTrust func(ca []byte) error
}

// New makes a server without an auth-config.
func New(options Options) *Server {
	s := &Server{
		options: options, sessions: newOwnership(), tasks: newOwnership(), signer: sigv4.NewSigner(),
		idPrefix: newIDPrefix(),
	}
	s.credentials = credentials.NewCache(currentSTS{s}, options.Metrics)
	s.stopping, s.stop = context.WithCancel(context.Background())
	options.Metrics.ObserveCredentialCache(s.credentials.Len)
	return s
}

// currentSTS exchanges with the roots of the current auth-config.
type currentSTS struct{ server *Server }

// Load validates an auth-config and swaps it in whole, or leaves the last good
// one in use and says why.
func (s *Server) Load(files authconfig.Files) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	err := s.load(files)
	s.options.Metrics.Reloaded(err == nil)
	if err != nil {
		text := err.Error()
		s.refused.Store(&text)
		return err
	}
	s.refused.Store(nil)
	return nil
}

var errPoliciesGone = errors.New("refused: all policies are gone but there was no authorization block to remove; every tool would be allowed")

func (s *Server) load(files authconfig.Files) error {
	config, err := compile.Files(files, s.options.Pod)
	if err != nil {
		return fmt.Errorf("invalid auth-config: %w", err)
	}
	old := s.current.Load()
	if old != nil && old.config.Hash == config.Hash {
		return nil
	}
	if old != nil && old.config.Policies != nil && config.Policies == nil && !old.config.HasAuthorizationBlock {
		return errPoliciesGone
	}
	if old != nil {
		if err := s.changesRendered(old.config.Config, config.Config); err != nil {
			return err
		}
	}
	if s.options.NetworkReachable && config.Identity.Source == authconfig.SourceServiceAccount {
		return errors.New("refused: identity.source serviceAccount needs a loopback --listen address, and loopback --tls-listen addresses, or it would lend its identity to the network")
	}
	next, err := newSnapshot(s.stopping, config, old, &s.options)
	if err != nil {
		return err
	}
	if old != nil && s.rewriteTrust != nil && !bytes.Equal(old.config.CA, config.CA) {
		if err := s.rewriteTrust(config.CA); err != nil {
			next.retire(old)
			return err
		}
	}
	s.current.Store(next)
	old.retire(next)
	s.announce(config)
	return nil
}

// changesRendered refuses a change of what was rendered into the Pod when it was
// made: no reload can change that.
func (s *Server) changesRendered(old, next *authconfig.Config) error {
	const sentence = "refused: %s cannot change while the sidecar runs; a new Pod is needed"
	before, after := renderedOf(old), renderedOf(next)
	switch {
	case before.Source != after.Source:
		return fmt.Errorf(sentence, "identity.source")
	case before.ServiceAccount != after.ServiceAccount:
		return fmt.Errorf(sentence, "identity.serviceAccount")
	case s.options.Intercepts && !slices.Equal(before.Hosts, after.Hosts):
		return fmt.Errorf(sentence, "the upstreams' host names")
	case s.options.Intercepts && !slices.Equal(before.Ports, after.Ports):
		return fmt.Errorf(sentence, "the upstreams' ports")
	}
	return nil
}

func (s *Server) announce(config *compile.Config) {
	for _, warning := range config.Warnings {
		slog.Warn("auth-config", "warning", warning)
	}
	policies := 0
	if config.Policies != nil {
		policies = config.Policies.Count()
	} else {
		slog.Warn("the auth-config has no policies: every tool is allowed")
	}
	if config.Policies != nil && config.Policies.LogOnly() {
		slog.Warn("authorization.mode is logOnly: what policies deny is recorded and let pass")
	}
	slog.Info("auth-config in use", "hash", config.Hash, "upstreams", len(config.Upstreams), "policies", policies)
}

// Close ends streams and background work. Call it when no request is served
// any longer.
func (s *Server) Close() {
	s.stop()
	s.current.Load().retire(nil)
}

// EndStreams makes every GET and subscriptions/listen stream end.
func (s *Server) EndStreams() { s.stop() }

// ServeHTTP serves the plain listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Before anything is answered: net/http reads the rest of a body then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	if s.options.LoopbackOnly && !isLoopbackHost(r.Host) {
		forbidden("the Host header must be a loopback address").write(w, nil)
		return
	}
	snap := s.current.Load()
	s.route(w, r, snap, snap.plain) //nolint:contextcheck // the request carries it
}

// route finds the upstream by the request's path.
func (s *Server) route(w http.ResponseWriter, r *http.Request, snap *snapshot, routes *routes) {
	if f := checkOrigin(r); f != nil {
		f.write(w, nil)
		return
	}
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, authconfig.MetadataPath); ok {
		s.serveMetadata(w, r, snap, routes, rest)
		return
	}
	u, ok := routes.byPath[path]
	if !ok {
		(&failure{status: http.StatusNotFound, code: codeNotFound, message: "no upstream has this path"}).write(w, nil)
		return
	}
	switch r.Method {
	case http.MethodPost, http.MethodGet, http.MethodDelete:
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		(&failure{status: http.StatusMethodNotAllowed, code: codeMethodNotAllowed, message: "the method must be POST, GET or DELETE"}).write(w, nil)
		return
	}
	if r.URL.RawQuery != "" && r.URL.RawQuery != u.target.RawQuery {
		invalid("the query is not the one of the upstream's URL").write(w, nil)
		return
	}
	s.serve(w, r, snap, u)
}

func forbidden(message string) *failure {
	return &failure{status: http.StatusForbidden, code: codeDenied, message: message}
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
	return forbidden("requests of another Origin are not served")
}

func isLoopbackHost(host string) bool {
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
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request, snap *snapshot, routes *routes, rest string) {
	oidc := &snap.config.Identity.OIDC
	_, known := routes.byPath[rest]
	known = known || rest == "" || rest == "/"
	if configured, err := url.Parse(oidc.ResourceURL); err == nil && oidc.ResourceURL != "" && configured.EscapedPath() == rest {
		known = true
	}
	if snap.config.Identity.Source != authconfig.SourceBearer || !known {
		(&failure{status: http.StatusNotFound, code: codeNotFound, message: "there is no metadata for this path"}).write(w, nil)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		(&failure{status: http.StatusMethodNotAllowed, code: codeMethodNotAllowed, message: "the method must be GET"}).write(w, nil)
		return
	}
	if rest == "" || rest == "/" {
		rest = routes.first.path
	}
	document, err := identity.ResourceMetadata(oidc, snap.resource(r, rest))
	if err != nil {
		(&failure{status: http.StatusInternalServerError, code: codeDenied, message: "internal error"}).write(w, nil)
		return
	}
	extendWrite(w)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) //nolint:gosec // JSON, not HTML; the client may be gone
}

// resource is the RFC 9728 resource of a request: configured, or the URL that
// the client called.
func (s *snapshot) resource(r *http.Request, path string) string {
	if configured := s.config.Identity.OIDC.ResourceURL; configured != "" {
		return configured
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + path
}

func readRoots(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	return text, nil
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
