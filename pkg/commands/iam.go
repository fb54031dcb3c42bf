package commands

import (
	"errors"
	"fmt"
	"io"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/iam"
)

// The formats of IAM(), beside FormatJSON.
const (
	FormatShell          Format = "shell"
	FormatTerraform      Format = "terraform"
	FormatCloudFormation Format = "cloudformation"
)

// IAM writes what AWS IAM must hold for the one auth-config in a file or
// directory.
func IAM(path, issuer string, denyDirect bool, format Format, stdin io.Reader, stdout, stderr io.Writer) error {
	sources, _, err := readSources(path, stdin)
	if err != nil {
		return err
	}
	if len(sources) != 1 {
		return fmt.Errorf("%s holds %d auth-configs; give one", path, len(sources))
	}
	config, err := configmap.Compile(&sources[0].configMap)
	if err != nil {
		return errors.Join(errorLines(sources[0].where, err)...)
	}
	options := iam.Options{Issuer: issuer, Namespace: sources[0].configMap.Namespace, DenyDirect: denyDirect}
	if configmap.IsShared(&sources[0].configMap) {
		options.Namespace = ""
	}
	plan, err := iam.NewPlan(config.Config, options)
	if err != nil {
		return fmt.Errorf("%s: %w", sources[0].where, err)
	}
	for _, warning := range plan.Warnings {
		_, _ = fmt.Fprintln(stderr, "Warning:", warning)
	}
	switch format {
	case FormatShell:
		return plan.WriteShell(stdout)
	case FormatTerraform:
		return plan.WriteTerraform(stdout)
	case FormatCloudFormation:
		return plan.WriteCloudFormation(stdout)
	case FormatJSON, FormatYAML:
	}
	return plan.WriteJSON(stdout)
}
