package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/policy"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// gracePeriod is how long requests in flight may take after SIGTERM; it is
	// Kubernetes' default terminationGracePeriodSeconds.
	gracePeriod   = 30 * time.Second
	headerTimeout = 10 * time.Second
	keepAlive     = 120 * time.Second
	maxHeader     = 64 << 10
)

// RunOptions are the flags of `sidecar proxy`.
type RunOptions struct {
	ConfigDir           string
	Listen              string
	Admin               string
	ServiceAccountToken string
}

// PodFromEnvironment reads what the downward API gives.
func PodFromEnvironment() policy.Pod {
	return policy.Pod{
		Namespace:      os.Getenv("COUNTERSIGN_POD_NAMESPACE"),
		Name:           os.Getenv("COUNTERSIGN_POD_NAME"),
		ServiceAccount: os.Getenv("COUNTERSIGN_POD_SERVICE_ACCOUNT"),
	}
}

// Run serves until ctx ends, then lets requests in flight end.
func Run(ctx context.Context, o RunOptions) error {
	files, err := authconfig.ReadDir(o.ConfigDir)
	if err != nil {
		return err
	}
	tracer, err := telemetry.NewTracer(ctx)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer func() { _ = listener.Close() }()
	admin, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	defer func() { _ = admin.Close() }()
	server := New(Options{
		Pod: PodFromEnvironment(), ServiceAccountToken: o.ServiceAccountToken, RootsFile: os.Getenv("AWS_CA_BUNDLE"),
		Metrics: telemetry.NewMetrics(), Tracer: tracer, Audit: audit.NewLog(os.Stdout),
		LoopbackOnly: isLoopbackListener(listener),
	})
	if err := server.Load(files); err != nil {
		return err
	}
	defer server.Close()
	watchCtx, stopWatch := context.WithCancel(ctx)
	defer stopWatch()
	go server.Watch(watchCtx, o.ConfigDir)
	slog.Info("serving", "listen", listener.Addr().String(), "admin", admin.Addr().String())
	err = serveUntil(ctx, server, listener, admin)
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if flushErr := tracer.Shutdown(flushCtx); flushErr != nil {
		slog.Warn("traces were lost", "error", flushErr)
	}
	return err
}

func isLoopbackListener(l net.Listener) bool {
	addr, err := netip.ParseAddrPort(l.Addr().String())
	return err == nil && addr.Addr().IsLoopback()
}

func newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
}

// serveUntil stops accepting when ctx ends; the admin port goes last, so that
// the stop can be watched.
func serveUntil(ctx context.Context, server *Server, listener, admin net.Listener) error {
	main, side := newHTTPServer(server), newHTTPServer(server.Admin())
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return ignoreClosed(main.Serve(listener)) })
	group.Go(func() error { return ignoreClosed(side.Serve(admin)) })
	group.Go(func() error {
		<-groupCtx.Done()
		slog.Info("stopping", "grace", gracePeriod.String())
		server.EndStreams()
		graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gracePeriod)
		defer cancel()
		if err := main.Shutdown(graceCtx); err != nil {
			slog.Warn("requests in flight were cut off", "error", err)
			_ = main.Close()
		}
		return side.Close()
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
