package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch stands in every time field, so that the same source gives the same
// bytes.
var epoch = time.Unix(0, 0).UTC()

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
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return platformImage{}, fmt.Errorf("%q is not a platform such as linux/amd64", platform)
	}
	binary := filepath.Join(work, p.name+"-"+architecture)
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version="+version, "-o", binary, "./cmd/"+p.name)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return platformImage{}, fmt.Errorf("build %s for %s: %w", p.name, platform, err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return platformImage{}, fmt.Errorf("read %s: %w", binary, err)
	}
	sbom, err := spdx(binary, p.name, version)
	if err != nil {
		return platformImage{}, err
	}
	content, err := layer([]file{
		{"etc/nsswitch.conf", 0o644, []byte(nsswitch)},
		{p.name, 0o755, program},
		{"usr/share/sbom/" + p.name + ".spdx.json", 0o644, sbom},
	})
	if err != nil {
		return platformImage{}, err
	}
	image, err := assemble(p, content, system, architecture, version, revision)
	if err != nil {
		return platformImage{}, err
	}
	result := platformImage{platform: platform, image: image, sbom: sbom}
	if result.digest, err = image.Digest(); err != nil {
		return platformImage{}, fmt.Errorf("digest: %w", err)
	}
	if result.compressed, err = content.Size(); err != nil {
		return platformImage{}, fmt.Errorf("size: %w", err)
	}
	return result, nil
}

type file struct {
	name    string
	mode    int64
	content []byte
}

func layer(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		for at := strings.IndexByte(f.name, '/'); at >= 0; {
			dir := f.name[:at+1]
			if !made[dir] {
				made[dir] = true
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch}); err != nil {
					return nil, fmt.Errorf("write layer: %w", err)
				}
			}
			next := strings.IndexByte(f.name[at+1:], '/')
			if next < 0 {
				break
			}
			at += 1 + next
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: epoch}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	content := b.Bytes()
	result, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	return result, nil
}

func assemble(p *program, content v1.Layer, system, architecture, version, revision string) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: content, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "make images"}})
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	user := strconv.Itoa(p.user)
	config := &v1.ConfigFile{
		OS: system, Architecture: architecture, Created: v1.Time{Time: epoch},
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
	present, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	config.RootFS, config.History = present.RootFS, present.History
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return image, nil
}
