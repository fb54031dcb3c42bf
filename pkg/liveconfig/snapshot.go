package liveconfig

import (
	"context"
	"crypto/sha256"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/rolemap"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// maxPlans bounds the callers whose role is remembered.
const maxPlans = 10_000

// Authenticator tells who is calling; see package identity for its errors.
type Authenticator interface {
	Authenticate(ctx context.Context, header http.Header) (*identity.Caller, error)
}

// Snapshot is everything that follows from one auth-config.
type Snapshot struct {
	Config    *compile.Compiled
	Upstreams []*Upstream
	// Plain are the routes of the plain listener.
	Plain *Routes
	// intercepted are the routes of the TLS listeners, by host and port.
	intercepted map[string]*Routes

	Authenticator Authenticator
	// Exchange is nil where callers' own tokens go to STS.
	Exchange *tokenexchange.Client
	// transport sends signed requests to upstreams.
	transport *upstreamTransport
	// stopAuthenticator ends the Authenticator's background work.
	stopAuthenticator context.CancelFunc
	client            *http.Client
	sts               *credentials.STS

	// plans by token digest.
	plans *lru.Cache[[sha256.Size]byte, *Plan]
	// evicted is told of what is forgotten of callers for want of room.
	evicted func(cache string)
}

// Routes are the paths that one listener serves.
type Routes struct {
	// ByPath has the upstreams by their encoded path.
	ByPath map[string]*Upstream
	// First answers for metadata without a path.
	First *Upstream
}

func newRoutes() *Routes { return &Routes{ByPath: map[string]*Upstream{}} }

// Intercepted are the routes for a connection that was intercepted on its way to
// host and port; nil when no upstream is there.
func (s *Snapshot) Intercepted(host string, port int) *Routes {
	return s.intercepted[interceptionKey(host, port)]
}

// interceptionKey is what an intercepted connection is for.
func interceptionKey(host string, port int) string {
	return strings.ToLower(host) + ":" + strconv.Itoa(port)
}

func (r *Routes) add(u *Upstream, paths ...string) {
	if r.First == nil {
		r.First = u
	}
	for _, path := range paths {
		r.ByPath[path] = u
	}
}

// Plan is what follows from a caller's claims, worked out once per token and
// auth-config.
type Plan struct {
	Principal *policy.Principal
	Selection rolemap.Selection
	// Err says why there is no role: see rolemap.Mapper.Select.
	Err error
	// Role is the ARN of the selection, or empty.
	Role string
	// Sessions are what STS is asked for and Keys where the cache keeps the
	// answers, by the index of the upstream.
	Sessions []*credentials.RoleSession
	Keys     []credentials.Key
}

// newSnapshot takes over from old whatever its inputs did not change.
func newSnapshot(ctx context.Context, config *compile.Compiled, old *Snapshot, options *Options) (*Snapshot, error) {
	s := &Snapshot{Config: config, Plain: newRoutes(), intercepted: map[string]*Routes{}, evicted: options.Evicted}
	if s.evicted == nil {
		s.evicted = func(string) {}
	}
	plans, err := lru.New[[sha256.Size]byte, *Plan](maxPlans)
	if err != nil {
		return nil, err
	}
	s.plans = plans
	for i := range config.Upstreams {
		u := newUpstream(config.Config, i)
		s.Upstreams = append(s.Upstreams, u)
		s.Plain.add(u, config.Upstreams[i].ListenPaths(i == 0)...)
		key := interceptionKey(u.Host, u.Port)
		if s.intercepted[key] == nil {
			s.intercepted[key] = newRoutes()
		}
		s.intercepted[key].add(u, u.Path)
	}
	s.client, s.transport, s.sts = old.clients(config.CA)
	if s.transport == nil {
		roots, err := rootsWith(WithExtraRoots(config.CA, options.ExtraRoots), options.RootsFile)
		if err != nil {
			return nil, err
		}
		s.transport = newUpstreamTransport(roots, options)
		s.client = &http.Client{Transport: newTransport(roots, options), CheckRedirect: refuseDowngrade}
		s.sts = credentials.NewSTS(s.client)
	}
	if old != nil && s.client == old.client && reflect.DeepEqual(config.Identity, old.Config.Identity) {
		s.Authenticator, s.Exchange, s.stopAuthenticator = old.Authenticator, old.Exchange, old.stopAuthenticator
		return s, nil
	}
	ctx, s.stopAuthenticator = context.WithCancel(ctx)
	if config.Identity.Source == authconfig.SourceServiceAccount {
		s.Authenticator = identity.NewServiceAccount(options.ServiceAccountToken)
		return s, nil
	}
	oidc := &config.Identity.OIDC
	callers := identity.NewVerifier(ctx, identity.CallerRules(oidc), s.client)
	bearer := identity.NewBearer(callers, oidc.RequiredScopes)
	bearer.ObserveEvictions(func() { s.evicted("tokens") })
	s.Authenticator = bearer
	if oidc.Exchange != nil {
		s.Exchange = tokenexchange.New(
			oidc, identity.ExchangedVerifier(ctx, oidc, callers, s.client), s.client, options.ExchangeFiles(),
			options.ExchangeObserver,
		)
	}
	return s, nil
}

func (s *Snapshot) clients(ca []byte) (*http.Client, *upstreamTransport, *credentials.STS) {
	if s == nil || string(s.Config.CA) != string(ca) {
		return nil, nil, nil
	}
	return s.client, s.transport, s.sts
}

// Client reaches the issuer and AWS STS.
func (s *Snapshot) Client() *http.Client { return s.client }

// retire ends what the next snapshot did not take over.
func (s *Snapshot) retire(next *Snapshot) {
	if s == nil {
		return
	}
	if next == nil || s.Authenticator != next.Authenticator {
		s.stopAuthenticator()
		s.Exchange.Forget()
	}
	if next == nil || s.transport != next.transport {
		s.transport.closeIdleConnections()
		s.client.CloseIdleConnections()
	}
}

// PlanFor works out the caller's role and principal once. Where that takes the actor of
// the exchanged token it is exchanged first; the error is a *tokenexchange.Error.
func (s *Snapshot) PlanFor(ctx context.Context, caller *identity.Caller) (*Plan, error) {
	digest := caller.Token.Digest()
	if known, ok := s.plans.Get(digest); ok {
		return known, nil
	}
	caller = caller.WithClaims()
	var act any
	if s.Config.NeedsActor(caller) {
		exchanged, err := s.Exchange.Exchange(ctx, caller)
		if err != nil {
			return nil, err
		}
		act = exchanged.Act
	}
	p := &Plan{Principal: s.Config.Principal(caller, act)}
	p.Selection, p.Err = s.Config.Select(caller, act)
	p.Role = p.Selection.Role.String()
	if p.Err == nil {
		for i := range s.Upstreams {
			session := s.Config.RoleSession(i, p.Selection)
			p.Sessions = append(p.Sessions, session)
			p.Keys = append(p.Keys, credentials.KeyOf(caller.Token, session))
		}
	}
	if s.plans.Add(digest, p) {
		s.evicted("roles")
	}
	return p, nil
}

// Actor is who acts for the caller, as far as is known: from the caller's own token,
// else from the one that it was exchanged for.
func (s *Snapshot) Actor(caller *identity.Caller) string {
	if caller.Actor != "" || s.Exchange == nil {
		return caller.Actor
	}
	return s.Exchange.Actor(caller)
}
