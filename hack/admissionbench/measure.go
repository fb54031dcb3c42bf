package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func pod(namespace string, asks bool) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:    namespace,
			GenerateName: "agent-",
			Labels:       map[string]string{"app": "agent"},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "agent", Image: "registry.example.com/agent:1"}},
		},
	}
	if asks {
		p.Annotations = map[string]string{"countersign.io/auth-config": "aws"}
	}
	return p
}

// quantiles are in seconds.
type quantiles struct {
	median, p99 float64
	count       uint64
}

// admissionReview is what the API server sends for a Pod that asks.
func admissionReview() ([]byte, error) {
	raw, err := json.Marshal(pod(namespaceWith, true))
	if err != nil {
		return nil, err
	}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(
				"bench",
			), Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Operation: admissionv1.Create,
			Namespace: namespaceWith, Object: runtime.RawExtension{Raw: raw},
		},
	})
}

// measureAdmission sends admission requests to the webhook as the API server
// does and reads from its own histogram how long they took there.
func (b *bench) measureAdmission(ctx context.Context, requests, concurrency int) (quantiles, error) {
	review, err := admissionReview()
	if err != nil {
		return quantiles{}, err
	}
	if err := b.send(ctx, review, concurrency*20, concurrency); err != nil { // warm
		return quantiles{}, err
	}
	before, err := b.histogram()
	if err != nil {
		return quantiles{}, err
	}
	if err := b.send(ctx, review, requests, concurrency); err != nil {
		return quantiles{}, err
	}
	after, err := b.histogram()
	if err != nil {
		return quantiles{}, err
	}
	return after.since(before), nil
}

func (b *bench) send(ctx context.Context, review []byte, requests, concurrency int) error {
	return b.sendTo(ctx, b.first, review, requests, concurrency)
}

func (b *bench) sendTo(ctx context.Context, to *replica, review []byte, requests, concurrency int) error {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	url := "https://" + net.JoinHostPort(b.address, strconv.Itoa(to.port)) + "/mutate-pods"
	var left atomic.Int64
	left.Store(int64(requests))
	var mu sync.Mutex
	var all error
	var workers sync.WaitGroup
	for range concurrency {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				if err := post(ctx, transport, url, review); err != nil {
					mu.Lock()
					all = errors.Join(all, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	workers.Wait()
	return all
}

func post(ctx context.Context, transport http.RoundTripper, url string, review []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(review))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"patch":`)) {
		return fmt.Errorf("the webhook answered %s: %s", answer.Status, text)
	}
	return nil
}

// histogram is cumulative: counts by upper bound, in seconds.
type histogram struct {
	bounds []float64
	counts []uint64
	total  uint64
}

func (b *bench) histogram() (*histogram, error) {
	families, err := standin.Metrics("http://" + net.JoinHostPort(b.address, strconv.Itoa(b.first.stats)) + "/metrics")
	if err != nil {
		return nil, err
	}
	for _, metric := range families["countersign_admission_duration_seconds"].GetMetric() {
		if metric.GetLabel()[0].GetValue() != "injected" {
			continue
		}
		h := &histogram{total: metric.GetHistogram().GetSampleCount()}
		for _, bucket := range metric.GetHistogram().GetBucket() {
			h.bounds = append(h.bounds, bucket.GetUpperBound())
			h.counts = append(h.counts, bucket.GetCumulativeCount())
		}
		return h, nil
	}
	return nil, errors.New("read metrics: no admission was counted")
}

func (h *histogram) since(before *histogram) quantiles {
	total := h.total - before.total
	at := func(q float64) float64 {
		rank, low, below := q*float64(total), 0.0, uint64(0)
		for n, bound := range h.bounds {
			count := h.counts[n] - before.counts[n]
			if float64(count) >= rank {
				// As Prometheus does it: evenly within the bucket.
				return low + (bound-low)*(rank-float64(below))/float64(count-below)
			}
			low, below = bound, count
		}
		return low
	}
	return quantiles{median: at(.5), p99: at(.99), count: total}
}

// measureCreates makes Pods dry through the API server, in turn with and without
// the webhook.
func (b *bench) measureCreates(ctx context.Context, count int) (with, without time.Duration, err error) {
	var times [2][]time.Duration
	for n := range 2*count + 40 {
		which := n % 2
		p := pod([]string{namespaceWith, namespaceNone}[which], which == 0)
		begun := time.Now()
		if err := b.admin.Create(ctx, p, client.DryRunAll); err != nil {
			return 0, 0, err
		}
		took := time.Since(begun)
		if injected := len(p.Spec.InitContainers) == 1; injected != (which == 0) {
			return 0, 0, errors.New("injected where it should not be, or not where it should")
		}
		if n >= 40 {
			times[which] = append(times[which], took)
		}
	}
	for n := range times {
		slices.Sort(times[n])
	}
	return times[0][count/2], times[1][count/2], nil
}

// fill applies ConfigMaps of 4 KiB, as many teams would.
func (b *bench) fill(ctx context.Context, count int) error {
	const size = 4 << 10
	policies := `permit (principal, action == MCP::Action::"aws___run_script", resource);` + "\n"
	policies += "// " + strings.Repeat("x", size-len(policies)-len(authConfig)-4) + "\n"
	var next atomic.Int64
	var mu sync.Mutex
	var all error
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := next.Add(1); n <= int64(count); n = next.Add(1) {
				if err := b.admin.Create(ctx, config(namespaceNone, fmt.Sprintf("team-%d", n), policies)); err != nil {
					mu.Lock()
					all = errors.Join(all, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	workers.Wait()
	return all
}
