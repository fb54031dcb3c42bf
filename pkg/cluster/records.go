package cluster

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/countersign-io/countersign/pkg/inject"
)

const (
	// maxRecordLine bounds a line of a sidecar's log.
	maxRecordLine = 1 << 20
	// maxLogStreams bounds the Pods whose logs are followed at once.
	maxLogStreams = 200
)

// Record is a decision record with the Pod whose sidecar wrote it.
type Record struct {
	Pod       string    `json:"pod"`
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestId"`
	Caller    string    `json:"caller"`
	Role      string    `json:"role"`
	Upstream  string    `json:"upstream"`
	Method    string    `json:"method"`
	HTTP      string    `json:"httpMethod"`
	Tool      string    `json:"tool"`
	Subjects  []string  `json:"subjects"`
	Decision  string    `json:"decision"`
	Reason    string    `json:"reason"`
	Failure   string    `json:"failure"`
	Enforced  *bool     `json:"enforced"`
	Policies  []string  `json:"policies"`
	Errors    []string  `json:"errors"`
	Status    int       `json:"status"`
	// Line is the record as it was written.
	Line jsontext.Value `json:"-"`
}

// Subject is what the request was about: a tool, a resource, a prompt or a method.
func (r *Record) Subject() string {
	switch {
	case r.Tool != "":
		return r.Tool
	case len(r.Subjects) > 0:
		return fmt.Sprint(r.Subjects)
	}
	return cmp.Or(r.Method, r.HTTP)
}

// RecordsRequest says which records to read.
type RecordsRequest struct {
	Pods   []*Pod
	Follow bool
	// Since is how far back to look; zero for all that the nodes still have.
	Since time.Duration
}

// Records reads the decision records of several Pods, each Pod's in its order, and gives
// them to take, which is called from one goroutine at a time. Without Follow it ends with the
// logs. What could not be read of a Pod is in the error.
func (c *Client) Records(ctx context.Context, r RecordsRequest, take func(*Record)) error {
	if len(r.Pods) == 0 {
		return ErrNoPods
	}
	if r.Follow && len(r.Pods) > maxLogStreams {
		return fmt.Errorf(
			"%d Pods are too many to follow; name a namespace or a Pod (at most %d)",
			len(r.Pods),
			maxLogStreams,
		)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	faults := make([]error, len(r.Pods))
	places := make(chan struct{}, min(len(r.Pods), maxLogStreams))
	for i, pod := range r.Pods {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			err := c.recordsOf(ctx, pod, &r, func(record *Record) {
				mu.Lock()
				defer mu.Unlock()
				take(record)
			})
			if err != nil && ctx.Err() == nil {
				faults[i] = fmt.Errorf("%s: %w", pod, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(faults...)
}

func (c *Client) recordsOf(ctx context.Context, pod *Pod, r *RecordsRequest, take func(*Record)) error {
	options := &corev1.PodLogOptions{Container: inject.ContainerSidecar, Follow: r.Follow}
	if r.Since > 0 {
		options.SinceTime = ptr.To(metav1.NewTime(time.Now().Add(-r.Since)))
	}
	stream, err := c.Kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	return readRecords(stream, pod.String(), take)
}

// readRecords passes over lines that are no decision records: the program's log goes to the
// same place.
func readRecords(from io.Reader, pod string, take func(*Record)) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxRecordLine)
	for lines.Scan() {
		record := &Record{Pod: pod}
		if json.Unmarshal(lines.Bytes(), record) != nil || record.Decision == "" {
			continue
		}
		record.Pod, record.Line = pod, append([]byte(nil), lines.Bytes()...)
		take(record)
	}
	return lines.Err()
}

// ReadRecords reads decision records as they stand in a sidecar's log, for tools that were
// given a file.
func ReadRecords(from io.Reader, take func(*Record)) error { return readRecords(from, "", take) }
