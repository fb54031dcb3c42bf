package admission

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/countersign-io/countersign/pkg/servingcert"
)

// certificates are what the webhook serves with: made and rotated by itself,
// or, with a directory, somebody else's.
type certificates struct {
	runnables []manager.Runnable
	get       func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ready is nil when a valid certificate is served.
	ready func() error
}

func newCertificates(
	cluster *rest.Config,
	scheme *runtime.Scheme,
	options *Options,
	metrics *metrics,
) (*certificates, error) {
	if options.CertDir != "" {
		return certificatesFrom(options.CertDir, metrics)
	}
	// What is decided here must not rest on a cache.
	direct, err := client.New(cluster, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("set up a client: %w", err)
	}
	shared := servingcert.Options{
		Client: direct, Secret: types.NamespacedName{Namespace: options.Namespace, Name: options.Name + "-certificate"},
		WebhookConfiguration: options.Name, Hosts: []string{options.Name + "." + options.Namespace + ".svc"},
		Lifetimes: options.Certificates, Interval: options.CertificateInterval, Settle: options.CertificateSettle,
		Observe: metrics.certificates,
	}
	replica := servingcert.NewReplica(shared, options.Identity)
	return &certificates{
		runnables: []manager.Runnable{servingcert.NewRotator(shared), replica},
		get:       replica.GetCertificate, ready: replica.Ready,
	}, nil
}

// certificatesFrom serves tls.crt and tls.key of a directory, and those that
// replace them.
func certificatesFrom(dir string, metrics *metrics) (*certificates, error) {
	watcher, err := certwatcher.New(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("--cert-dir: %w", err)
	}
	var ends atomic.Pointer[time.Time]
	watcher.RegisterCallback(func(c tls.Certificate) {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			return // tls.LoadX509KeyPair has parsed it
		}
		ends.Store(&leaf.NotAfter)
		metrics.certificate("serving", leaf.NotAfter)
	})
	ready := func() error {
		if end := ends.Load(); end == nil || time.Now().After(*end) {
			return errors.New("the serving certificate in --cert-dir has expired")
		}
		return nil
	}
	return &certificates{runnables: []manager.Runnable{watcher}, get: watcher.GetCertificate, ready: ready}, nil
}

func (c *certificates) configure(t *tls.Config) {
	t.MinVersion = tls.VersionTLS13
	t.GetCertificate = c.get
}
