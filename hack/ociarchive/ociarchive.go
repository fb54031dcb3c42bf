// Package ociarchive makes OCI images out of files and archives out of images.
// What it writes depends on the content alone.
package ociarchive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Epoch stands in every time field, so that the same source gives the same
// bytes.
var Epoch = time.Unix(0, 0).UTC()

// File is a file of an image. Its name is relative to the root.
type File struct {
	Name    string
	Mode    int64
	Content []byte
}

// Image makes an image of one layer. The config names the platform and what is
// run; its rootfs and history are filled in.
func Image(files []File, config *v1.ConfigFile) (v1.Image, error) {
	content, err := FileLayer(files)
	if err != nil {
		return nil, err
	}
	return FromLayers(config, content)
}

// FromLayers is Image with layers that were made otherwise.
func FromLayers(config *v1.ConfigFile, layers ...v1.Layer) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := v1.History{Created: v1.Time{Time: Epoch}, CreatedBy: "countersign"}
	addenda := make([]mutate.Addendum, len(layers))
	for n, layer := range layers {
		addenda[n] = mutate.Addendum{Layer: layer, History: history}
	}
	image, err := mutate.Append(base, addenda...)
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	present, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	config = config.DeepCopy()
	config.Created, config.RootFS, config.History = v1.Time{Time: Epoch}, present.RootFS, present.History
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return image, nil
}

// FileLayer makes a layer of files.
func FileLayer(files []File) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		if err := makeDirectories(w, path.Dir(f.Name), made); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     f.Name,
			Mode:     f.Mode,
			Size:     int64(len(f.Content)),
			ModTime:  Epoch,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	return Layer(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
}

// Layer makes a layer of a tar archive that can be opened again and again.
func Layer(open func() (io.ReadCloser, error)) (v1.Layer, error) {
	content, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	return content, nil
}

func makeDirectories(w *tar.Writer, dir string, made map[string]bool) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := makeDirectories(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: Epoch})
}

// Named is an image for one or more platforms under a name with a tag.
type Named struct {
	Name   string
	Images []v1.Image
}

// Write writes an OCI image layout in a tar archive, with one index over all
// platforms for each name, as containerd and Docker load it.
func Write(file string, all ...Named) error {
	dir, err := os.MkdirTemp("", "countersign-layout-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	for _, named := range all {
		index, err := indexOf(named.Images)
		if err != nil {
			return err
		}
		err = written.AppendIndex(index, layout.WithAnnotations(map[string]string{
			"io.containerd.image.name": named.Name, "org.opencontainers.image.ref.name": named.Name,
		}))
		if err != nil {
			return fmt.Errorf("write layout: %w", err)
		}
	}
	return pack(dir, file)
}

// BuildProgram builds a Go program of this repository for this machine's kind of
// processor and makes an image of it and nothing else.
func BuildProgram(name, source, dir string) (Named, error) {
	return BuildProgramOf(".", name, source, dir)
}

// BuildProgramOf is BuildProgram for a module in another directory.
func BuildProgramOf(module, name, source, dir string) (Named, error) {
	binary := filepath.Join(dir, path.Base(source))
	build := exec.Command("go", "build", "-C", module, "-trimpath", "-ldflags", "-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		return Named{}, fmt.Errorf("build %s: %w: %s", source, err, output)
	}
	return Program(name, binary)
}

// Program makes an image of a static binary and nothing else.
func Program(name, binary string) (Named, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return Named{}, fmt.Errorf("read program: %w", err)
	}
	base := filepath.Base(binary)
	image, err := Image([]File{{Name: base, Mode: 0o755, Content: content}}, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Config: v1.Config{Entrypoint: []string{"/" + base}, WorkingDir: "/"},
	})
	if err != nil {
		return Named{}, err
	}
	return Named{Name: name, Images: []v1.Image{image}}, nil
}

func indexOf(images []v1.Image) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("make index: %w", err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture}},
		})
	}
	return index, nil
}

// pack makes an archive whose bytes depend on the content alone.
func pack(dir, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	// WalkDir goes in the order of names.
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return w.WriteHeader(
				&tar.Header{
					Typeflag: tar.TypeDir,
					Name:     filepath.ToSlash(relative) + "/",
					Mode:     0o755,
					ModTime:  Epoch,
				},
			)
		}
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: filepath.ToSlash(relative), Mode: 0o644, Size: info.Size(), ModTime: Epoch,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}
