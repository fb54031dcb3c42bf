// Command onenode makes the images that a cluster of one node cannot do without:
// the pause container and CoreDNS.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

func main() {
	out := flag.String("out", "system.tar", "the archive")
	coredns := flag.String("coredns", "", "the CoreDNS binary")
	flag.Parse()
	if err := run(*out, *coredns); err != nil {
		fmt.Fprintln(os.Stderr, "onenode:", err)
		os.Exit(1)
	}
}

func run(out, coredns string) error {
	dir, err := os.MkdirTemp("", "countersign-onenode-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	pause := filepath.Join(dir, "pause")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", pause, "./hack/onenode/pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build pause: %w: %s", err, output)
	}
	var all []ociarchive.Named
	for name, binary := range map[string]string{"pause": pause, "coredns": coredns} {
		content, err := os.ReadFile(binary)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		image, err := ociarchive.Image([]ociarchive.File{{Name: name, Mode: 0o755, Content: content}}, &v1.ConfigFile{
			OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/" + name}, WorkingDir: "/"},
		})
		if err != nil {
			return err
		}
		all = append(all, ociarchive.Named{Name: "countersign.io/cluster/" + name + ":1", Images: []v1.Image{image}})
	}
	return ociarchive.Write(out, all...)
}
