package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/servingcert"
)

// The paths that the webhook configurations name.
const (
	pathMutatePods         = "/mutate-pods"
	pathValidateConfigMaps = "/validate-configmaps"
)

// Options are the flags of `webhook serve`.
type Options struct {
	// Namespace is the system namespace: where the webhook runs and where shared
	// auth-configs are.
	Namespace string
	// Name is that of the Service, the webhook configurations and, with suffixes,
	// of what the webhook keeps in its namespace.
	Name string
	// Identity tells replicas apart. Defaults to the host name, a Pod's name.
	Identity string
	// CertDir holds tls.crt and tls.key that somebody else makes, and whose CA
	// somebody else publishes. Empty: the webhook does both by itself.
	CertDir string
	// Certificates, without CertDir.
	Certificates servingcert.Lifetimes
	// CertificateInterval and CertificateSettle are those of servingcert.Options.
	CertificateInterval, CertificateSettle time.Duration
	// Host and Port of the webhook server. Default to all addresses, 9443.
	Host string
	Port int
	// HealthAddress serves /healthz and /readyz, MetricsAddress /metrics. "0"
	// turns one off.
	HealthAddress, MetricsAddress string
	// ShutdownDelay is how long it serves on after shutdown was requested, so that
	// API servers leave before it stops listening.
	ShutdownDelay time.Duration
	// Inject are the options of the sidecars.
	Inject inject.Options
	// Registry takes the metrics. Defaults to controller-runtime's.
	Registry prometheus.Registerer
}

func (o *Options) setDefaults() error {
	if o.Identity == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find out the host name: %w", err)
		}
		o.Identity = name
	}
	if o.Registry == nil {
		o.Registry = ctrlmetrics.Registry
	}
	if o.Inject.Image == "" {
		return errors.New("the sidecar's image is not set")
	}
	return nil
}

// UseDefaultLogger has the libraries below log with slog's default logger. It
// is to be called once, before Run.
func UseDefaultLogger() {
	logger := logr.FromSlogHandler(slog.Default().Handler())
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
}

// Run serves until ctx ends, and then for the ShutdownDelay and the requests in
// flight.
func Run(ctx context.Context, cluster *rest.Config, options Options) error {
	if err := options.setDefaults(); err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	metrics := newMetrics(options.Registry)
	certificates, err := newCertificates(cluster, scheme, &options, metrics)
	if err != nil {
		return err
	}
	m, err := newManager(cluster, scheme, &options, certificates)
	if err != nil {
		return err
	}
	for _, runnable := range certificates.runnables {
		if err := m.Add(runnable); err != nil {
			return fmt.Errorf("set up certificates: %w", err)
		}
	}
	var d drain
	if err := addHandlers(ctx, m, &options, metrics, &d); err != nil {
		return err
	}
	if err := addChecks(m, certificates.ready); err != nil {
		return err
	}
	ctx, stop := d.postpone(ctx, options.ShutdownDelay)
	defer stop()
	return m.Start(ctx)
}

func newManager(
	cluster *rest.Config,
	scheme *runtime.Scheme,
	options *Options,
	certificates *certificates,
) (manager.Manager, error) {
	caches, err := cacheOptions(options.Name)
	if err != nil {
		return nil, err
	}
	m, err := manager.New(cluster, manager.Options{
		Scheme: scheme, Cache: caches,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: options.Host, Port: options.Port, CertDir: options.CertDir,
			TLSOpts: []func(*tls.Config){certificates.configure},
		}),
		HealthProbeBindAddress: options.HealthAddress,
		Metrics:                metricsserver.Options{BindAddress: options.MetricsAddress},
		LeaderElection:         true, LeaderElectionNamespace: options.Namespace,
		LeaderElectionID:              options.Name + "-leader",
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       ptr.To(10 * time.Second),
		// Several may run in one process: the tests' replicas.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	return m, nil
}

func addHandlers(ctx context.Context, m manager.Manager, options *Options, metrics *metrics, d *drain) error {
	validated, err := newValidatedConfigs()
	if err != nil {
		return err
	}
	server := m.GetWebhookServer()
	slots := make(chan struct{}, maxRequests)
	register := func(path string, handler http.Handler) {
		server.Register(path, d.handler(limited(slots, handler)))
	}
	register(pathMutatePods, &admission.Webhook{Handler: &podHandler{
		resolver: &resolver{
			cached: m.GetCache(), live: m.GetAPIReader(), systemNamespace: options.Namespace, validated: validated,
			metrics: metrics,
		},
		options: options.Inject, metrics: metrics,
	}})
	register(
		pathValidateConfigMaps,
		admission.WithValidator(m.GetScheme(), admission.Validator[*corev1.ConfigMap](&configMapValidator{
			cached: m.GetCache(), live: m.GetAPIReader(), systemNamespace: options.Namespace, validated: validated,
			metrics: metrics,
		})),
	)
	recorder := eventRecorder{m.GetEventRecorder(options.Name)}
	told := &authConfigEvents{cached: m.GetCache(), live: m.GetAPIReader(), validated: validated, events: recorder}
	if err := told.setUp(m); err != nil {
		return fmt.Errorf("set up the events of auth-configs: %w", err)
	}
	shared := &sharedConfigs{
		client: m.GetClient(), live: m.GetAPIReader(), systemNamespace: options.Namespace,
		webhookConfiguration: options.Name, validated: validated, metrics: metrics, events: recorder,
	}
	if err := shared.setUp(m); err != nil {
		return fmt.Errorf("set up the controller of shared auth-configs: %w", err)
	}
	// Every replica answers from its cache, the leader or not.
	for _, object := range []client.Object{&corev1.ConfigMap{}, namespaceMetadata(), ownerMetadata()} {
		if _, err := m.GetCache().GetInformer(ctx, object); err != nil {
			return fmt.Errorf("set up the cache: %w", err)
		}
	}
	return nil
}

// maxRequests bounds the requests that are worked on at once; each may hold some
// MiB. When all slots are taken, further calls wait until the API server times out.
const maxRequests = 128

func limited(slots chan struct{}, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}

func addChecks(m manager.Manager, certificatesReady func() error) error {
	if err := m.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("set up health checks: %w", err)
	}
	served := m.GetWebhookServer().StartedChecker()
	return m.AddReadyzCheck("webhook", func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !m.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache is not filled yet")
		}
		if err := certificatesReady(); err != nil {
			return err
		}
		return served(r)
	})
}
