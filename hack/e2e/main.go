// Command e2e makes the images that the end-to-end tests bring: the stand-ins
// and an agent.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

func main() {
	out := flag.String("out", "build/e2e/e2e.tar", "the archive")
	clients := flag.String("clients", "", "a root file system with TLS clients, to be an image too")
	flag.Parse()
	if err := run(*out, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func run(out, clients string) error {
	dir, err := os.MkdirTemp("", "countersign-e2e-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var all []ociarchive.Named
	for _, name := range []string{"standinserver", "agent"} {
		image, err := ociarchive.BuildProgram("countersign.io/e2e/"+name+":1", "./e2e/"+name, dir)
		if err != nil {
			return err
		}
		all = append(all, image)
	}
	op, err := ociarchive.BuildProgramOf("hack/idps", "countersign.io/e2e/op:1", "./op", dir)
	if err != nil {
		return err
	}
	all = append(all, op)
	if clients != "" {
		image, err := clientsImage(clients)
		if err != nil {
			return err
		}
		all = append(all, ociarchive.Named{Name: "countersign.io/e2e/clients:1", Images: []v1.Image{image}})
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o750); err != nil {
		return err
	}
	return ociarchive.Write(out, all...)
}

func clientsImage(rootfs string) (v1.Image, error) {
	layer, err := ociarchive.Layer(func() (io.ReadCloser, error) { return os.Open(rootfs) })
	if err != nil {
		return nil, err
	}
	return ociarchive.FromLayers(&v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"}, WorkingDir: "/"},
	}, layer)
}
