package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// ControlPlane is a kube-apiserver with etcd. Nothing runs Pods in it, and no
// controllers but those that a test starts.
type ControlPlane struct {
	// Admin may do everything.
	Admin *rest.Config

	environment *envtest.Environment
	kubectl     string
	kubeconfig  string
	dir         string
}

// Start starts the control plane. Services are resolved to their EndpointSlices,
// so that the shipped webhook configurations work as they are.
func Start(ctx context.Context) (*ControlPlane, error) {
	assets, err := Assets(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	// envtest lets KUBEBUILDER_ASSETS win over the directory; they are the same.
	arguments := environment.ControlPlane.GetAPIServer().Configure()
	arguments.Append("enable-aggregator-routing", "true")
	// envtest turns the ServiceAccount plugin off; on a real cluster it changes
	// Pods after us.
	arguments.Disable("disable-admission-plugins")
	c := &ControlPlane{environment: environment, kubectl: filepath.Join(assets, "kubectl")}
	if c.Admin, err = environment.Start(); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	if c.dir, err = os.MkdirTemp("", "countersign-controlplane-"); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	if err := os.WriteFile(c.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Stop ends both processes.
func (c *ControlPlane) Stop() error {
	return errors.Join(os.RemoveAll(c.dir), c.environment.Stop())
}

// Kubeconfig is a file for programs that talk to the control plane as admin.
func (c *ControlPlane) Kubeconfig() string { return c.kubeconfig }

// Kubectl runs kubectl as admin in the root of the repository; output is what
// it printed, errors and warnings included.
func (c *ControlPlane) Kubectl(ctx context.Context, arguments ...string) (output string, err error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, c.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, arguments...)...)
	command.Dir = root
	var b bytes.Buffer
	command.Stdout, command.Stderr = &b, &b
	if err := command.Run(); err != nil {
		return b.String(), fmt.Errorf("kubectl %v: %w: %s", arguments, err, b.String())
	}
	return b.String(), nil
}

// ServiceAccount is a config with a token of the service account and no other
// rights than its own.
func (c *ControlPlane) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	clients, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return nil, err
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(3600))},
	}
	token, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask for a token: %w", err)
	}
	config := rest.AnonymousClientConfig(c.Admin)
	config.BearerToken = token.Status.Token
	config.QPS, config.Burst = -1, -1
	return config, nil
}

// Address is one of this machine that an EndpointSlice may have: not loopback.
func Address() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find an address: %w", err)
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String(), nil
		}
	}
	return "", errors.New(
		"find an address: this machine has only loopback addresses, and Kubernetes takes none of those for an endpoint",
	)
}

// SetEndpoint makes host:port an endpoint of a Service under a port's name; the
// endpoint's own name tells it from others of the Service.
func (c *ControlPlane) SetEndpoint(
	ctx context.Context,
	namespace, service, portName, endpoint, host string,
	port int,
) error {
	clients, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return err
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: service + "-" + endpoint,
			Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}},
		},
		Ports: []discoveryv1.EndpointPort{
			{Name: &portName, Port: ptr.To(int32(port)), Protocol: ptr.To(corev1.ProtocolTCP)},
		},
	}
	_, err = clients.DiscoveryV1().EndpointSlices(namespace).Create(ctx, slice, metav1.CreateOptions{})
	return err
}

// RemoveEndpoint undoes SetEndpoint.
func (c *ControlPlane) RemoveEndpoint(ctx context.Context, namespace, service, endpoint string) error {
	clients, err := kubernetes.NewForConfig(c.Admin)
	if err != nil {
		return err
	}
	return clients.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, service+"-"+endpoint, metav1.DeleteOptions{})
}

// Ports for listeners: below those that systems give to outgoing connections (Linux
// begins at 32768) and Kubernetes to Services. One of those may be taken between the
// time that it is found free and the time that somebody listens on it.
const firstPort, lastPort = 20000, 29999

// FreePort is a TCP port of the address that nobody listens on now.
func FreePort(address string) (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
