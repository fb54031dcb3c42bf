// Command chart renders manifests/base out of the Helm chart, which is their source, and packs
// the chart for a release. It has Helm in a module of its own.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	release "helm.sh/helm/v4/pkg/release/v1"
)

const (
	chartDir  = "manifests/chart"
	baseDir   = "manifests/base"
	name      = "countersign"
	namespace = "countersign-system"
	// minKubernetes is the oldest version that the chart is for.
	minKubernetes = "v1.30.0"
)

func main() {
	root := &cobra.Command{Use: "chart", SilenceUsage: true}
	root.AddCommand(
		&cobra.Command{
			Use:   "base DIR",
			Short: "Write manifests/base of the repository in DIR",
			Args:  cobra.ExactArgs(1),
			RunE:  func(_ *cobra.Command, args []string) error { return writeBase(args[0]) },
		},
		packCommand(),
	)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

// render gives the files of a release as Helm would apply them, by the name of their template.
func render(dir string, values map[string]any) (map[string]string, error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	install := action.NewInstall(action.NewConfiguration(
		action.ConfigurationSetLogger(slog.NewTextHandler(io.Discard, nil)),
	))
	install.DryRunStrategy, install.Replace = action.DryRunClient, true
	install.ReleaseName, install.Namespace = name, namespace
	if install.KubeVersion, err = common.ParseKubeVersion(minKubernetes); err != nil {
		return nil, err
	}
	rendered, err := install.Run(chart, values)
	if err != nil {
		return nil, fmt.Errorf("render the chart: %w", err)
	}
	made, ok := rendered.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("Helm gives a %T", rendered)
	}
	files := map[string]string{}
	for _, document := range strings.Split("\n"+made.Manifest, "\n---\n# Source: ") {
		path, text, ok := strings.Cut(document, "\n")
		if !ok || strings.TrimSpace(text) == "" || path == "" {
			continue
		}
		file := filepath.Base(path)
		if files[file] != "" {
			files[file] += "---\n"
		}
		files[file] += strings.Trim(text, "\n") + "\n"
	}
	return files, nil
}

// ownLabels are the labels that the chart adds, on one line; kustomize adds those of the base.
var ownLabels = regexp.MustCompile(`(?m)^  labels: \{"app\.kubernetes\.io/.*\}\n`)

// base gives the files of manifests/base.
func base(root string) (map[string]string, error) {
	files, err := render(filepath.Join(root, chartDir), nil)
	if err != nil {
		return nil, err
	}
	for file, text := range files {
		files[file] = "# Rendered from manifests/chart: change it there, then run `make base`.\n" + ownLabels.ReplaceAllString(
			text,
			"",
		)
	}
	return files, nil
}

func writeBase(root string) error {
	files, err := base(root)
	if err != nil {
		return err
	}
	for file, text := range files {
		const readable = 0o644
		if err := os.WriteFile(filepath.Join(root, baseDir, file), []byte(text), readable); err != nil {
			return err
		}
	}
	return nil
}

func packCommand() *cobra.Command {
	var version, out string
	command := &cobra.Command{
		Use: "package DIR", Short: "Pack the chart of the repository in DIR for a release", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := pack(filepath.Join(args[0], chartDir), version, out)
			if err == nil {
				_, err = fmt.Fprintln(c.OutOrStdout(), path)
			}
			return err
		},
	}
	command.Flags().StringVar(&version, "version", "", "the version, without a v")
	command.Flags().StringVar(&out, "out", ".", "directory to write into")
	_ = command.MarkFlagRequired("version")
	return command
}

func pack(dir, version, out string) (string, error) {
	loaded, err := loader.Load(dir)
	if err != nil {
		return "", err
	}
	chart, ok := loaded.(*chartv2.Chart)
	if !ok {
		return "", fmt.Errorf("the chart is a %T", loaded)
	}
	chart.Metadata.Version, chart.Metadata.AppVersion = version, "v"+version
	return chartutil.Save(chart, out)
}
