// Package controlplane runs a real kube-apiserver with etcd for tests and
// benchmarks, and installs the shipped manifests with kubectl as a user would.
package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// assetsVariable names a directory with the binaries, as envtest has it.
const assetsVariable = "KUBEBUILDER_ASSETS"

// kubernetesVersion is that of hack/cluster/go.mod.
const kubernetesVersion = "v1.35.4"

// binary is a program of a cluster.
type binary struct {
	name, path string
	// with says what needs it.
	with purpose
}

// purpose is what programs are wanted for; each needs those of the ones before it
// as well.
type purpose int

const (
	forAPI purpose = iota
	forPods
	forKubeadm
)

var binaries = []binary{
	{name: "kube-apiserver", path: "k8s.io/kubernetes/cmd/kube-apiserver"},
	{name: "kubectl", path: "k8s.io/kubernetes/cmd/kubectl"},
	{name: "etcd", path: "go.etcd.io/etcd/server/v3"},
	{name: "kube-controller-manager", path: "k8s.io/kubernetes/cmd/kube-controller-manager", with: forPods},
	{name: "kube-scheduler", path: "k8s.io/kubernetes/cmd/kube-scheduler", with: forPods},
	{name: "kubelet", path: "k8s.io/kubernetes/cmd/kubelet", with: forPods},
	{name: "kube-proxy", path: "k8s.io/kubernetes/cmd/kube-proxy", with: forPods},
	{name: "coredns", path: "github.com/coredns/coredns", with: forPods},
	{name: "kubeadm", path: "k8s.io/kubernetes/cmd/kubeadm", with: forKubeadm},
}

// NodeAssets is Assets with the programs of a node as well, which
// KUBEBUILDER_ASSETS never has.
func NodeAssets(ctx context.Context, log io.Writer) (string, error) {
	return assets(ctx, upTo(forPods), log)
}

// KubeadmAssets is NodeAssets with kubeadm, which makes nodes of such programs.
func KubeadmAssets(ctx context.Context, log io.Writer) (string, error) {
	return assets(ctx, upTo(forKubeadm), log)
}

// Kubectl gives a directory with kubectl, and builds nothing else.
func Kubectl(ctx context.Context, log io.Writer) (string, error) {
	return assets(ctx, func(b binary) bool { return b.name == "kubectl" }, log)
}

func upTo(p purpose) func(binary) bool { return func(b binary) bool { return b.with <= p } }

// Assets gives a directory with kube-apiserver, etcd and kubectl: the one that
// KUBEBUILDER_ASSETS names, else one in the user's cache, where they are built
// from their Go modules once. It tells log what it does.
func Assets(ctx context.Context, log io.Writer) (string, error) {
	if dir := os.Getenv(assetsVariable); dir != "" {
		if missing := missingFrom(dir); missing != "" {
			return "", fmt.Errorf("%s: %s has no %s", assetsVariable, dir, missing)
		}
		return dir, nil
	}
	return assets(ctx, upTo(forAPI), log)
}

func assets(ctx context.Context, wanted func(binary) bool, log io.Writer) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "hack", "cluster")
	dir, err := cacheDir(module)
	if err != nil {
		return "", err
	}
	unlock, err := lock(dir+".lock", log)
	if err != nil {
		return "", err
	}
	defer unlock()
	var missing []binary
	for _, b := range binaries {
		if _, err := os.Stat(filepath.Join(dir, b.name)); err != nil && wanted(b) {
			missing = append(missing, b)
		}
	}
	if len(missing) == 0 {
		return dir, nil
	}
	return dir, build(ctx, module, dir, missing, log)
}

// Root is the root of the repository, looked for upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "cluster", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find the repository: run this inside it")
		}
		dir = filepath.Dir(dir)
	}
}

func cacheDir(module string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", fmt.Errorf("read the module of the binaries: %w", err)
	}
	sum := sha256.Sum256(sums)
	dir := filepath.Join(cache, "countersign", "kubernetes-"+kubernetesVersion+"-"+hex.EncodeToString(sum[:4]))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	return dir, nil
}

// lock keeps two processes from building at once. Who has to wait is told for what.
func lock(path string, log io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_, _ = fmt.Fprintf(
			log,
			"Another process builds Kubernetes' programs; waiting until it has ended (it holds %s).\n",
			path,
		)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// missingFrom names what a directory lacks of what tests need.
func missingFrom(dir string) string {
	for _, b := range binaries {
		if _, err := os.Stat(filepath.Join(dir, b.name)); err != nil && b.with == forAPI {
			return b.name
		}
	}
	return ""
}

func build(ctx context.Context, module, dir string, missing []binary, log io.Writer) error {
	names := make([]string, len(missing))
	for n, b := range missing {
		names[n] = b.name
	}
	_, _ = fmt.Fprintf(log, "Building %s (Kubernetes %s) from their Go modules into %s.\n"+
		"This happens once: kubectl takes about 2 minutes on two cores, the API server 4, all of a node 8.\n",
		strings.Join(names, ", "), kubernetesVersion, dir)
	begun := time.Now()
	const component = "k8s.io/component-base/version."
	minor := strings.Split(kubernetesVersion, ".")[1]
	flags := "-s -w -X " + component + "gitVersion=" + kubernetesVersion +
		" -X " + component + "gitMajor=1 -X " + component + "gitMinor=" + minor
	for _, b := range missing {
		// A new name is taken only when the program is whole.
		made := filepath.Join(dir, ".new-"+b.name)
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags, "-o", made, b.path)
		command.Dir, command.Stdout, command.Stderr = module, log, log
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
		if err := command.Run(); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
		if err := os.Rename(made, filepath.Join(dir, b.name)); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
	}
	_, _ = fmt.Fprintf(log, "Built in %s.\n", time.Since(begun).Round(time.Second))
	return nil
}
