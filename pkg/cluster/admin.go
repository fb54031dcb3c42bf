package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/inject"
)

const (
	// adminPort is that of injected sidecars.
	adminPort = 15390
	// maxAnswer bounds an answer of an admin port.
	maxAnswer = 8 << 20
	// forwardTime bounds how long connecting to a Pod may take.
	forwardTime = 15 * time.Second
	// askTime bounds one question.
	askTime = 20 * time.Second
)

// Admin is the admin port of one sidecar, through the API server.
type Admin struct {
	// URL is where it is forwarded to on this machine, Token what opens it.
	URL, Token string
	stop       chan struct{}
	ended      chan error
}

// Close ends the forwarding.
func (a *Admin) Close() {
	close(a.stop)
	<-a.ended //nolint:errcheck // it was stopped
}

// Wait returns when the forwarding ends, or ctx does.
func (a *Admin) Wait(ctx context.Context) error {
	select {
	case err := <-a.ended:
		a.ended <- err
		return err
	case <-ctx.Done():
		return nil
	}
}

// Admin forwards a port of this machine to the Pod's admin port, and has the sidecar say its
// token. localPort 0 stands for a free one.
func (c *Client) Admin(ctx context.Context, pod *Pod, localPort int) (*Admin, error) {
	token, err := c.adminToken(ctx, pod)
	if err != nil {
		return nil, fmt.Errorf("%s: ask the sidecar for its token: %w", pod, err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return nil, fmt.Errorf("forward a port: %w", err)
	}
	target := c.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).
		SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	a := &Admin{Token: token, stop: make(chan struct{}), ended: make(chan error, 1)}
	ready, faults := make(chan struct{}), new(bytes.Buffer)
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"},
		[]string{strconv.Itoa(localPort) + ":" + strconv.Itoa(adminPort)}, a.stop, ready, io.Discard, faults)
	if err != nil {
		return nil, fmt.Errorf("forward a port: %w", err)
	}
	go func() { a.ended <- forwarder.ForwardPorts() }()
	timer := time.NewTimer(forwardTime)
	defer timer.Stop()
	select {
	case <-ready:
	case err := <-a.ended:
		return nil, fmt.Errorf("%s: forward a port: %w", pod, err)
	case <-timer.C:
		close(a.stop)
		return nil, fmt.Errorf("%s: the port was not forwarded within %s", pod, forwardTime)
	case <-ctx.Done():
		close(a.stop)
		return nil, ctx.Err()
	}
	ports, err := forwarder.GetPorts()
	if err != nil || len(ports) != 1 {
		a.Close()
		return nil, fmt.Errorf("%s: forward a port: %w", pod, errors.Join(err, errors.New("no port")))
	}
	a.URL = "http://127.0.0.1:" + strconv.Itoa(int(ports[0].Local))
	return a, nil
}

func (c *Client) adminToken(ctx context.Context, pod *Pod) (string, error) {
	r := c.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: inject.ContainerSidecar, Command: []string{"/sidecar", "admin-token"}, Stdout: true, Stderr: true,
	}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(c.Config, http.MethodPost, r.URL())
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", fmt.Errorf("%w: %s", err, said)
		}
		return "", err
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Status asks for the sidecar's status.
func (a *Admin) Status(ctx context.Context) (*adminport.Status, error) {
	status := &adminport.Status{}
	return status, a.ask(ctx, "/status", nil, status)
}

// Why asks for the story of a request.
func (a *Admin) Why(ctx context.Context, id string) (*adminport.Why, error) {
	story := &adminport.Why{}
	return story, a.ask(ctx, "/why/"+url.PathEscape(id), nil, story)
}

// WhatIf asks what would be decided; answer takes the JSON of an explain.Answer.
func (a *Admin) WhatIf(ctx context.Context, question *adminport.WhatIf, answer any) error {
	return a.ask(ctx, "/what-if", question, answer)
}

// ErrNotFound says that the sidecar knows nothing of it.
var ErrNotFound = errors.New("not found")

func (a *Admin) ask(ctx context.Context, path string, question, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if question != nil {
		text, err := json.Marshal(question)
		if err != nil {
			return fmt.Errorf("write the question: %w", err)
		}
		method, body = http.MethodPost, bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.URL+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.Token)
	// No proxy of the environment stands between this machine and itself.
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	if err != nil {
		return fmt.Errorf("ask the sidecar: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("ask the sidecar: %w", err)
	case response.StatusCode == http.StatusNotFound:
		return ErrNotFound
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the sidecar answers %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the sidecar's answer: %w", err)
	}
	return nil
}
