// Command images makes the OCI images of both programs without a Docker daemon:
// static binaries for linux/amd64 and linux/arm64, nothing else but a
// nsswitch.conf and a list of what is in them. The same source gives the same
// bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

// program is one image.
type program struct {
	name, title string
	user        int
}

var programs = []program{
	{"sidecar", "Countersign sidecar: use AWS through MCP as the caller", 15337},
	{"webhook", "Countersign webhook: inject the sidecar into Pods", 65532},
}

func main() {
	out := flag.String("out", "build/images", "directory for the archives")
	version := flag.String("version", "dev", "version and tag")
	revision := flag.String("revision", "", "commit, for the labels")
	prefix := flag.String("prefix", "docker.io/countersign/", "what comes before a program's name in the image's name")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "comma list")
	only := flag.String(
		"contents",
		"",
		"a program whose files are written below --out, for one platform, instead of images: for the Dockerfile",
	)
	flag.Parse()
	for _, p := range programs {
		if *only != "" {
			if p.name == *only {
				fail(writeContents(&p, *out, *platforms, *version))
			}
			continue
		}
		fail(run(&p, *out, *prefix, *version, *revision, strings.Split(*platforms, ",")))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(p *program, out, prefix, version, revision string, platforms []string) error {
	work, err := os.MkdirTemp("", "countersign-images-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	var images []platformImage
	for _, platform := range platforms {
		image, err := build(p, work, platform, version, revision)
		if err != nil {
			return err
		}
		images = append(images, image)
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return fmt.Errorf("make the directory for images: %w", err)
	}
	path := filepath.Join(out, p.name+".tar")
	named := ociarchive.Named{Name: prefix + p.name + ":" + version}
	for _, image := range images {
		named.Images = append(named.Images, image.image)
	}
	if err := ociarchive.Write(path, named); err != nil {
		return err
	}
	for _, image := range images {
		fmt.Printf(
			"%-8s %-12s %5.1f MiB compressed   %s\n",
			p.name,
			image.platform,
			float64(image.compressed)/(1<<20),
			image.digest,
		)
		sbom := filepath.Join(out, p.name+"-"+strings.ReplaceAll(image.platform, "/", "-")+".spdx.json")
		if err := os.WriteFile(sbom, image.sbom, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", sbom, err)
		}
	}
	fmt.Printf("%-8s %s\n", p.name, path)
	return nil
}
