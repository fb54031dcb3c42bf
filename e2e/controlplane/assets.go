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

var binaries = []string{"kube-apiserver", "etcd", "kubectl"}

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
	root, err := Root()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "hack", "cluster")
	dir, err := cacheDir(module)
	if err != nil {
		return "", err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if missingFrom(dir) == "" {
		return dir, nil
	}
	return dir, build(ctx, module, dir, log)
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

// lock keeps two processes from building at once.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func missingFrom(dir string) string {
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return name
		}
	}
	return ""
}

func build(ctx context.Context, module, dir string, log io.Writer) error {
	_, _ = fmt.Fprintf(log, "Building kube-apiserver, etcd and kubectl %s from their Go modules into %s.\n"+
		"This happens once and takes about 4 minutes on two cores; set %s to a directory that has them to save it.\n",
		kubernetesVersion, dir, assetsVariable)
	begun := time.Now()
	const component = "k8s.io/component-base/version."
	minor := strings.Split(kubernetesVersion, ".")[1]
	flags := "-s -w -X " + component + "gitVersion=" + kubernetesVersion + " -X " + component + "gitMajor=1 -X " + component + "gitMinor=" + minor
	for _, arguments := range [][]string{
		{"-ldflags", flags, "-o", dir, "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"},
		{"-ldflags", "-s -w", "-o", filepath.Join(dir, "etcd"), "go.etcd.io/etcd/server/v3"},
	} {
		command := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath"}, arguments...)...)
		command.Dir, command.Stdout, command.Stderr = module, log, log
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
		if err := command.Run(); err != nil {
			return fmt.Errorf("build the control plane: %w", err)
		}
	}
	_, _ = fmt.Fprintf(log, "Built in %s.\n", time.Since(begun).Round(time.Second))
	return nil
}
