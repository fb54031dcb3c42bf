package admission_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/inject"
)

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// wantMetric looks for a counter above zero in any replica.
func wantMetric(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	replicas.mu.Lock()
	defer replicas.mu.Unlock()
	for _, r := range replicas.running {
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				matching := 0
				for _, pair := range metric.GetLabel() {
					if value, ok := labels[pair.GetName()]; ok && value == pair.GetValue() {
						matching++
					}
				}
				value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
				if family.GetName() == name && matching == len(labels) && value > 0 {
					return
				}
			}
		}
	}
	t.Errorf("no replica has counted %s%v", name, labels)
}

func TestEveryReplicaKnowsWhenItsCertificateEnds(t *testing.T) {
	for _, certificate := range []string{"ca", "serving"} {
		wantMetric(t, "countersign_certificate_expiry_timestamp_seconds", map[string]string{"certificate": certificate})
	}
}

func TestTheLeadersEndIsNotNoticed(t *testing.T) {
	namespace := labelledNamespace(t)
	failures := admitSteadily(t, namespace)
	for _, name := range []string{"one", "two"} {
		if err := replicas.start(t.Context(), name+"-again"); err != nil {
			t.Fatal(err)
		}
		if err := replicas.stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	// Somebody leads again: copies are made.
	shared := sharedConfig(t, "after-failover")
	wantCopy(t, namespace, shared)
	if err := failures(); err != nil {
		t.Errorf("not admitted meanwhile: %v", err)
	}
}

// admitSteadily makes Pods that ask and auth-configs, dry, until the result is
// asked for.
func admitSteadily(t *testing.T, namespace string) (failures func() error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var all error
	count := 0
	var worker sync.WaitGroup
	worker.Go(func() {
		for ctx.Err() == nil {
			if err := admitBoth(ctx, namespace); err != nil && ctx.Err() == nil {
				all = errors.Join(all, err)
			}
			count++
			time.Sleep(10 * time.Millisecond)
		}
	})
	return func() error {
		stop()
		worker.Wait()
		t.Logf("%d Pods and as many auth-configs were admitted meanwhile", count)
		return all
	}
}

// admitBoth has the API server call both webhooks; it keeps connections for each.
func admitBoth(ctx context.Context, namespace string) error {
	pod := asking(namespace, "aws")
	if err := admin.Create(ctx, pod, client.DryRunAll); err != nil {
		return fmt.Errorf("a Pod: %w", err)
	}
	if sidecarOf(pod) == nil {
		return errors.New("a Pod was admitted bare")
	}
	if err := admin.Create(ctx, authConfig(namespace, "steady", validConfig), client.DryRunAll); err != nil {
		return fmt.Errorf("an auth-config: %w", err)
	}
	return nil
}

// TestARotationIsNotNoticed begins one as the end of the CA's time would: with a
// new CA in the Secret. The API server calls two replicas all the while.
func TestARotationIsNotNoticed(t *testing.T) {
	namespace := labelledNamespace(t)
	before := publishedBundle(t)
	if count := strings.Count(before, "BEGIN CERTIFICATE"); count != 1 {
		t.Fatalf("%d CAs are published at rest", count)
	}
	failures := admitSteadily(t, namespace)
	forceRotation(t)
	sawBoth := false
	eventually(t, "the new CA alone is published", func(context.Context) error {
		bundle := publishedBundle(t)
		if strings.Count(bundle, "BEGIN CERTIFICATE") == 2 && strings.Contains(bundle, before) {
			sawBoth = true
		}
		if strings.Count(bundle, "BEGIN CERTIFICATE") == 1 && bundle != before {
			return nil
		}
		return context.DeadlineExceeded
	})
	if !sawBoth {
		t.Error("old and new CA were never published together")
	}
	if err := failures(); err != nil {
		t.Errorf("not admitted meanwhile: %v", err)
	}
}

// publishedBundle is what both configurations have, in every webhook.
func publishedBundle(t *testing.T) string {
	t.Helper()
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	if err := get(t.Context(), "", webhookName, &mutating); err != nil {
		t.Fatal(err)
	}
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	if err := get(t.Context(), "", webhookName, &validating); err != nil {
		t.Fatal(err)
	}
	bundles := []string{string(mutating.Webhooks[0].ClientConfig.CABundle)}
	for _, w := range validating.Webhooks {
		bundles = append(bundles, string(w.ClientConfig.CABundle))
	}
	// While it is published the two may differ for a moment.
	if len(slices.Compact(bundles)) != 1 {
		return ""
	}
	return bundles[0]
}

func TestTheUnreachableWebhookStopsPodsThatAskAndNothingElse(t *testing.T) {
	namespace := labelledNamespace(t)
	replicas.mu.Lock()
	var names []string
	for name := range replicas.running {
		names = append(names, name)
	}
	replicas.mu.Unlock()
	for _, name := range names {
		if err := replicas.stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, name := range []string{"one-back", "two-back"} {
			if err := replicas.start(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
	})
	err := admin.Create(t.Context(), asking(namespace, "aws"))
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "pods.countersign.io"`) {
		t.Errorf("a Pod that asks: %v", err)
	}
	create(t, podWith(namespace, nil))
	create(t, podWith(namespace, map[string]string{inject.AnnotationAuthConfig: "aws", inject.AnnotationInject: "false"}))
	create(t, asking(plainNamespace(t, nil), "aws"))
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other"}})
	if err := admin.Create(t.Context(), authConfig(namespace, "new", validConfig)); err == nil {
		t.Error("an auth-config was admitted without validation")
	}
	if err := admin.Delete(t.Context(), authConfig(namespace, "aws", "")); err != nil {
		t.Errorf("an auth-config cannot be deleted: %v", err)
	}
}

func forceRotation(t *testing.T) {
	t.Helper()
	key := types.NamespacedName{Namespace: systemNamespace, Name: webhookName + "-certificate"}
	eventually(t, "the Secret is changed", func(ctx context.Context) error {
		var secret corev1.Secret
		if err := admin.Get(ctx, key, &secret); err != nil {
			return err
		}
		next, nextKey := newAuthority(t)
		secret.Data["next-ca.crt"], secret.Data["next-ca.key"] = next, nextKey
		return admin.Update(ctx, &secret)
	})
}

// newAuthority is a CA of another make than ours: P-256, PKCS #8.
func newAuthority(t *testing.T) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := standin.SelfSigned(x509.Certificate{
		Subject:             pkix.Name{CommonName: "test CA"},
		PermittedDNSDomains: []string{webhookName + "." + systemNamespace + ".svc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}
