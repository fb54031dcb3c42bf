package commands

import (
	"errors"
	"fmt"
	"io"
	"slices"
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
// the error tells all refusals. What carries the annotation and holds no template
// of a Pod is an error too, behind a file that is written.
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
	namespaces, err := readNamespaces(objects)
	if err != nil {
		return fmt.Errorf("%s: %w", r.File, err)
	}
	var refused []error
	passedOver := 0
	for _, object := range objects {
		warnings, missed, err := injectObject(object, namespaces, configs, r.Options)
		passedOver += missed
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
	write := yamledit.WriteYAML
	if r.Format == FormatJSON {
		write = yamledit.WriteJSON
	}
	if err := write(stdout, documents); err != nil {
		return err
	}
	if passedOver > 0 {
		return fmt.Errorf(
			"%s: %d places carry the annotation %s and were not injected",
			r.File,
			passedOver,
			inject.AnnotationAuthConfig,
		)
	}
	return nil
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
	return nil, inject.Refuse(
		inject.CodeConfigMapNotFound,
		"the auth-config %q is not in the file given with --config",
		name,
	)
}

// namespaces are those that stand in the file beside the workloads, by name.
type namespaces map[string]inject.Namespace

func readNamespaces(objects []*yamledit.Object) (namespaces, error) {
	found := namespaces{}
	for _, object := range objects {
		if object.Kind != "Namespace" {
			continue
		}
		var namespace corev1.Namespace
		if err := object.Decode(&namespace); err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		found[object.Name] = inject.Namespace{
			Name: object.Name, Labels: namespace.Labels, Annotations: namespace.Annotations,
		}
	}
	return found, nil
}

func (n namespaces) find(name string) inject.Namespace {
	if namespace, ok := n[name]; ok {
		return namespace
	}
	return inject.Namespace{Name: name}
}

// injectObject injects every template in the object. It gives warnings, and how
// many places of it carry the annotation and hold no template.
func injectObject(
	object *yamledit.Object,
	namespaces namespaces,
	configs configs,
	options inject.Options,
) (warnings []string, missed int, err error) {
	var asking [][]string
	for _, path := range object.PodTemplates() {
		asks, more, err := injectTemplate(object, path, namespaces, configs, options)
		if err != nil {
			return warnings, 0, err
		}
		warnings = append(warnings, more...)
		if asks {
			asking = append(asking, path)
		}
	}
	for _, path := range object.Annotated(inject.AnnotationAuthConfig) {
		owner := path[:max(0, len(path)-1)] // path ends in metadata, or what stands for it
		isTemplate := slices.ContainsFunc(asking, func(p []string) bool { return slices.Equal(p, owner) })
		// A workload may bear the annotation beside its template.
		if isTemplate || len(owner) == 0 && len(asking) > 0 || object.OptsOut(path, inject.AnnotationInject) {
			continue
		}
		missed++
		warnings = append(
			warnings,
			fmt.Sprintf("%s carries the annotation %s, and there is no Pod template that could be injected: "+
				"put it on the template's own metadata, or let the webhook inject the Pods",
				strings.Join(path, "."), inject.AnnotationAuthConfig),
		)
	}
	return warnings, missed, nil
}

func injectTemplate(
	object *yamledit.Object, path []string, namespaces namespaces, configs configs, options inject.Options,
) (asks bool, warnings []string, err error) {
	var template struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     corev1.PodSpec    `json:"spec"`
	}
	if err := object.Decode(&template, path...); err != nil {
		return false, nil, err
	}
	pod := &corev1.Pod{ObjectMeta: template.Metadata, Spec: template.Spec}
	if !inject.Asks(pod.Annotations) {
		return false, nil, nil
	}
	name, refusal := inject.ConfigName(pod.Annotations)
	if refusal != nil {
		return true, nil, refusal
	}
	config, refusal := configs.find(name)
	if refusal != nil {
		return true, nil, refusal
	}
	injection, refusal := inject.Pod(pod, namespaces.find(object.Namespace), config, options)
	if refusal != nil {
		return true, nil, refusal
	}
	for _, operation := range injection.Operations {
		pointer := "/" + strings.Join(path, "/") + operation.Path
		if len(path) == 0 {
			pointer = operation.Path
		}
		if err := object.Set(operation.Op, pointer, operation.Value); err != nil {
			return true, nil, err
		}
	}
	return true, injection.Warnings, nil
}
