package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

// nsswitch has the sidecar look names up past /etc/hosts, which leads the app's
// calls to it.
const nsswitch = "hosts: dns\n"

type platformImage struct {
	platform   string
	image      v1.Image
	digest     v1.Hash
	compressed int64
	sbom       []byte
}

func build(p *program, work, platform, version, revision string) (platformImage, error) {
	files, err := contents(p, work, platform, version)
	if err != nil {
		return platformImage{}, err
	}
	image, err := ociarchive.Image(files, config(p, platform, version, revision))
	if err != nil {
		return platformImage{}, err
	}
	result := platformImage{platform: platform, image: image, sbom: files[len(files)-1].Content}
	if result.digest, err = image.Digest(); err != nil {
		return platformImage{}, fmt.Errorf("digest: %w", err)
	}
	layers, err := image.Layers()
	if err != nil {
		return platformImage{}, fmt.Errorf("size: %w", err)
	}
	if result.compressed, err = layers[0].Size(); err != nil {
		return platformImage{}, fmt.Errorf("size: %w", err)
	}
	return result, nil
}

// contents are the files of an image, the list of what is in it last.
func contents(p *program, work, platform, version string) ([]ociarchive.File, error) {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not a platform such as linux/amd64", platform)
	}
	binary := filepath.Join(work, p.name+"-"+architecture)
	command := exec.Command(
		"go",
		"build",
		"-trimpath",
		"-buildvcs=false",
		"-ldflags",
		"-s -w -buildid= -X main.version="+version,
		"-o",
		binary,
		"./cmd/"+p.name,
	)
	environment, err := reproducible(os.Environ())
	if err != nil {
		return nil, err
	}
	command.Env = append(environment, "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("build %s for %s: %w", p.name, platform, err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", binary, err)
	}
	sbom, err := spdx(binary, p.name, version, architecture)
	if err != nil {
		return nil, err
	}
	return []ociarchive.File{
		{Name: "etc/nsswitch.conf", Mode: 0o644, Content: []byte(nsswitch)},
		{Name: p.name, Mode: 0o755, Content: content},
		{Name: "usr/share/sbom/" + p.name + ".spdx.json", Mode: 0o644, Content: sbom},
	}, nil
}

// reproducible takes out of an environment what a developer has set and what would
// change the bytes; where modules come from and where they are kept stays.
func reproducible(environment []string) ([]string, error) {
	kept := []string{
		"GOPROXY",
		"GOPRIVATE",
		"GONOPROXY",
		"GONOSUMDB",
		"GOSUMDB",
		"GOINSECURE",
		"GOAUTH",
		"GOMODCACHE",
		"GOCACHE",
		"GOPATH",
	}
	ask := exec.Command("go", append([]string{"env"}, kept...)...)
	// It fails on an experiment that it does not know.
	ask.Env = append(slices.Clone(environment), "GOEXPERIMENT=", "GOFLAGS=")
	output, err := ask.Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	environment = slices.DeleteFunc(
		environment,
		func(variable string) bool { return strings.HasPrefix(variable, "GO") },
	)
	for n, value := range strings.Split(strings.TrimSuffix(string(output), "\n"), "\n") {
		environment = append(environment, kept[n]+"="+value)
	}
	return append(environment, "GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off"), nil
}

// writeContents writes them below a directory, for the Dockerfile.
func writeContents(p *program, dir, platform, version string) error {
	work, err := os.MkdirTemp("", "countersign-images-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	files, err := contents(p, work, platform, version)
	if err != nil {
		return err
	}
	for _, f := range files {
		file := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("write contents: %w", err)
		}
		if err := os.WriteFile(file, f.Content, os.FileMode(f.Mode)); err != nil {
			return fmt.Errorf("write contents: %w", err)
		}
	}
	return nil
}

// config is what an image says of itself.
func config(p *program, platform, version, revision string) *v1.ConfigFile {
	system, architecture, _ := strings.Cut(platform, "/")
	user := strconv.Itoa(p.user)
	return &v1.ConfigFile{
		OS: system, Architecture: architecture,
		Config: v1.Config{
			Entrypoint: []string{"/" + p.name}, User: user + ":" + user, WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    p.title,
				"org.opencontainers.image.version":  version,
				"org.opencontainers.image.revision": revision,
				"org.opencontainers.image.source":   "https://github.com/countersign-io/countersign",
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
	}
}
