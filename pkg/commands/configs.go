// Package commands does with files what the webhook does in a cluster: it
// injects, validates, and tells what AWS IAM must hold.
package commands

import (
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/yamledit"
)

// maxFileBytes bounds a file of manifests.
const maxFileBytes = 64 << 20

// stdinName is how standard input is written as a file's name.
const stdinName = "-"

// source is an auth-config in a file or directory.
type source struct {
	// configMap is what the cluster would hold; a directory gives one without a
	// name.
	configMap corev1.ConfigMap
	// where names it in messages.
	where string
	// isDirectory tells a plain directory, which has no labels.
	isDirectory bool
}

// readSources reads the ConfigMaps of a file that are auth-configs, or the
// directory as the sidecar reads it. skipped names other objects.
func readSources(path string, stdin io.Reader) (sources []*source, skipped []string, err error) {
	if info, statErr := os.Stat(path); path != stdinName && statErr == nil && info.IsDir() {
		files, err := authconfig.ReadDir(path)
		if err != nil {
			return nil, nil, err
		}
		return []*source{{configMap: corev1.ConfigMap{Data: files}, where: path, isDirectory: true}}, nil, nil
	}
	_, objects, err := readObjects(path, stdin)
	if err != nil {
		return nil, nil, err
	}
	for _, object := range objects {
		s := &source{where: path + ": " + object.String()}
		if object.Kind == authconfig.Kind {
			text, err := object.YAML()
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", path, err)
			}
			// As it stands in a ConfigMap or a directory, here by itself.
			s.configMap.Data = map[string]string{authconfig.FileConfig: text}
			s.where, s.isDirectory = path, true
			sources = append(sources, s)
			continue
		}
		if object.Kind != "ConfigMap" {
			skipped = append(skipped, s.where)
			continue
		}
		if err := object.Decode(&s.configMap); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		if _, has := s.configMap.Data[authconfig.FileConfig]; !has && s.configMap.Labels[inject.LabelAuthConfig] == "" {
			skipped = append(skipped, s.where)
			continue
		}
		sources = append(sources, s)
	}
	return sources, skipped, nil
}

func readObjects(path string, stdin io.Reader) ([]*yamledit.Document, []*yamledit.Object, error) {
	text, err := readFile(path, stdin)
	if err != nil {
		return nil, nil, err
	}
	documents, err := yamledit.Read(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []*yamledit.Object
	for _, d := range documents {
		objects, err := d.Objects()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, objects...)
	}
	return documents, all, nil
}

func readFile(path string, stdin io.Reader) (string, error) {
	reader := stdin
	if path != stdinName {
		f, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		reader = f
	}
	text, err := io.ReadAll(io.LimitReader(reader, maxFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxFileBytes {
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxFileBytes)
	}
	return string(text), nil
}

// errorLines turns an error of many lines into one error a line, each with its
// place before it.
func errorLines(where string, err error) []error {
	var errs authconfig.Errors
	if !errors.As(err, &errs) {
		return []error{fmt.Errorf("%s: %w", where, err)}
	}
	lines := make([]error, len(errs))
	for n, e := range errs {
		lines[n] = fmt.Errorf("%s: %w", where, e)
	}
	return lines
}
