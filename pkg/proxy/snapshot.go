package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/rolemap"
	"github.com/countersign-io/countersign/pkg/sigv4"
)

// maxPlans bounds the callers whose role is remembered.
const maxPlans = 10_000

type authenticator interface {
	Authenticate(ctx context.Context, header http.Header) (*identity.Caller, error)
}

// snapshot is everything that follows from one auth-config. A request uses the
// one that was current when it came.
type snapshot struct {
	config    *compile.Config
	upstreams []*upstream
	// plain are the routes of the plain listener; intercepted are those of the
	// TLS listeners, by host and port.
	plain       *routes
	intercepted map[string]*routes

	authenticator authenticator
	// stopAuthenticator ends its background work.
	stopAuthenticator context.CancelFunc
	client            *http.Client
	transport         *http.Transport
	sts               *credentials.STS

	// plans by token digest.
	plans *lru.Cache[[sha256.Size]byte, *plan]
}

// routes are the paths that one listener serves; first answers for metadata
// without a path.
type routes struct {
	byPath map[string]*upstream
	first  *upstream
}

func newRoutes() *routes { return &routes{byPath: map[string]*upstream{}} }

// interceptionKey is what an intercepted connection is for.
func interceptionKey(host string, port int) string {
	return strings.ToLower(host) + ":" + strconv.Itoa(port)
}

func (r *routes) add(u *upstream, paths ...string) {
	if r.first == nil {
		r.first = u
	}
	for _, path := range paths {
		r.byPath[path] = u
	}
}

// upstream is one configured upstream, ready to be called.
type upstream struct {
	index int
	name  string
	host  string
	port  int
	// key tells upstreams apart across reloads.
	key    string
	target *url.URL
	path   string
	scope  sigv4.Scope
}

// plan is what follows from a caller's claims: worked out once per token and
// auth-config.
type plan struct {
	principal *policy.Principal
	owner     owner
	selection rolemap.Selection
	err       error
	role      string
	sessions  []*credentials.RoleSession
	keys      []credentials.Key
}

// newSnapshot takes over from old whatever its inputs did not change.
func newSnapshot(ctx context.Context, config *compile.Config, old *snapshot, options *Options) (*snapshot, error) {
	s := &snapshot{config: config, plain: newRoutes(), intercepted: map[string]*routes{}}
	plans, err := lru.New[[sha256.Size]byte, *plan](maxPlans)
	if err != nil {
		return nil, err
	}
	s.plans = plans
	for i := range config.Upstreams {
		u := newUpstream(i, &config.Upstreams[i])
		s.upstreams = append(s.upstreams, u)
		s.plain.add(u, config.Upstreams[i].ListenPaths(i == 0)...)
		key := interceptionKey(u.host, u.port)
		if s.intercepted[key] == nil {
			s.intercepted[key] = newRoutes()
		}
		s.intercepted[key].add(u, u.path)
	}
	s.client, s.transport, s.sts = old.clients(config.CA)
	if s.transport == nil {
		roots, err := rootsWith(config.CA, options.RootsFile)
		if err != nil {
			return nil, err
		}
		s.transport = newTransport(roots, options)
		s.client = &http.Client{Transport: newTransport(roots, options), CheckRedirect: refuseDowngrade}
		s.sts = credentials.NewSTS(s.client)
	}
	if old != nil && s.client == old.client && reflect.DeepEqual(config.Identity, old.config.Identity) {
		s.authenticator, s.stopAuthenticator = old.authenticator, old.stopAuthenticator
		return s, nil
	}
	ctx, s.stopAuthenticator = context.WithCancel(ctx)
	if config.Identity.Source == authconfig.SourceServiceAccount {
		s.authenticator = identity.NewServiceAccount(options.ServiceAccountToken)
	} else {
		s.authenticator = identity.NewBearer(ctx, config.Identity.OIDC, s.client)
	}
	return s, nil
}

func (s *snapshot) clients(ca []byte) (*http.Client, *http.Transport, *credentials.STS) {
	if s == nil || string(s.config.CA) != string(ca) {
		return nil, nil, nil
	}
	return s.client, s.transport, s.sts
}

// retire ends what the next snapshot did not take over.
func (s *snapshot) retire(next *snapshot) {
	if s == nil {
		return
	}
	if next == nil || s.authenticator != next.authenticator {
		s.stopAuthenticator()
	}
	if next == nil || s.transport != next.transport {
		s.transport.CloseIdleConnections()
		s.client.CloseIdleConnections()
	}
}

func newUpstream(index int, c *authconfig.Upstream) *upstream {
	host, portText, _ := net.SplitHostPort(c.HostPort())
	port, _ := strconv.Atoi(portText) // validated with the URL
	return &upstream{
		index: index, name: c.Name, host: host, port: port,
		key: c.Name + " " + c.URL.String(), target: c.URL, path: c.Path,
		scope: sigv4.Scope{Service: c.Service, Region: c.Region},
	}
}

func rootsWith(ca []byte, file string) (*x509.CertPool, error) {
	extra, err := readRoots(file)
	if err != nil || len(ca) == 0 && len(extra) == 0 {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(extra)
	roots.AppendCertsFromPEM(ca)
	return roots, nil
}

const (
	dialTimeout = 10 * time.Second
	// idleTimeout is shorter than the 60 s after which AWS's load balancers
	// close idle connections, so that no request is sent into a closing one.
	idleTimeout       = 50 * time.Second
	maxIdlePerHost    = 256
	maxResponseHeader = 64 << 10
)

func newTransport(roots *x509.CertPool, options *Options) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: refuseOwnListeners(options.TLSListeners)}
	dial := dialer.DialContext
	if options.DialContext != nil {
		dial = options.DialContext
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           2 * maxIdlePerHost,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		// Answers are asked for uncompressed and refused compressed.
		DisableCompression: true,
	}
}

// refuseDowngrade lets the issuer and STS redirect, but not to plain HTTP.
func refuseDowngrade(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 || r.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// planFor works out the caller's role and principal once.
func (s *snapshot) planFor(caller *identity.Caller) *plan {
	digest := caller.Token.Digest()
	if known, ok := s.plans.Get(digest); ok {
		return known
	}
	p := &plan{owner: owner{issuer: caller.Issuer, subject: caller.Subject}}
	p.selection, p.err = s.config.Roles.Select(caller.Claims)
	p.role = p.selection.Role.String()
	groups := s.config.Roles.Groups(caller.Claims)
	if w := caller.Workload; w != nil {
		p.principal = policy.NewWorkload(w.Namespace, w.ServiceAccount, groups, caller.Claims)
	} else {
		p.principal = policy.NewUser(caller.Subject, caller.Issuer, caller.Scopes, groups, caller.Claims)
	}
	if p.err == nil {
		for i := range s.upstreams {
			session := s.config.RoleSession(i, p.selection)
			p.sessions = append(p.sessions, session)
			p.keys = append(p.keys, credentials.KeyOf(caller.Token, session))
		}
	}
	s.plans.Add(digest, p)
	return p
}

// NewClient reaches the issuer as the sidecar would: with the roots of ca.pem
// and of a file.
func NewClient(ca []byte, rootsFile string) (*http.Client, error) {
	roots, err := rootsWith(ca, rootsFile)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: newTransport(roots, &Options{}), CheckRedirect: refuseDowngrade}, nil
}
