package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-io/countersign/e2e/controlplane"
)

const (
	systemNamespace = "countersign-system"
	webhookName     = "countersign-webhook"
	namespaceWith   = "with"
	namespaceNone   = "without"
)

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign}}
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/Default
    roleMappings:
    - {claim: s3-readers, roleArn: "arn:aws:iam::123456789012:role/S3", priority: 10}
    - {matcher: '"admins" in claims["groups"]', roleArn: "arn:aws:iam::123456789012:role/Admin", priority: 1}
`

// bench is the webhook as a process, and the cluster that it serves.
type bench struct {
	plane   *controlplane.ControlPlane
	admin   client.Client
	binary  string
	dir     string
	address string

	// first is the replica that is measured.
	first     *replica
	endpoints int
}

// replica is one process of the webhook, behind its Service.
type replica struct {
	process             *exec.Cmd
	port, health, stats int
	endpoint            string
}

func newBench(ctx context.Context, plane *controlplane.ControlPlane, binary string) (*bench, error) {
	admin, err := client.New(plane.Admin, client.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := plane.Kubectl(ctx, "apply", "-k", "manifests/base"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "countersign-admissionbench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	b := &bench{plane: plane, admin: admin, binary: binary, dir: dir}
	if b.address, err = controlplane.Address(); err != nil {
		return nil, err
	}
	return b, b.writeKubeconfig(ctx)
}

// writeKubeconfig gives the webhook the rights of its service account and no
// others.
func (b *bench) writeKubeconfig(ctx context.Context) error {
	config, err := b.plane.ServiceAccount(ctx, systemNamespace, webhookName)
	if err != nil {
		return err
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["bench"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["bench"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	file.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	file.CurrentContext = "bench"
	return clientcmd.WriteToFile(*file, filepath.Join(b.dir, "kubeconfig"))
}

// start makes the first replica, and the namespaces.
func (b *bench) start(ctx context.Context) (err error) {
	if b.first, err = b.startReplica(ctx); err != nil {
		return err
	}
	return b.makeNamespaces(ctx)
}

func (b *bench) startReplica(ctx context.Context) (*replica, error) {
	r := &replica{}
	for _, port := range []*int{&r.port, &r.health, &r.stats} {
		var err error
		if *port, err = controlplane.FreePort(b.address); err != nil {
			return nil, err
		}
	}
	listen := func(port int) string { return net.JoinHostPort(b.address, strconv.Itoa(port)) }
	r.process = exec.CommandContext(ctx, b.binary, "serve", "--port", strconv.Itoa(r.port), "--log-level", "warn",
		"--health-address", listen(r.health), "--metrics-address", listen(r.stats), "--shutdown-delay", "0")
	// As in the Deployment.
	r.process.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.dir, "kubeconfig"), "GOMEMLIMIT=200MiB")
	r.process.Stderr = os.Stderr
	if err := r.process.Start(); err != nil {
		return nil, fmt.Errorf("start the webhook: %w", err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get("http://" + listen(r.health) + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(end) {
			return nil, errors.New("the webhook is not ready after a minute")
		}
	}
	b.endpoints++
	r.endpoint = strconv.Itoa(b.endpoints)
	err := b.plane.SetEndpoint(ctx, systemNamespace, webhookName, "webhook", r.endpoint, b.address, r.port)
	return r, err
}

// makeNamespaces waits until the API server calls the webhook.
func (b *bench) makeNamespaces(ctx context.Context) error {
	for name, labels := range map[string]map[string]string{
		namespaceWith: {"countersign.io/injection": "enabled"}, namespaceNone: nil,
	} {
		objects := []client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}},
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}},
			config(name, "aws", ""),
		}
		for _, object := range objects {
			var err error
			for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
				if err = b.admin.Create(ctx, object); client.IgnoreAlreadyExists(err) == nil {
					break
				}
				if time.Now().After(end) {
					return fmt.Errorf("set up the namespace %s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func config(namespace, name, policies string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      name,
			Labels:    map[string]string{"countersign.io/auth-config": "true"},
		},
		Data: map[string]string{"auth-config.yaml": authConfig},
	}
	if policies != "" {
		cm.Data["tools.cedar"] = policies
	}
	return cm
}

func (b *bench) stop(ctx context.Context) { b.stopReplica(ctx, b.first) }

func (b *bench) stopReplica(ctx context.Context, r *replica) {
	if r == nil || r.process == nil {
		return
	}
	_ = b.plane.RemoveEndpoint(context.WithoutCancel(ctx), systemNamespace, webhookName, r.endpoint)
	_ = r.process.Process.Signal(syscall.SIGTERM)
	_ = r.process.Wait()
	r.process = nil
}

// residentMiB is what the process takes when it has had a moment to settle.
func (b *bench) residentMiB() (float64, error) {
	time.Sleep(3 * time.Second)
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", b.first.process.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("read memory: no VmRSS")
}
