// Command licences lists the licence of every Go module that the programs link, and ends with
// an error where one is not among those that the project may ship.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	licenseclassifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// allowed may be shipped in an Apache-2.0 program; MPL-2.0 as long as its files are not changed.
var allowed = []string{
	"Apache-2.0",
	"MIT",
	"BSD-2-Clause",
	"BSD-3-Clause",
	"ISC",
	"MPL-2.0",
	"Unlicense",
	"CC0-1.0",
	"BSD-0-Clause",
	"0BSD",
}

// programs are what is shipped.
var programs = []string{"./cmd/sidecar", "./cmd/webhook", "./cmd/kubectl-countersign"}

type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	var listed bytes.Buffer
	err := run(root, &listed)
	page := filepath.Join(root, "docs", "third-party.md")
	before, readErr := os.ReadFile(page)
	if err == nil && os.Getenv("CHECK") != "" && !bytes.Equal(before, listed.Bytes()) {
		err = fmt.Errorf("%s is not what go.mod has (%v): run `make licences`", page, readErr)
	}
	if err == nil {
		const readable = 0o644
		err = os.WriteFile(page, listed.Bytes(), readable)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(root string, to io.Writer) error {
	modules, err := linked(root)
	if err != nil {
		return err
	}
	classifier, err := assets.DefaultClassifier()
	if err != nil {
		return fmt.Errorf("read the licences to compare with: %w", err)
	}
	var faults []error
	_, _ = fmt.Fprint(
		to,
		"# Licences of what the programs link\n\nMade by `make licences`; Countersign itself is Apache-2.0.\n\n| module | version | licence |\n|---|---|---|\n",
	)
	for _, m := range modules {
		found, err := licencesOf(classifier, m.Dir)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.Path, err))
			continue
		}
		_, _ = fmt.Fprintf(to, "| %s | %s | %s |\n", m.Path, m.Version, strings.Join(found, ", "))
		for _, name := range found {
			if !slices.Contains(allowed, name) {
				faults = append(
					faults,
					fmt.Errorf("%s: %s is not among the licences that may be shipped", m.Path, name),
				)
			}
		}
	}
	return errors.Join(faults...)
}

// linked are the modules of all packages that the programs import.
func linked(root string) ([]*module, error) {
	command := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, programs...)...)
	command.Dir = root
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("list the packages: %w: %s", err, said.String())
	}
	all := map[string]*module{}
	for decoder := json.NewDecoder(&out); ; {
		var p struct{ Module *module }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main {
			all[p.Module.Path] = p.Module
		}
	}
	var modules []*module
	for _, path := range slices.Sorted(maps.Keys(all)) {
		modules = append(modules, all[path])
	}
	return modules, nil
}

// licencesOf reads the licence files in a module's root.
func licencesOf(classifier *licenseclassifier.Classifier, dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		if entry.IsDir() ||
			!strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") &&
				!strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		for _, match := range classifier.Match(text).Matches {
			if match.MatchType == "License" {
				found[match.Name] = true
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no licence is recognized")
	}
	return slices.Sorted(maps.Keys(found)), nil
}
