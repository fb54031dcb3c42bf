package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// npmPackage downloads and unpacks the newest version of a package that satisfies
// spec.
func npmPackage(dir, spec string) (version, unpacked string, err error) {
	unpacked, err = os.MkdirTemp(dir, "npm-")
	if err != nil {
		return "", "", err
	}
	command := exec.Command("npm", "pack", "--silent", spec)
	command.Dir = unpacked
	command.Stderr = os.Stderr
	name, err := command.Output()
	if err != nil {
		return "", "", fmt.Errorf("npm pack %s: %w", spec, err)
	}
	archive := strings.TrimSpace(string(name))
	if err := exec.Command("tar", "-xzf", filepath.Join(unpacked, archive),
		"-C", unpacked).Run(); err != nil {
		return "", "", fmt.Errorf("unpack %s: %w", archive, err)
	}
	text, err := os.ReadFile(file(unpacked, "package.json"))
	if err != nil {
		return "", "", err
	}
	var about struct{ Version string }
	if err := json.Unmarshal(text, &about); err != nil {
		return "", "", err
	}
	return about.Version, unpacked, nil
}

// module is a Go module in the module cache.
type module struct {
	Path, Version, Dir, Error string
}

const modules = "github.com/aws/aws-sdk-go-v2/service/"

// latestModules downloads the newest version of the services' modules; those that
// the module proxy does not have are left out.
func latestModules(list []*service) (map[string]*module, error) {
	found := map[string]*module{}
	for _, s := range list {
		// One at a time: a module that is not there fails the whole command.
		command := exec.Command("go", "mod", "download", "-json", modules+s.module+"@latest")
		command.Dir = os.TempDir()
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GIT_TERMINAL_PROMPT=0")
		text, _ := command.Output() // the failure stands in what it prints
		var one module
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("go mod download %s: %w", s.module, err)
		}
		if one.Error == "" {
			found[s.module] = &one
		}
	}
	return found, nil
}

var (
	operationFile = regexp.MustCompile(`^api_op_([A-Za-z0-9]+)\.go$`)
	serializer    = regexp.MustCompile(`_serializeOp(\w+)\) HandleSerialize\(`)
	method        = regexp.MustCompile(`request\.Method = "([A-Z]+)"`)
	unsigned      = regexp.MustCompile(
		`"(\w+)": func\(params \*AuthResolverParameters\) \[\]\*smithyauth\.Option \{\s+` +
			`return \[\]\*smithyauth\.Option\{\s+\{SchemeID: smithyauth\.SchemeIDAnonymous\},\s+\}`)
)

// readModule reads a service's operations from its Go module.
func (s *service) readModule(m *module) error {
	s.source = s.name + "@" + m.Version
	s.operations = map[string]string{}
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if match := operationFile.FindStringSubmatch(entry.Name()); match != nil {
			s.operations[match[1]] = ""
		}
	}
	text, err := os.ReadFile(filepath.Join(m.Dir, "serializers.go"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for part := range bytes.SplitSeq(text, []byte("\nfunc ")) {
		operation, verb := serializer.FindSubmatch(part), method.FindSubmatch(part)
		if operation != nil && verb != nil {
			s.operations[string(operation[1])] = string(verb[1])
		}
	}
	if text, err = os.ReadFile(filepath.Join(m.Dir, "auth.go")); err != nil {
		return err
	}
	for _, match := range unsigned.FindAllSubmatch(text, -1) {
		s.unsigned = append(s.unsigned, string(match[1]))
	}
	return nil
}

// modelsPackage has the models of version 2 of the SDK for JavaScript, which is
// frozen.
const modelsPackage = "aws-sdk@2"

// models are the newest model of each service, by the name of its Go module.
type models struct {
	version string
	byName  map[string]model
}

type model struct {
	Metadata struct {
		ServiceID  string `json:"serviceId"`
		APIVersion string `json:"apiVersion"`
	} `json:"metadata"`
	Operations map[string]struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
		AuthType string `json:"authtype"`
	} `json:"operations"`
}

func readModels(dir string) (*models, error) {
	version, unpacked, err := npmPackage(dir, modelsPackage)
	if err != nil {
		return nil, err
	}
	result := &models{version: version, byName: map[string]model{}}
	paths, err := filepath.Glob(file(unpacked, "apis", "*.min.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var one model
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		name := strings.NewReplacer(" ", "", "-", "").Replace(strings.ToLower(one.Metadata.ServiceID))
		if known, ok := result.byName[name]; !ok || known.Metadata.APIVersion < one.Metadata.APIVersion {
			result.byName[name] = one
		}
	}
	return result, nil
}

func (m *models) has(module string) bool { return len(m.byName[module].Operations) > 0 }

// readModel reads a service's operations from the frozen SDK.
func (s *service) readModel(m *models) error {
	s.operations = map[string]string{}
	for name, operation := range m.byName[s.module].Operations {
		if !regexp.MustCompile(`^\w+$`).MatchString(name) {
			return fmt.Errorf("the operation %q has no name", name)
		}
		s.operations[name] = operation.HTTP.Method
		if operation.AuthType == "none" {
			s.unsigned = append(s.unsigned, name)
		}
	}
	return nil
}
