package admission_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/e2e/controlplane"
	"github.com/countersign-io/countersign/pkg/admission"
	"github.com/countersign-io/countersign/pkg/inject"
)

const (
	systemNamespace = "countersign-system"
	webhookName     = "countersign-webhook"
	sidecarImage    = "registry.example.com/countersign/sidecar:test"
)

// The shipped manifests are installed once; the tests use namespaces of their
// own. Those that stop replicas start others before they end.
var (
	plane    *controlplane.ControlPlane
	admin    client.Client
	replicas *fleet
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	admission.UseDefaultLogger()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "admission tests:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if plane, err = controlplane.Start(ctx); err != nil {
		return 1, err
	}
	defer func() { _ = plane.Stop() }()
	if admin, err = client.New(plane.Admin, client.Options{}); err != nil {
		return 1, err
	}
	if err := beforeInstallation(ctx); err != nil {
		return 1, err
	}
	if output, err := plane.Kubectl(ctx, "apply", "-k", "manifests/base"); err != nil {
		return 1, fmt.Errorf("%w: %s", err, output)
	}
	cluster, err := plane.ServiceAccount(ctx, systemNamespace, webhookName)
	if err != nil {
		return 1, err
	}
	address, err := controlplane.Address()
	if err != nil {
		return 1, err
	}
	replicas = &fleet{cluster: cluster, address: address, running: map[string]*replica{}}
	defer replicas.stopAll()
	for _, name := range []string{"one", "two"} {
		if err := replicas.start(ctx, name); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// beforeInstallation leaves what no webhook has seen: a broken auth-config.
func beforeInstallation(ctx context.Context) error {
	if err := admin.Create(ctx, namespaceWith("legacy", map[string]string{inject.LabelInjection: "enabled"})); err != nil {
		return err
	}
	if err := admin.Create(ctx, serviceAccount("legacy")); err != nil {
		return err
	}
	broken := authConfig("legacy", "broken", brokenConfig)
	return admin.Create(ctx, broken)
}

// fleet is the webhook's replicas: the real thing, in this process, each with
// the rights of the shipped service account and no others.
type fleet struct {
	cluster *rest.Config
	address string

	mu      sync.Mutex
	running map[string]*replica
}

type replica struct {
	health   string
	registry *prometheus.Registry
	stop     context.CancelFunc
	done     chan error
}

// start runs a replica and makes it an endpoint once it is ready, as Kubernetes
// would.
func (f *fleet) start(ctx context.Context, name string) error {
	ports := make([]int, 2)
	for n := range ports {
		port, err := controlplane.FreePort(f.address)
		if err != nil {
			return err
		}
		ports[n] = port
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r := &replica{
		health: "http://" + net.JoinHostPort(f.address, strconv.Itoa(ports[1])), registry: prometheus.NewRegistry(),
		stop: stop, done: make(chan error, 1),
	}
	go func() {
		r.done <- admission.Run(runCtx, rest.CopyConfig(f.cluster), admission.Options{
			Namespace: systemNamespace, Name: webhookName, Identity: name,
			CertificateInterval: 200 * time.Millisecond, CertificateSettle: 2 * time.Second,
			Host: f.address, Port: ports[0], HealthAddress: r.health[len("http://"):], MetricsAddress: "0",
			ShutdownDelay: time.Second,
			Inject:        inject.Options{Image: sidecarImage, Env: []corev1.EnvVar{{Name: "AWS_ENDPOINT_URL_STS", Value: "https://sts.internal"}}}, Registry: r.registry,
		})
	}()
	if err := r.waitReady(); err != nil {
		stop()
		return fmt.Errorf("replica %s: %w", name, err)
	}
	f.mu.Lock()
	f.running[name] = r
	f.mu.Unlock()
	return plane.SetEndpoint(ctx, systemNamespace, webhookName, "webhook", name, f.address, ports[0])
}

func (r *replica) waitReady() error {
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-r.done:
			return fmt.Errorf("ended before it was ready: %w", err)
		default:
		}
		answer, err := http.Get(r.health + "/readyz")
		if err != nil {
			last = err.Error()
			continue
		}
		_ = answer.Body.Close()
		if last = answer.Status; answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("not ready in a minute: %s", last)
}

// stop takes the replica out of service and ends it, both at once as Kubernetes
// would.
func (f *fleet) stop(ctx context.Context, name string) error {
	f.mu.Lock()
	r := f.running[name]
	delete(f.running, name)
	f.mu.Unlock()
	if err := plane.RemoveEndpoint(ctx, systemNamespace, webhookName, name); err != nil {
		return err
	}
	r.stop()
	return <-r.done
}

func (f *fleet) stopAll() {
	for _, r := range f.running {
		r.stop()
	}
	for _, r := range f.running {
		<-r.done
	}
}
