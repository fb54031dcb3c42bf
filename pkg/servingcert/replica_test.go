package servingcert

import (
	"context"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// cluster is enough of one for the bookkeeping between replicas; the admission
// tests run the same against a real API server.
func cluster(t *testing.T) Options {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, admissionregistrationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	meta := metav1.ObjectMeta{Name: "webhook"}
	secret := types.NamespacedName{Namespace: "system", Name: "webhook-certificate"}
	return Options{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name}},
			&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "a"}, {Name: "b"}}},
			&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "c"}, {Name: "d"}}},
		).Build(),
		Secret: secret, WebhookConfiguration: "webhook", Hosts: hosts, Lifetimes: lives,
	}.withDefaults()
}

type clock struct{ time time.Time }

func (c *clock) now() time.Time { return c.time }

func replicaAt(o Options, name string, c *clock) *Replica {
	r := NewReplica(o, name)
	r.now = c.now
	return r
}

func tick(t *testing.T, ticks ...func(context.Context) error) {
	t.Helper()
	for _, do := range ticks {
		if err := do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReplicaIsReadyOnlyWhenTheLeaderKnowsWhatItServes(t *testing.T) {
	o, c := cluster(t), &clock{time.Now()}
	rotator := NewRotator(o)
	rotator.now = c.now
	replica := replicaAt(o, "one", c)
	tick(t, replica.tick)
	if replica.Ready() == nil {
		t.Error("ready without a certificate")
	}
	tick(t, rotator.tick, replica.tick)
	if replica.Ready() == nil {
		t.Error("ready before what it serves is confirmed")
	}
	tick(t, replica.tick)
	if err := replica.Ready(); err != nil {
		t.Error(err)
	}
	// It cannot reach the API server any more.
	c.time = c.time.Add(unreadyAfter + time.Second)
	if replica.Ready() == nil {
		t.Error("ready though nobody knows what it serves")
	}
}

func TestTheOldCAWaitsForTheLastReplicaAndForNoDeadOne(t *testing.T) {
	o, c := cluster(t), &clock{time.Now()}
	rotator := NewRotator(o)
	rotator.now = c.now
	swift, slow, dead := replicaAt(o, "swift", c), replicaAt(o, "slow", c), replicaAt(o, "dead", c)
	tick(t, rotator.tick, swift.tick, slow.tick, dead.tick)
	first := bundleOf(t, o)

	c.time = c.time.Add(leaseDuration + time.Second) // dead renews no more
	tick(t, swift.tick, slow.tick)
	addNext(t, o, c.time)
	tick(t, rotator.tick)
	if count := countCertificates(bundleOf(t, o)); count != 2 {
		t.Fatalf("%d CAs are published before the switch", count)
	}
	c.time = c.time.Add(settleTime)
	tick(t, rotator.tick, swift.tick)
	for range 3 {
		tick(t, rotator.tick)
	}
	if count := countCertificates(bundleOf(t, o)); count != 2 {
		t.Fatalf("the old CA went while a live replica still serves its leaf: %d are published", count)
	}
	tick(t, slow.tick, rotator.tick)
	if bundle := bundleOf(t, o); countCertificates(bundle) != 1 || string(bundle) == string(first) {
		t.Error("the new CA is not alone after the last replica switched")
	}
}

func TestTheLeaseOfAReplicaThatIsGoneIsForgotten(t *testing.T) {
	o, c := cluster(t), &clock{time.Now()}
	rotator := NewRotator(o)
	rotator.now = c.now
	gone, live := replicaAt(o, "gone", c), replicaAt(o, "live", c)
	tick(t, rotator.tick, gone.tick)
	c.time = c.time.Add(forgetAfter + time.Second)
	tick(t, live.tick)
	addNext(t, o, c.time)
	tick(t, rotator.tick)
	c.time = c.time.Add(settleTime)
	tick(t, rotator.tick, live.tick, rotator.tick)
	var leases coordinationv1.LeaseList
	if err := o.Client.List(t.Context(), &leases); err != nil {
		t.Fatal(err)
	}
	if len(leases.Items) != 1 || leases.Items[0].Name != "webhook-replica-live" {
		t.Errorf("leases: %+v", leases.Items)
	}
}

// addNext begins a rotation as the end of the CA's life would.
func addNext(t *testing.T, o Options, now time.Time) {
	t.Helper()
	var secret corev1.Secret
	if err := o.Client.Get(t.Context(), o.Secret, &secret); err != nil {
		t.Fatal(err)
	}
	s, err := parseState(secret.Data)
	if err != nil {
		t.Fatal(err)
	}
	if s.next, err = newAuthority(hosts, now, lives.CA); err != nil {
		t.Fatal(err)
	}
	if secret.Data, err = s.data(); err != nil {
		t.Fatal(err)
	}
	if err := o.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
}

// bundleOf is what every webhook of both configurations has.
func bundleOf(t *testing.T, o Options) []byte {
	t.Helper()
	var mutating admissionregistrationv1.MutatingWebhookConfiguration
	var validating admissionregistrationv1.ValidatingWebhookConfiguration
	for _, object := range []client.Object{&mutating, &validating} {
		if err := o.Client.Get(t.Context(), client.ObjectKey{Name: o.WebhookConfiguration}, object); err != nil {
			t.Fatal(err)
		}
	}
	bundle := mutating.Webhooks[0].ClientConfig.CABundle
	for _, other := range [][]byte{mutating.Webhooks[1].ClientConfig.CABundle, validating.Webhooks[0].ClientConfig.CABundle, validating.Webhooks[1].ClientConfig.CABundle} {
		if string(other) != string(bundle) {
			t.Fatal("the webhooks have different bundles")
		}
	}
	return bundle
}

func countCertificates(bundle []byte) int {
	return strings.Count(string(bundle), "BEGIN CERTIFICATE")
}
