package commands

import (
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/yamledit"
)

// UninjectCommand takes injections out of manifests.
func UninjectCommand() *cobra.Command {
	var file, output string
	command := &cobra.Command{
		Use: "uninject", Short: "Take the sidecar out of the workloads of a file that was injected", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			form, err := format(output, FormatYAML, FormatJSON)
			if err != nil {
				return err
			}
			return Uninject(file, form, c.InOrStdin(), c.OutOrStdout())
		},
	}
	command.Flags().StringVarP(&file, "filename", "f", "", "file with workloads of any kind, - for standard input")
	command.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	must(command.MarkFlagRequired("filename"))
	return command
}

// Uninject writes the file without the sidecars in it. The annotations that ask for one stay.
func Uninject(file string, form Format, stdin io.Reader, stdout io.Writer) error {
	documents, objects, err := readObjects(file, stdin)
	if err != nil {
		return err
	}
	removed := 0
	for _, object := range objects {
		for _, path := range object.PodTemplates() {
			n, err := removeInjection(object, path)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			removed += n
		}
	}
	if removed == 0 {
		return errors.New(file + ": nothing in it was injected")
	}
	if form == FormatJSON {
		return yamledit.WriteJSON(stdout, documents)
	}
	return yamledit.WriteYAML(stdout, documents)
}

func removeInjection(object *yamledit.Object, path []string) (int, error) {
	var template struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     corev1.PodSpec    `json:"spec"`
	}
	if err := object.Decode(&template, path...); err != nil {
		return 0, err
	}
	operations := inject.Remove(&corev1.Pod{ObjectMeta: template.Metadata, Spec: template.Spec})
	for _, operation := range operations {
		pointer := "/" + strings.Join(path, "/") + operation.Path
		if len(path) == 0 {
			pointer = operation.Path
		}
		if err := object.Set(operation.Op, pointer, nil); err != nil {
			return 0, err
		}
	}
	return min(len(operations), 1), nil
}
