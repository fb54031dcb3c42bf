// Package cluster sees a cluster as its operator does: with the user's kubeconfig, and
// nothing installed for it. It finds injected Pods, asks their sidecars' admin ports and
// reads their decision records.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/go-json-experiment/json"
)

// maxObjects bounds a page of a list.
const maxObjects = 500

// Client reads a cluster.
type Client struct {
	Kube   kubernetes.Interface
	Config *rest.Config
	// Namespace is that of the user's context, or the one that was asked for.
	Namespace string
	// SystemNamespace is where the webhook runs.
	SystemNamespace string
}

// Connect makes a client of a kubeconfig.
func Connect(kubeconfig clientcmd.ClientConfig, systemNamespace string) (*Client, error) {
	config, err := kubeconfig.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("find the cluster: there is no kubeconfig; name one with --kubeconfig or $KUBECONFIG")
	}
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	namespace, _, err := kubeconfig.Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	// A list of many Pods asks each of them.
	config.QPS, config.Burst = 50, 100
	// What the API server warns of is for who writes, not who looks.
	config.WarningHandler = rest.NoWarnings{}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return &Client{Kube: kube, Config: config, Namespace: namespace, SystemNamespace: systemNamespace}, nil
}

// Pod is an injected Pod.
type Pod struct {
	Namespace, Name string
	// Phase is the Pod's, Ready reports whether the sidecar is.
	Phase string
	Ready bool
	// AuthConfig is the name in the annotation, ConfigMap that of the ConfigMap which is
	// mounted.
	AuthConfig, ConfigMap string
	Mode, Image           string
	// Restarts are those of the sidecar.
	Restarts int32
	// Kept is the Pod as the API server has it.
	Kept *corev1.Pod
}

// String is NAMESPACE/NAME.
func (p *Pod) String() string { return p.Namespace + "/" + p.Name }

// InjectedPods lists them; an empty namespace stands for all.
func (c *Client) InjectedPods(ctx context.Context, namespace string) ([]*Pod, error) {
	var pods []*Pod
	options := metav1.ListOptions{LabelSelector: inject.LabelConfigMap, Limit: maxObjects}
	for {
		page, err := c.Kube.CoreV1().Pods(namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list Pods: %w", err)
		}
		for i := range page.Items {
			if pod := injectedPod(&page.Items[i]); pod != nil {
				pods = append(pods, pod)
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	slices.SortFunc(pods, func(a, b *Pod) int { return strings.Compare(a.String(), b.String()) })
	return pods, nil
}

// InjectedPod gives one Pod; name is NAME, pod/NAME or NAMESPACE/NAME.
func (c *Client) InjectedPod(ctx context.Context, name string) (*Pod, error) {
	namespace := c.Namespace
	if before, after, ok := strings.Cut(name, "/"); ok {
		if name = after; before != "pod" && before != "pods" {
			namespace = before
		}
	}
	found, err := c.Kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := injectedPod(found)
	if pod == nil {
		return nil, fmt.Errorf(
			"the Pod %s/%s has no sidecar; `kubectl countersign check -n %s` says why it may lack one",
			namespace,
			name,
			namespace,
		)
	}
	return pod, nil
}

// injectedPod is nil for a Pod without the sidecar.
func injectedPod(p *corev1.Pod) *Pod {
	at := slices.IndexFunc(
		p.Spec.InitContainers,
		func(c corev1.Container) bool { return c.Name == inject.ContainerSidecar },
	)
	if at < 0 {
		return nil
	}
	pod := &Pod{
		Namespace: p.Namespace, Name: p.Name, Phase: string(p.Status.Phase), Kept: p,
		AuthConfig: p.Annotations[inject.AnnotationAuthConfig], Image: p.Spec.InitContainers[at].Image,
		ConfigMap: inject.MountedConfigMap(p), Mode: string(inject.ModeOf(p)),
	}
	for _, s := range p.Status.InitContainerStatuses {
		if s.Name == inject.ContainerSidecar {
			pod.Ready, pod.Restarts = s.Started != nil && *s.Started, s.RestartCount
		}
	}
	return pod
}

// AuthConfig gives the ConfigMap that a Pod which names it would get: the namespace's own, or
// the shared one.
func (c *Client) AuthConfig(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	found, err := c.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil || !apierrors.IsNotFound(err) {
		return found, err
	}
	shared, sharedErr := c.Kube.CoreV1().ConfigMaps(c.SystemNamespace).Get(ctx, name, metav1.GetOptions{})
	if sharedErr == nil && configmap.IsShared(shared) {
		return shared, nil
	}
	return nil, err
}

// ErrNoPods says that there was nothing to look at.
var ErrNoPods = errors.New("no Pod with a sidecar")

// Issuer is that of the cluster's service-account tokens, as the API server says.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
func (c *Client) Issuer(ctx context.Context) (string, error) {
	text, err := c.Kube.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the cluster's issuer: %w", err)
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return "", fmt.Errorf("ask for the cluster's issuer: %w", err)
	}
	return document.Issuer, nil
}
