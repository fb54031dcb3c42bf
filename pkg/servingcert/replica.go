package servingcert

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

const (
	// labelReplica is on the Lease of every replica.
	labelReplica = authconfig.Prefix + "/webhook-replica"
	// annotationServing says on a replica's Lease which certificate it serves.
	annotationServing = authconfig.Prefix + "/serving-certificate"

	// A replica whose Lease could not be renewed for unreadyAfter counts as not
	// ready, so that it gets no more requests when, at leaseDuration, it is no
	// longer waited for.
	leaseDuration = 120 * time.Second
	unreadyAfter  = 45 * time.Second
	renewEvery    = 15 * time.Second
)

// Replica serves the certificate that the Secret holds and says in a Lease of
// its own which one that is.
type Replica struct {
	options  Options
	identity string
	now      func() time.Time
	current  atomic.Pointer[leaf]
	// renewed is when the Lease was last written, announced what it says.
	renewed   time.Time
	announced string
	// confirmed is when the Secret was last seen to hold what was announced.
	confirmed atomic.Int64
}

// NewReplica makes a Replica. The identity, a Pod's name, tells it from others.
func NewReplica(options Options, identity string) *Replica {
	return &Replica{options: options.withDefaults(), identity: identity, now: time.Now}
}

// NeedLeaderElection has the manager run the Replica in every replica.
func (*Replica) NeedLeaderElection() bool { return false }

// Start follows the Secret until ctx ends.
func (r *Replica) Start(ctx context.Context) error {
	every(ctx, func() time.Duration {
		if err := r.tick(ctx); err != nil && ctx.Err() == nil {
			slog.Error("the serving certificate could not be followed; trying again", "error", err)
		}
		if r.Ready() != nil {
			return min(r.options.Interval, time.Second)
		}
		return r.options.Interval
	})
	// A stopped replica need not be waited for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return client.IgnoreNotFound(r.options.Client.Delete(ctx, &coordinationv1.Lease{ObjectMeta: r.leaseMeta()}))
}

func (r *Replica) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var secret corev1.Secret
	if err := r.options.Client.Get(ctx, r.options.Secret, &secret); err != nil {
		return fmt.Errorf("read the Secret %s: %w", r.options.Secret, err)
	}
	if len(secret.Data[keyLeaf]) == 0 {
		return nil // the leader has yet to make it
	}
	s, err := parseState(secret.Data)
	if err != nil {
		return err
	}
	fingerprint := s.leaf.fingerprint()
	if now := r.current.Load(); now == nil || now.fingerprint() != fingerprint {
		r.current.Store(s.leaf)
		r.options.Observe(s.signing.certificate.NotAfter, s.leaf.certificate.Leaf.NotAfter)
		slog.Info(
			"serving a new certificate",
			"certificate",
			fingerprint[:16],
			"until",
			s.leaf.certificate.Leaf.NotAfter,
		)
	}
	// Only what was announced before the Secret was read is certain to have
	// been seen by a leader that looked for who serves something else.
	if r.announced == fingerprint && r.now().Sub(r.renewed) < unreadyAfter {
		r.confirmed.Store(r.now().UnixNano())
	}
	if r.announced == fingerprint && r.now().Sub(r.renewed) < renewEvery {
		return nil
	}
	return r.announce(ctx, fingerprint)
}

func (r *Replica) leaseMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: r.options.Secret.Namespace,
		Name:      r.options.WebhookConfiguration + "-replica-" + r.identity,
	}
}

func (r *Replica) announce(ctx context.Context, fingerprint string) error {
	lease := &coordinationv1.Lease{ObjectMeta: r.leaseMeta()}
	lease.Labels = map[string]string{labelReplica: "true"}
	lease.Annotations = map[string]string{annotationServing: fingerprint}
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &r.identity, LeaseDurationSeconds: ptr.To(int32(leaseDuration / time.Second)),
		RenewTime: &metav1.MicroTime{Time: r.now()},
	}
	patch, err := json.Marshal(lease)
	if err != nil {
		return fmt.Errorf("write the Lease %s: %w", lease.Name, err)
	}
	err = r.options.Client.Patch(ctx, lease.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) {
		err = r.options.Client.Create(ctx, lease)
	}
	if err != nil {
		return fmt.Errorf("write the Lease %s: %w", lease.Name, err)
	}
	r.announced, r.renewed = fingerprint, r.now()
	return nil
}

var errNoCertificate = errors.New("there is no serving certificate yet")

// GetCertificate is for tls.Config.
func (r *Replica) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	current := r.current.Load()
	if current == nil {
		return nil, errNoCertificate
	}
	return &current.certificate, nil
}

// Ready is nil when a valid certificate is served and the leader knows which.
func (r *Replica) Ready() error {
	current := r.current.Load()
	if current == nil {
		return errNoCertificate
	}
	if r.now().After(current.certificate.Leaf.NotAfter) {
		return errors.New("the serving certificate has expired")
	}
	if r.now().Sub(time.Unix(0, r.confirmed.Load())) > unreadyAfter {
		return errors.New(
			"the serving certificate is not confirmed: the API server cannot be reached, or the Lease not written",
		)
	}
	return nil
}
