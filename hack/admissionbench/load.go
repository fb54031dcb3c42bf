package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// loadWorkers create Pods at once, as controllers of many Deployments do.
	loadWorkers = 8
	// probeTime is how long kubelet and the controllers take to notice a dead replica: three
	// probes of the Deployment's readiness.
	probeTime = 6 * time.Second
	// awayTime is how long the auth-config is gone.
	awayTime = 2 * time.Second
)

// loadResult is what came of creating Pods while things broke.
type loadResult struct {
	created, bare                 int64
	unreachable, noConfig, others atomic.Int64
	surprise                      string
	admission                     quantiles
}

// load creates so many Pods, and again those that were refused, while a replica is
// killed, the certificates are rotated, and the auth-config is broken and goes away.
func (b *bench) load(ctx context.Context, pods int) (*loadResult, error) {
	second, err := b.startReplica(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { b.stopReplica(ctx, second) }()
	before, err := b.histogram()
	if err != nil {
		return nil, err
	}
	oldBundle, err := b.bundle(ctx)
	if err != nil {
		return nil, err
	}
	r := &loadResult{}
	var created atomic.Int64
	// Each goes off when so many are there.
	events := []struct {
		at int64
		do func(context.Context) error
	}{
		{int64(pods) / 5, func(ctx context.Context) error {
			next, err := b.replace(ctx, second)
			second = next
			return err
		}},
		{int64(pods) * 2 / 5, b.rotate},
		{int64(pods) * 3 / 5, b.breakConfig},
		{int64(pods) * 4 / 5, b.removeConfig},
	}
	var background, workers sync.WaitGroup
	failures := make(chan error, len(events))
	for _, event := range events {
		background.Go(func() {
			for created.Load() < event.at && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			failures <- event.do(ctx)
		})
	}
	for range loadWorkers {
		workers.Go(func() {
			for created.Load() < int64(pods) && ctx.Err() == nil {
				if err := b.admin.Create(ctx, pod(namespaceWith, true)); err != nil {
					r.refused(err)
					time.Sleep(50 * time.Millisecond)
					continue
				}
				created.Add(1)
			}
		})
	}
	workers.Wait()
	background.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	if err != nil {
		return nil, err
	}
	after, err := b.histogram()
	if err != nil {
		return nil, err
	}
	r.admission = after.since(before)
	if err := b.countBare(ctx, r); err != nil {
		return nil, err
	}
	if err := b.wantRotated(ctx, oldBundle); err != nil {
		return nil, err
	}
	return r, b.away(ctx, second)
}

func (r *loadResult) refused(err error) {
	text := err.Error()
	switch {
	case strings.Contains(text, "x509"), strings.Contains(text, "tls:"):
		// A rotation must not be noticed.
		r.other(text)
	case strings.Contains(text, "failed calling webhook"), apierrors.IsTimeout(err):
		r.unreachable.Add(1)
	case strings.Contains(text, "auth-config"):
		r.noConfig.Add(1)
	default:
		r.other(text)
	}
}

func (r *loadResult) other(text string) {
	if r.others.Add(1) == 1 {
		r.surprise = text
	}
}

// countBare reads all Pods back.
func (b *bench) countBare(ctx context.Context, r *loadResult) error {
	var pods corev1.PodList
	if err := b.admin.List(ctx, &pods, client.InNamespace(namespaceWith)); err != nil {
		return fmt.Errorf("list the Pods: %w", err)
	}
	for i := range pods.Items {
		r.created++
		if len(pods.Items[i].Spec.InitContainers) != 1 {
			r.bare++
		}
	}
	return nil
}

// replace kills a replica without a word, has its endpoint removed when probes would have
// noticed, and starts another.
func (b *bench) replace(ctx context.Context, killed *replica) (*replica, error) {
	if err := killed.process.Process.Kill(); err != nil {
		return killed, fmt.Errorf("kill a replica: %w", err)
	}
	_ = killed.process.Wait()
	time.Sleep(probeTime)
	if err := b.plane.RemoveEndpoint(ctx, systemNamespace, webhookName, killed.endpoint); err != nil {
		return killed, err
	}
	killed.process = nil
	return b.startReplica(ctx)
}

// rotate has a new CA waiting in the Secret, as the end of the old one's time would.
func (b *bench) rotate(ctx context.Context) error {
	certificate, key, err := standin.SelfSigned(x509.Certificate{
		Subject:             pkix.Name{CommonName: "next CA"},
		PermittedDNSDomains: []string{webhookName + "." + systemNamespace + ".svc"},
	})
	if err != nil {
		return fmt.Errorf("make a CA: %w", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var secret corev1.Secret
		name := types.NamespacedName{Namespace: systemNamespace, Name: webhookName + "-certificate"}
		if err = b.admin.Get(ctx, name, &secret); err == nil {
			secret.Data["next-ca.crt"], secret.Data["next-ca.key"] = certificate, key
			if err = b.admin.Update(ctx, &secret); err == nil {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("rotate the certificates: %w", err)
		}
	}
}

// bundle is what the API server trusts the webhook's certificate by.
func (b *bench) bundle(ctx context.Context) (string, error) {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	if err := b.admin.Get(ctx, types.NamespacedName{Name: webhookName}, &configuration); err != nil {
		return "", fmt.Errorf("read the webhook's configuration: %w", err)
	}
	return string(configuration.Webhooks[0].ClientConfig.CABundle), nil
}

// wantRotated waits until the old CA is no longer trusted.
func (b *bench) wantRotated(ctx context.Context, old string) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		now, err := b.bundle(ctx)
		if err == nil && !strings.Contains(now, strings.TrimSpace(old)) {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, errors.New("the certificates were not rotated"))
		}
	}
}

// breakConfig tries to apply what no Pod could start with; it fails unless it is told what is
// wrong.
func (b *bench) breakConfig(ctx context.Context) error {
	var cm corev1.ConfigMap
	if err := b.admin.Get(ctx, types.NamespacedName{Namespace: namespaceWith, Name: "aws"}, &cm); err != nil {
		return fmt.Errorf("read the auth-config: %w", err)
	}
	cm.Data["tools.cedar"] = "permit ("
	err := b.admin.Update(ctx, &cm)
	if err == nil || !strings.Contains(err.Error(), "tools.cedar") {
		return fmt.Errorf("a broken auth-config was not refused as such: %w", err)
	}
	return nil
}

// removeConfig takes the auth-config away for a moment.
func (b *bench) removeConfig(ctx context.Context) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespaceWith, Name: "aws"}}
	if err := b.admin.Delete(ctx, cm); err != nil {
		return fmt.Errorf("remove the auth-config: %w", err)
	}
	time.Sleep(awayTime)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := b.admin.Create(ctx, config(namespaceWith, "aws", ""))
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("put the auth-config back: %w", err)
		}
	}
}
