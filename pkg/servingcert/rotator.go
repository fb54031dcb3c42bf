package servingcert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Options are shared by the Rotator and the Replicas of one webhook.
type Options struct {
	// Client reads without a cache.
	Client client.Client
	// Secret exists already and may be empty.
	Secret types.NamespacedName
	// WebhookConfiguration names both the mutating and the validating one.
	WebhookConfiguration string
	// Hosts are the names, or addresses, by which API servers call the webhook.
	Hosts []string
	// Lifetimes of certificates.
	Lifetimes Lifetimes
	// Interval between looks at the Secret. Defaults to 5 s.
	Interval time.Duration
	// Settle is how long a new CA is published before it is used. Defaults to
	// 15 s.
	Settle time.Duration
	// Observe is told when the certificates that are in use end.
	Observe func(ca, leaf time.Time)
}

func (o Options) withDefaults() Options {
	o.Lifetimes.setDefaults()
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.Settle == 0 {
		o.Settle = settleTime
	}
	if o.Observe == nil {
		o.Observe = func(time.Time, time.Time) {}
	}
	return o
}

// Rotator makes the certificates and publishes their CAs. It runs in the leader
// only.
type Rotator struct {
	options Options
	now     func() time.Time
	// bundle is what has been seen published since publishedAt.
	bundle      []byte
	publishedAt time.Time
}

// NewRotator makes a Rotator that does nothing until it is started.
func NewRotator(options Options) *Rotator {
	return &Rotator{options: options.withDefaults(), now: time.Now}
}

// NeedLeaderElection has the manager run one Rotator at a time.
func (*Rotator) NeedLeaderElection() bool { return true }

// Start works until ctx ends. What fails is tried again.
func (r *Rotator) Start(ctx context.Context) error {
	every(ctx, func() time.Duration {
		if err := r.tick(ctx); err != nil && ctx.Err() == nil {
			slog.Error("the serving certificate could not be looked after; trying again", "error", err)
		}
		return r.options.Interval
	})
	return nil
}

// every calls do, which says how long to wait until the next call.
func every(ctx context.Context, do func() time.Duration) {
	for {
		wait := time.NewTimer(do())
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

func (r *Rotator) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var secret corev1.Secret
	if err := r.options.Client.Get(ctx, r.options.Secret, &secret); err != nil {
		return fmt.Errorf("read the Secret %s: %w", r.options.Secret, err)
	}
	s, err := parseState(secret.Data)
	if err != nil {
		slog.Error(
			"the Secret with the serving certificate is damaged; making it anew",
			"secret",
			r.options.Secret.String(),
			"error",
			err,
		)
		s = &state{}
	}
	o := observed{now: r.now()}
	if s.signing != nil && bytes.Equal(r.bundle, s.bundle()) {
		o.published = o.now.Sub(r.publishedAt)
	}
	if s.leaf != nil && len(s.old) > 0 {
		if o.replicasSwitched, err = r.replicasSwitched(ctx, s.leaf.fingerprint()); err != nil {
			return err
		}
	}
	changed, err := s.step(r.options.Hosts, r.options.Lifetimes, r.options.Settle, o)
	if err != nil {
		return err
	}
	if changed {
		if err := r.store(ctx, &secret, s); err != nil {
			return err
		}
	}
	return r.publish(ctx, s.bundle())
}

// store fails when another replica has written the Secret since it was read.
func (r *Rotator) store(ctx context.Context, secret *corev1.Secret, s *state) error {
	data, err := s.data()
	if err != nil {
		return err
	}
	secret.Data = data
	if err := r.options.Client.Update(ctx, secret); err != nil {
		return fmt.Errorf("write the Secret %s: %w", r.options.Secret, err)
	}
	slog.Info("the serving certificate went a step further", "serving", s.leaf.fingerprint()[:16],
		"until", s.leaf.certificate.Leaf.NotAfter, "nextCA", s.next != nil, "oldCA", len(s.old) > 0)
	return nil
}

// publish puts the CAs into both webhook configurations, each whatever becomes
// of the other.
func (r *Rotator) publish(ctx context.Context, bundle []byte) error {
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	changedMutating, mutatingErr := r.publishIn(
		ctx,
		bundle,
		&mutating,
		func() (configs []*admissionregistrationv1.WebhookClientConfig) {
			for n := range mutating.Webhooks {
				configs = append(configs, &mutating.Webhooks[n].ClientConfig)
			}
			return configs
		},
	)
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	changedValidating, validatingErr := r.publishIn(
		ctx,
		bundle,
		&validating,
		func() (configs []*admissionregistrationv1.WebhookClientConfig) {
			for n := range validating.Webhooks {
				configs = append(configs, &validating.Webhooks[n].ClientConfig)
			}
			return configs
		},
	)
	if err := errors.Join(mutatingErr, validatingErr); err != nil {
		return fmt.Errorf("publish the CA: %w", err)
	}
	if changedMutating || changedValidating || !bytes.Equal(r.bundle, bundle) {
		r.bundle, r.publishedAt = bundle, r.now()
	}
	return nil
}

// publishIn reads the webhook configuration into an object and writes it again if
// one of its client configs lacks the bundle.
func (r *Rotator) publishIn(
	ctx context.Context,
	bundle []byte,
	object client.Object,
	clientConfigs func() []*admissionregistrationv1.WebhookClientConfig,
) (changed bool, err error) {
	name := types.NamespacedName{Name: r.options.WebhookConfiguration}
	if err := r.options.Client.Get(ctx, name, object); err != nil {
		return false, err
	}
	for _, config := range clientConfigs() {
		if !bytes.Equal(config.CABundle, bundle) {
			config.CABundle, changed = bundle, true
		}
	}
	if !changed {
		return false, nil
	}
	return true, r.options.Client.Update(ctx, object)
}

// forgetAfter is how long the Lease of a replica that is gone is kept.
const forgetAfter = time.Hour

// replicasSwitched reports whether every live replica says that it serves the
// leaf.
func (r *Rotator) replicasSwitched(ctx context.Context, fingerprint string) (bool, error) {
	var leases coordinationv1.LeaseList
	err := r.options.Client.List(
		ctx,
		&leases,
		client.InNamespace(r.options.Secret.Namespace),
		client.HasLabels{labelReplica},
	)
	if err != nil {
		return false, fmt.Errorf("list the replicas: %w", err)
	}
	live := 0
	for n := range leases.Items {
		lease := &leases.Items[n]
		age := leaseDuration + forgetAfter
		if lease.Spec.RenewTime != nil {
			age = r.now().Sub(lease.Spec.RenewTime.Time)
		}
		if age > forgetAfter {
			_ = r.options.Client.Delete(ctx, lease) // the next look tries again
		}
		if age > leaseDuration {
			continue
		}
		live++
		if lease.Annotations[annotationServing] != fingerprint {
			return false, nil
		}
	}
	return live > 0, nil
}
