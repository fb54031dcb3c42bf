package liveconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// Options are what the command line and the environment say.
type Options struct {
	// Pod is where the sidecar runs.
	Pod policy.Pod
	// ServiceAccountToken is the file of the serviceAccount source, and of the actor of
	// an exchange.
	ServiceAccountToken string
	// ExchangeCredential is the file with what authenticates the sidecar at the identity
	// provider.
	ExchangeCredential string
	// ExchangeObserver is told of each exchange there; it may be nil.
	ExchangeObserver tokenexchange.Observer
	// RootsFile holds further roots (AWS_CA_BUNDLE); empty for none.
	RootsFile string
	// ExtraRoots are roots as PEM, of every sidecar of an installation.
	ExtraRoots string
	// DialContext connects to issuer, STS and upstreams; default a net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// NetworkReachable is set when a listener has another than a loopback address:
	// then the serviceAccount source is refused.
	NetworkReachable bool
	// Intercepts is set when connections are intercepted: then the upstreams'
	// hosts and ports were rendered into the Pod.
	Intercepts bool
	// TLSListeners are the addresses that upstream host names were pointed to.
	TLSListeners []string
	// Observer is told of every load; it may be nil.
	Observer Observer
	// Evicted is told of what is forgotten of callers for want of room; it may be nil.
	Evicted func(cache string)
}

// Observer is told whether an auth-config was taken.
type Observer interface{ Reloaded(ok bool) }

// Store holds the auth-config in use. Make one with NewStore and give it an
// auth-config with Load before it is asked for the current one.
type Store struct {
	options Options
	current atomic.Pointer[Snapshot]
	refused atomic.Pointer[string]

	// background ends the background work of every snapshot.
	background context.Context //nolint:containedctx // the store's own life
	stop       context.CancelFunc

	loading sync.Mutex
	// rewriteTrust is called when the auth-config's own roots change; nil
	// without interception.
	rewriteTrust func(ca []byte) error
	// swapped is called behind every swap; it may be nil.
	swapped func(before, next *Snapshot)
}

// NewStore makes a store without an auth-config.
func NewStore(options Options) *Store {
	s := &Store{options: options}
	s.background, s.stop = context.WithCancel(context.Background())
	return s
}

// Current is the auth-config in use. A request keeps the one that was current
// when it came.
func (s *Store) Current() *Snapshot { return s.current.Load() }

// Refused says why the newest auth-config is not in use; empty when it is.
func (s *Store) Refused() string {
	if text := s.refused.Load(); text != nil {
		return *text
	}
	return ""
}

// OnNewRoots has rewrite called with the auth-config's ca.pem before one with
// other roots is swapped in; its error refuses the auth-config.
func (s *Store) OnNewRoots(rewrite func(ca []byte) error) { s.rewriteTrust = rewrite }

// OnSwap registers a function to call after every swap. Call it before the first Load that
// matters to it, and never twice.
func (s *Store) OnSwap(swapped func(before, next *Snapshot)) {
	s.loading.Lock()
	defer s.loading.Unlock()
	s.swapped = swapped
}

// Load validates an auth-config and swaps it in whole, or leaves the last good
// one in use and says why.
func (s *Store) Load(files authconfig.Files) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	err := s.load(files)
	s.note(err)
	return err
}

// CannotRead notes that the auth-config could not even be read.
func (s *Store) CannotRead(err error) { s.note(err) }

func (s *Store) note(err error) {
	if s.options.Observer != nil {
		s.options.Observer.Reloaded(err == nil)
	}
	if err == nil {
		s.refused.Store(nil)
		return
	}
	text := err.Error()
	s.refused.Store(&text)
}

var (
	errPoliciesGone = errors.New(
		"refused: all policies are gone but there was no authorization block to remove; every tool would be allowed",
	)
	errReachable = errors.New(
		"refused: identity.source serviceAccount needs a loopback --listen address, and loopback --tls-listen " +
			"addresses, or it would lend its identity to the network",
	)
)

func (s *Store) load(files authconfig.Files) error {
	config, err := compile.Files(files, s.options.Pod)
	if err != nil {
		return fmt.Errorf("invalid auth-config: %w", err)
	}
	old := s.current.Load()
	if old != nil && old.Config.Hash == config.Hash {
		return nil
	}
	if old != nil && old.Config.Authorizer.HasPolicies() && !config.Authorizer.HasPolicies() &&
		!old.Config.HasAuthorizationBlock {
		return errPoliciesGone
	}
	if old != nil {
		if err := s.changesRendered(old.Config.Config, config.Config); err != nil {
			return err
		}
	}
	if s.options.NetworkReachable && config.Identity.Source == authconfig.SourceServiceAccount {
		return errReachable
	}
	if err := s.options.checkExchangeCredential(config.Config); err != nil && old == nil {
		return fmt.Errorf("identity.oidc.exchange: %w", err)
	}
	next, err := newSnapshot(s.background, config, old, &s.options)
	if err != nil {
		return err
	}
	if old != nil && s.rewriteTrust != nil && !bytes.Equal(old.Config.CA, config.CA) {
		if err := s.rewriteTrust(config.CA); err != nil {
			next.retire(old)
			return err
		}
	}
	s.current.Store(next)
	old.retire(next)
	announce(config)
	if s.swapped != nil {
		s.swapped(old, next)
	}
	return nil
}

// changesRendered refuses a change of what was rendered into the Pod when it was
// made: no reload can change that.
func (s *Store) changesRendered(old, next *authconfig.Config) error {
	const sentence = "refused: %s cannot change while the sidecar runs; a new Pod is needed (a restart, where it is no " +
		"injected Pod's)"
	before, after := renderedOf(old), renderedOf(next)
	switch {
	case before.Source != after.Source:
		return fmt.Errorf(sentence, "identity.source")
	case before.ServiceAccount != after.ServiceAccount:
		return fmt.Errorf(sentence, "identity.serviceAccount")
	case !reflect.DeepEqual(before.Exchange, after.Exchange):
		return fmt.Errorf(
			sentence,
			"identity.oidc.exchange, where it says which credential is mounted and to whom it goes,",
		)
	case before.DenySTS != after.DenySTS && s.options.Intercepts:
		return fmt.Errorf(sentence, "egress.denySTS")
	case s.options.Intercepts && !slices.Equal(before.Hosts, after.Hosts):
		return fmt.Errorf(sentence, "the upstreams' host names")
	case s.options.Intercepts && !slices.Equal(before.Ports, after.Ports):
		return fmt.Errorf(sentence, "the upstreams' ports")
	}
	return nil
}

func announce(config *compile.Compiled) {
	for _, warning := range config.Warnings {
		slog.Warn("auth-config", "warning", warning)
	}
	if !config.Authorizer.HasPolicies() {
		slog.Warn(authorize.EveryToolAllowed)
	}
	if config.Authorizer.LogOnly() {
		slog.Warn("authorization.mode is logOnly: what policies deny is recorded and let pass")
	}
	slog.Info(
		"auth-config in use",
		"hash",
		config.Hash,
		"upstreams",
		len(config.Upstreams),
		"policies",
		config.Authorizer.PolicyCount(),
	)
}

// Close ends background work. Call it when no request is served any longer.
func (s *Store) Close() {
	s.stop()
	s.current.Load().retire(nil)
}
