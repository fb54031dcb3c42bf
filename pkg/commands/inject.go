package commands

import (
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/yamledit"
)

// Format is how results are written.
type Format string

// The formats of injected manifests.
const (
	FormatYAML Format = "yaml"
	FormatJSON Format = "json"
)

// InjectRequest says what to inject into what.
type InjectRequest struct {
	// File holds workloads of any kind; "-" is standard input.
	File string
	// Config is a file with ConfigMaps, or a directory with an auth-config,
	// which then stands for every name.
	Config  string
	Options inject.Options
	Format  Format
}

// Inject writes the file with the sidecar in every Pod and Pod template that
// asks for it, and reports warnings. If one is refused nothing is written and
// the error tells all refusals.
func Inject(r InjectRequest, stdin io.Reader, stdout, stderr io.Writer) error {
	if r.File == stdinName && r.Config == stdinName {
		return errors.New("-f and --config cannot both be standard input")
	}
	configs, err := readConfigs(r.Config, stdin)
	if err != nil {
		return err
	}
	documents, objects, err := readObjects(r.File, stdin)
	if err != nil {
		return err
	}
	var refused []error
	for _, object := range objects {
		warnings, err := injectObject(object, configs, r.Options)
		if err != nil {
			refused = append(refused, fmt.Errorf("%s: %s: %w", r.File, object, err))
		}
		for _, warning := range warnings {
			_, _ = fmt.Fprintf(stderr, "Warning: %s: %s: %s\n", r.File, object, warning)
		}
	}
	if err := errors.Join(refused...); err != nil {
		return err
	}
	if r.Format == FormatJSON {
		return yamledit.WriteJSON(stdout, documents)
	}
	return yamledit.WriteYAML(stdout, documents)
}

// configs are the valid auth-configs by name; the name "" stands for any.
type configs map[string]*inject.MountedConfig

func readConfigs(path string, stdin io.Reader) (configs, error) {
	sources, _, err := readSources(path, stdin)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%s holds no auth-config", path)
	}
	all := configs{}
	var invalid []error
	for _, s := range sources {
		compiled, err := configmap.Compile(&s.configMap)
		if err != nil {
			invalid = append(invalid, errorLines(s.where, err)...)
			continue
		}
		name := s.configMap.Name
		all[name] = &inject.MountedConfig{Config: compiled.Config, Name: name, ConfigMap: name}
		if configmap.IsShared(&s.configMap) {
			all[name].ConfigMap = configmap.CopyName(name)
		}
	}
	return all, errors.Join(invalid...)
}

func (c configs) find(name string) (*inject.MountedConfig, *inject.Refusal) {
	if config, ok := c[name]; ok {
		return config, nil
	}
	if anyName, ok := c[""]; ok {
		return &inject.MountedConfig{Config: anyName.Config, Name: name, ConfigMap: name}, nil
	}
	return nil, inject.Refuse(inject.CodeConfigMapNotFound, "the auth-config %q is not in the file given with --config", name)
}

func injectObject(object *yamledit.Object, configs configs, options inject.Options) ([]string, error) {
	path, found := object.PodPath()
	if !found {
		return nil, nil
	}
	var template struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     corev1.PodSpec    `json:"spec"`
	}
	if err := object.Decode(&template, path...); err != nil {
		return nil, err
	}
	pod := &corev1.Pod{ObjectMeta: template.Metadata, Spec: template.Spec}
	if !inject.Asks(pod.Annotations) {
		return nil, nil
	}
	name, refusal := inject.ConfigName(pod.Annotations)
	if refusal != nil {
		return nil, refusal
	}
	config, refusal := configs.find(name)
	if refusal != nil {
		return nil, refusal
	}
	injection, refusal := inject.Pod(pod, inject.Namespace{Name: object.Namespace}, config, options)
	if refusal != nil {
		return nil, refusal
	}
	for _, operation := range injection.Operations {
		pointer := "/" + strings.Join(path, "/") + operation.Path
		if len(path) == 0 {
			pointer = operation.Path
		}
		if err := object.Set(operation.Op, pointer, operation.Value); err != nil {
			return nil, err
		}
	}
	return injection.Warnings, nil
}
