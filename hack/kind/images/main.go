// Command images makes the images that kubeadm runs on a node of kind, of programs
// that were built from their modules: kubeadm says under which names.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

func main() {
	var m maker
	flag.StringVar(&m.programs, "programs", "", "the directory with kubeadm and the programs that it runs")
	flag.StringVar(&m.iptables, "iptables", "", "a root file system with iptables, for kube-proxy: a tar archive")
	flag.StringVar(&m.pause, "pause", "", "the name of the pause image")
	out := flag.String("out", "kubeadm.tar", "the archive")
	flag.Parse()
	if err := m.run(context.Background(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

type maker struct{ programs, iptables, pause string }

func (m maker) run(ctx context.Context, out string) error {
	dir, err := os.MkdirTemp("", "countersign-kind-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	names, err := m.names(ctx)
	if err != nil {
		return err
	}
	var all []ociarchive.Named
	for _, name := range names {
		image, err := m.image(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, image)
	}
	pause, err := ociarchive.BuildProgram(m.pause, "./hack/onenode/pause", dir)
	if err != nil {
		return err
	}
	return ociarchive.Write(out, append(all, pause)...)
}

// names are those of the images that this kubeadm takes, but for the pause image,
// whose name containerd's configuration has.
func (m maker) names(ctx context.Context) ([]string, error) {
	version, err := m.output(ctx, "version", "-o", "short")
	if err != nil {
		return nil, err
	}
	list, err := m.output(ctx, "config", "images", "list", "--kubernetes-version", version)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range strings.FieldsSeq(list) {
		if program(name) != "pause" {
			names = append(names, name)
		}
	}
	return names, nil
}

func (m maker) output(ctx context.Context, arguments ...string) (string, error) {
	output, err := exec.CommandContext(ctx, filepath.Join(m.programs, "kubeadm"), arguments...).Output()
	if err != nil {
		return "", fmt.Errorf("kubeadm %s: %w", strings.Join(arguments, " "), err)
	}
	return strings.TrimSpace(string(output)), nil
}

// program is the one that an image is made of, by the image's name.
func program(name string) string {
	name, _, _ = strings.Cut(path.Base(name), ":")
	return name
}

func (m maker) image(name string) (ociarchive.Named, error) {
	binary := filepath.Join(m.programs, program(name))
	switch program(name) {
	case "coredns":
		// Its manifest has arguments only.
		return ociarchive.Program(name, binary)
	case "kube-proxy":
		return m.withProgram(name, binary)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return ociarchive.Named{}, err
	}
	image, err := ociarchive.Image(
		[]ociarchive.File{{Name: "usr/local/bin/" + program(name), Mode: 0o755, Content: content}}, config())
	return ociarchive.Named{Name: name, Images: []v1.Image{image}}, err
}

// withProgram is the root file system with iptables and the program in it.
func (m maker) withProgram(name, binary string) (ociarchive.Named, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return ociarchive.Named{}, err
	}
	root, err := ociarchive.Layer(func() (io.ReadCloser, error) { return os.Open(m.iptables) })
	if err != nil {
		return ociarchive.Named{}, err
	}
	layer, err := ociarchive.FileLayer(
		[]ociarchive.File{{Name: "usr/local/bin/" + program(name), Mode: 0o755, Content: content}})
	if err != nil {
		return ociarchive.Named{}, err
	}
	image, err := ociarchive.FromLayers(config(), root, layer)
	return ociarchive.Named{Name: name, Images: []v1.Image{image}}, err
}

// config has a PATH: the manifests of kubeadm name programs without a directory.
func config() *v1.ConfigFile {
	return &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			WorkingDir: "/",
		},
	}
}
