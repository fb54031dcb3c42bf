// Command release makes what a release has: archives of the programs, images with their SBOMs,
// the chart, a krew manifest, checksums and notes. The same source gives the same bytes.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

// target is a platform and what is built for it.
type target struct {
	os, arch string
	programs []string
}

var servers = []string{"sidecar", "webhook", "kubectl-countersign"}

var targets = []target{
	{"linux", "amd64", servers}, {"linux", "arm64", servers},
	{"darwin", "amd64", servers[2:]}, {"darwin", "arm64", servers[2:]}, {"windows", "amd64", servers[2:]},
}

func main() {
	version := flag.String("version", "", "the version, v1.2.3")
	out := flag.String("out", "build/release", "directory to write into; what is there is removed")
	images := flag.Bool("images", true, "make the images too")
	flag.Parse()
	if err := release(*version, *out, *images); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// isVersion is semantic versioning with a v, as Go's modules and krew have it.
var isVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func release(version, out string, withImages bool) error {
	if !isVersion.MatchString(version) {
		return fmt.Errorf("--version: %q is not v1.2.3", version)
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(2)
	for _, t := range targets {
		group.Go(func() error { return archive(&t, version, out) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if withImages {
		if err := run("", "go", "run", "./hack/images", "--version", version, "--out", out); err != nil {
			return err
		}
	}
	absolute, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := run("hack/chart", "go", "run", ".", "package", "../..", "--version", version[1:], "--out", absolute); err != nil {
		return err
	}
	if err := krew(version, out); err != nil {
		return err
	}
	if err := notes(version, out); err != nil {
		return err
	}
	return checksums(out)
}

func run(dir, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Dir, command.Stdout, command.Stderr = dir, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
	}
	return nil
}

// archiveName is that of the plugin's platforms, and of the programs'.
func archiveName(t *target) string {
	name := fmt.Sprintf("countersign_%s_%s", t.os, t.arch)
	if t.os == "windows" {
		return name + ".zip"
	}
	return name + ".tar.gz"
}

func archive(t *target, version, out string) error {
	work, err := os.MkdirTemp("", "countersign-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	files := map[string]string{"LICENSE": "LICENSE", "third-party.md": "docs/third-party.md"}
	for _, program := range t.programs {
		name := program
		if t.os == "windows" {
			name += ".exe"
		}
		build := exec.Command(
			"go",
			"build",
			"-trimpath",
			"-buildvcs=false",
			"-ldflags",
			"-s -w -X main.version="+version,
			"-o",
			filepath.Join(work, name),
			"./cmd/"+program,
		)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s for %s/%s: %w: %s", program, t.os, t.arch, err, output)
		}
		files[name] = filepath.Join(work, name)
	}
	path := filepath.Join(out, archiveName(t))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if t.os == "windows" {
		err = writeZip(f, files)
	} else {
		err = writeTar(f, files)
	}
	return errors.Join(err, f.Close())
}

func writeTar(to io.Writer, files map[string]string) error {
	compressed := gzip.NewWriter(to)
	w := tar.NewWriter(compressed)
	for _, name := range sortedNames(files) {
		text, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: name, Mode: modeOf(name), Size: int64(len(text)), ModTime: ociarchive.Epoch,
		}); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), compressed.Close())
}

func writeZip(to io.Writer, files map[string]string) error {
	w := zip.NewWriter(to)
	// The oldest time that a zip can have.
	epoch := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range sortedNames(files) {
		text, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		member, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch})
		if err != nil {
			return err
		}
		if _, err := member.Write(text); err != nil {
			return err
		}
	}
	return w.Close()
}

func modeOf(name string) int64 {
	if strings.Contains(name, ".md") || name == "LICENSE" {
		return 0o644
	}
	return 0o755
}

func sortedNames(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// krew writes the manifest of the plugin.
// https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/
func krew(version, out string) error {
	var platforms []any
	for _, t := range targets {
		sum, err := sumOf(filepath.Join(out, archiveName(&t)))
		if err != nil {
			return err
		}
		binary := "kubectl-countersign"
		if t.os == "windows" {
			binary += ".exe"
		}
		platforms = append(platforms, map[string]any{
			"selector": map[string]any{"matchLabels": map[string]string{"os": t.os, "arch": t.arch}},
			"uri": "https://github.com/countersign-io/countersign/releases/download/" + version + "/" + archiveName(
				&t,
			),
			"sha256": sum, "bin": binary,
			"files": []any{
				map[string]string{"from": binary, "to": "."},
				map[string]string{"from": "LICENSE", "to": "."},
			},
		})
	}
	text, err := sigsyaml.Marshal(map[string]any{
		"apiVersion": "krew.googlecontainertools.github.com/v1alpha2", "kind": "Plugin",
		"metadata": map[string]string{"name": "countersign"},
		"spec": map[string]any{
			"version": version, "homepage": "https://github.com/countersign-io/countersign",
			"shortDescription": "See why an agent's AWS call was allowed or denied",
			"description": "Looks at a Countersign installation: check says what does not hold and what to do, status and audit show what\n" +
				"sidecars decide, why tells the story of a call and which smallest change of the policies would allow it.\n",
			"platforms": platforms,
		},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "countersign.yaml"), text, 0o600)
}

// notes takes the part of the changelog that is about the version, else what is not released.
func notes(version, out string) error {
	text, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	for _, heading := range []string{"## " + version, "## Unreleased"} {
		_, rest, found := strings.Cut(string(text), "\n"+heading)
		if !found {
			continue
		}
		_, rest, _ = strings.Cut(rest, "\n")
		section, _, _ := strings.Cut(rest, "\n## ")
		return os.WriteFile(filepath.Join(out, "notes.md"), []byte(strings.TrimSpace(section)+"\n"), 0o600)
	}
	return fmt.Errorf("CHANGELOG.md has no part for %s", version)
}

func checksums(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, entry := range entries {
		sum, err := sumOf(filepath.Join(out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, entry.Name())
	}
	return os.WriteFile(filepath.Join(out, "checksums.txt"), []byte(b.String()), 0o600)
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
