package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

func TestMain(m *testing.M) {
	// Programs are built from the repository's root.
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	platform := "linux/" + runtime.GOARCH
	archives := make([]string, 2)
	for n := range archives {
		if n == 1 {
			settings := t.TempDir()
			if err := os.Mkdir(filepath.Join(settings, "go"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(settings, "go", "env"), []byte("GOAMD64=v3\nGOARM64=v9.0\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("XDG_CONFIG_HOME", settings)
			t.Setenv("GOEXPERIMENT", "unheardof")
		}
		image, err := build(&programs[0], t.TempDir(), platform, "test", "0123")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "sidecar.tar")
		if err := ociarchive.Write(file, ociarchive.Named{Name: "countersign/sidecar:test", Images: []v1.Image{image.image}}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archives[n] = string(text)
		if image.compressed > 25<<20 {
			t.Errorf("it takes %d bytes compressed", image.compressed)
		}
		if !strings.Contains(string(image.sbom), "pkg:golang/github.com/cedar-policy/cedar-go@") {
			t.Errorf("the list of modules is %.200s", image.sbom)
		}
	}
	if archives[0] != archives[1] {
		t.Error("two archives differ")
	}
}

// TestTheDockerfileSaysTheSame compares text: the files themselves are written by
// this program there too.
func TestTheDockerfileSaysTheSame(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		_, stage, ok := strings.Cut(string(text), "\nFROM scratch AS "+p.name+"\n")
		if !ok {
			t.Errorf("no target %s", p.name)
			continue
		}
		stage, _, _ = strings.Cut(stage, "\nFROM ")
		want := config(&p, "linux/amd64", "$VERSION", "$REVISION").Config
		lines := []string{"WORKDIR " + want.WorkingDir, "USER " + want.User, fmt.Sprintf("ENTRYPOINT [%q]", want.Entrypoint[0]), "COPY --from=" + p.name + "-contents /contents /"}
		for key, value := range want.Labels {
			if !strings.HasPrefix(value, "$") {
				value = `"` + value + `"`
			}
			lines = append(lines, key+"="+value)
		}
		for _, line := range lines {
			if !strings.Contains(stage, line) {
				t.Errorf("%s: there is no %s", p.name, line)
			}
		}
		if labels := strings.Count(stage, "org.opencontainers."); labels != len(want.Labels) {
			t.Errorf("%s has %d labels", p.name, labels)
		}
		if strings.HasPrefix(want.User, "0:") {
			t.Errorf("%s runs as root", p.name)
		}
	}
}
