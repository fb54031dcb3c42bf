package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/credentials"
	"github.com/countersign-io/countersign/pkg/intercept"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/residentmemory"
	"github.com/countersign-io/countersign/pkg/sessionid"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// gracePeriod is how long requests in flight may take after SIGTERM: a second less than
	// Kubernetes' default terminationGracePeriodSeconds.
	gracePeriod = 29 * time.Second
	// endingTime is how long connections in use have to end with an answer, before those
	// that are not in use are closed.
	endingTime    = 300 * time.Millisecond
	headerTimeout = 10 * time.Second
	keepAlive     = 120 * time.Second
	maxHeader     = 32 << 10
)

// Options are the flags of `sidecar proxy`.
type Options struct {
	ConfigDir           string
	Listen              string
	Admin               string
	ServiceAccountToken string
	// ExchangeCredential is the file with what authenticates the sidecar at the identity
	// provider, for an exchange.
	ExchangeCredential string
	// TLSListen are addresses that upstream host names were pointed to,
	// RedirectListen those that firewall rules redirect to.
	TLSListen, RedirectListen []string
	// SessionKey is the file with the keys that bind MCP sessions; default one in
	// CAKeyDir, else a key of this process.
	SessionKey string
	// AdminToken is the file for the token of the admin port; default one of this user's.
	AdminToken string
	// Version is the program's.
	Version string
	// CADir takes what clients need to trust the Pod's CA, CAKeyDir its key.
	CADir, CAKeyDir string
}

func (o *Options) intercepts() bool { return len(o.TLSListen)+len(o.RedirectListen) > 0 }

// PodFromEnvironment reads what the downward API gives.
func PodFromEnvironment() policy.Pod {
	return policy.Pod{
		Namespace:      os.Getenv("COUNTERSIGN_POD_NAMESPACE"),
		Name:           os.Getenv("COUNTERSIGN_POD_NAME"),
		ServiceAccount: os.Getenv("COUNTERSIGN_POD_SERVICE_ACCOUNT"),
	}
}

// Run serves until ctx ends, then lets requests in flight end.
func Run(ctx context.Context, o Options) error {
	UseContainerMemory()
	files, err := authconfig.ReadDir(o.ConfigDir)
	if err != nil {
		return err
	}
	tracer, err := telemetry.NewTracer(ctx)
	if err != nil {
		return err
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer func() { _ = listener.Close() }()
	metrics := telemetry.NewMetrics()
	meter, err := telemetry.NewMeter(ctx, metrics)
	if err != nil {
		return err
	}
	configs := liveconfig.NewStore(liveconfig.Options{
		Pod: PodFromEnvironment(), RootsFile: os.Getenv("AWS_CA_BUNDLE"), ExtraRoots: os.Getenv("COUNTERSIGN_EXTRA_ROOTS"),
		ServiceAccountToken: o.ServiceAccountToken, ExchangeCredential: o.ExchangeCredential,
		ExchangeObserver: metrics,
		NetworkReachable: !isLoopbackListener(listener) || !allLoopback(o.TLSListen),
		Intercepts:       o.intercepts(), TLSListeners: o.TLSListen, Observer: metrics,
		Evicted: metrics.Evicted,
	})
	if err := configs.Load(files); err != nil {
		return err
	}
	defer configs.Close()
	sessionKeys, err := o.sessionKeys(configs.Current().Config.Identity.Source)
	if err != nil {
		return err
	}
	decisions, recent, denials := audit.NewLog(os.Stdout), &audit.Recent{}, &authorize.Denials{}
	server := proxy.New(proxy.Options{
		Configs: configs, Metrics: metrics, Tracer: tracer, Meter: meter, Audit: decisions, Recent: recent, Denials: denials,
		SessionKeys: sessionKeys, LoopbackOnly: isLoopbackListener(listener),
	})
	defer server.EndStreams()
	intercepted, err := o.interception(ctx, configs, server, metrics)
	if err != nil {
		return err
	}
	adminToken := o.adminToken()
	// The admin port is opened last: that it answers means that all is open.
	admin, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	defer func() { _ = admin.Close() }()
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	go watch(watchCtx, configs, o.ConfigDir)
	// What reading the auth-config left behind would stay for as long as nobody calls.
	residentmemory.GiveBack()
	slog.Info(
		"serving",
		"listen",
		listener.Addr().String(),
		"admin",
		admin.Addr().String(),
		"tls",
		o.TLSListen,
		"redirect",
		o.RedirectListen,
	)
	adminHandler := adminport.NewHandler(adminport.Options{
		Configs: configs, Metrics: metrics, Recent: recent, Denials: denials, Version: o.Version,
		CredentialCacheSize: server.CredentialCacheSize, Token: adminToken, Pod: PodFromEnvironment(),
	})
	err = serveUntil(ctx, server, adminHandler, listener, intercepted, admin)
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if flushErr := decisions.Flush(flushCtx); flushErr != nil {
		slog.Warn("decision records were lost", "error", flushErr)
	}
	if flushErr := errors.Join(tracer.Shutdown(flushCtx), meter.Shutdown(flushCtx)); flushErr != nil {
		slog.Warn("traces or metrics were lost", "error", flushErr)
	}
	return err
}

// fileSessionKey is where the key is kept beside the CA's.
const fileSessionKey = "session.key"

func (o *Options) sessionKeys(source authconfig.IdentitySource) (*sessionid.Keys, error) {
	path := o.SessionKey
	if path == "" && o.CAKeyDir != "" {
		path = filepath.Join(o.CAKeyDir, fileSessionKey)
	}
	if path != "" {
		keys, err := sessionid.OpenKeys(path)
		if err != nil {
			return nil, fmt.Errorf("--session-key: %w", err)
		}
		return keys, nil
	}
	if source == authconfig.SourceBearer {
		slog.Warn("no key file binds MCP sessions: they end with this process, and other replicas do not know them")
	}
	return sessionid.NewKeys(), nil
}

// adminToken makes the token. Without a place for it the port tells numbers only.
func (o *Options) adminToken() adminport.Token {
	file, err := o.AdminToken, error(nil)
	if file == "" {
		file, err = adminport.PrivateFile(o.Admin)
	}
	var token adminport.Token
	if err == nil {
		token, err = adminport.NewToken(file)
	}
	if err != nil {
		slog.Warn("/status gives counts only, and the status page stays closed: there is no place for the admin "+
			"token; give one with --admin-token-file", "error", err)
	}
	return token
}

// checkAddresses refuses what firewall rules never lead to: they send connections
// of this host to its loopback addresses, and on another address anybody could
// have the sidecar connect to itself.
func (o *Options) checkAddresses() error {
	if !allLoopback(o.RedirectListen) {
		return errors.New("--redirect-listen: the addresses must be loopback addresses")
	}
	return nil
}

func allLoopback(addresses []string) bool {
	return !slices.ContainsFunc(addresses, func(address string) bool {
		parsed, err := netip.ParseAddrPort(address)
		return err != nil || !parsed.Addr().IsLoopback()
	})
}

func isLoopbackListener(l net.Listener) bool {
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return err == nil && addr.Addr().IsLoopback()
}

// interception opens the listeners for intercepted connections and writes what
// clients need to trust them.
func (o *Options) interception(
	ctx context.Context,
	configs *liveconfig.Store,
	server *proxy.Server,
	metrics *telemetry.Metrics,
) ([]net.Listener, error) {
	if !o.intercepts() {
		return nil, nil
	}
	if o.CADir == "" || o.CAKeyDir == "" {
		return nil, errors.New("--tls-listen and --redirect-listen need --ca-dir and --ca-key-dir")
	}
	config := configs.Current().Config
	if err := liveconfig.CheckRendered(o.CAKeyDir, config.Config); err != nil {
		return nil, err
	}
	authority, err := intercept.OpenAuthority(o.CAKeyDir, config.Hosts())
	if err != nil {
		return nil, err
	}
	if err := authority.WriteTrust(o.CADir, config.CA); err != nil {
		return nil, err
	}
	configs.OnNewRoots(func(ca []byte) error { return authority.WriteTrust(o.CADir, ca) })
	listeners, err := intercept.ListenTLS(ctx, o.TLSListen, authority)
	if err != nil || len(o.RedirectListen) == 0 {
		return listeners, err
	}
	guard := intercept.NewSTSGuard(
		func() bool { return configs.Current().Config.Egress.DenySTS },
		credentials.ConfiguredEndpoint(os.Getenv), metrics.STSConnectionRefused,
	)
	redirected, err := intercept.ListenRedirected(ctx, o.RedirectListen, authority, server.IsUpstream, guard)
	if err != nil {
		return nil, err
	}
	return append(listeners, redirected), nil
}

// serveUntil stops accepting when ctx ends; the admin port goes last, so that
// the stop can be watched.
func serveUntil(
	ctx context.Context,
	server *proxy.Server,
	adminHandler http.Handler,
	plain net.Listener,
	intercepted []net.Listener,
	admin net.Listener,
) error {
	main, side := newHTTPServer(server, server.MaxConnections), newAdminServer(adminHandler)
	terminated := newHTTPServer(server.Intercepted(), server.MaxConnections)
	begin := terminated.ConnContext
	terminated.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return proxy.WithInterceptedPort(begin(ctx, c), c)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	serve := func(server *http.Server, listener net.Listener) {
		group.Go(func() error {
			err := server.Serve(listener)
			if groupCtx.Err() != nil && (errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed)) {
				return nil
			}
			return err
		})
	}
	serve(main, plain)
	for _, listener := range intercepted {
		serve(terminated, listener)
	}
	serve(side, admin)
	group.Go(func() error {
		<-groupCtx.Done()
		slog.Info("stopping", "grace", gracePeriod.String())
		graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gracePeriod)
		defer cancel()
		server.EndStreams()
		// Who gets no connection knows that nothing of his was begun.
		for _, listener := range append([]net.Listener{plain}, intercepted...) {
			_ = listener.Close()
		}
		server.EndConnections()
		time.Sleep(endingTime)
		var shutdown errgroup.Group
		for _, httpServer := range []*http.Server{main, terminated} {
			shutdown.Go(func() error { return shutDown(graceCtx, httpServer) })
		}
		return errors.Join(shutdown.Wait(), side.Close())
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// shutDown lets requests in flight end, or cuts them off when the time is up.
func shutDown(ctx context.Context, server *http.Server) error {
	if err := server.Shutdown(ctx); err != nil {
		slog.Warn("requests in flight were cut off", "error", err)
		_ = server.Close()
	}
	return nil
}
