package commands

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/toolhive"
)

// ConvertCommand makes auth-configs of ToolHive's resources.
func ConvertCommand() *cobra.Command {
	var files []string
	command := &cobra.Command{
		Use: "convert", Short: "Make auth-configs of ToolHive's MCPRemoteProxy and what it refers to",
		Long: "Make an auth-config of each MCPRemoteProxy, with its MCPExternalAuthConfig (awsSts), its OIDC configuration, its Cedar\n" +
			"policies and its MCPToolConfig. Each is valid; what could not be carried over stands in a comment before it and on standard\n" +
			"error. Nothing is written of one that would allow more than before.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var all strings.Builder
			for _, file := range files {
				text, err := readFile(file, c.InOrStdin())
				if err != nil {
					return blind(err)
				}
				fmt.Fprintf(&all, "---\n%s\n", text)
			}
			return convert(strings.NewReader(all.String()), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	command.Flags().
		StringArrayVarP(&files, "filename", "f", nil, "file with ToolHive's manifests, - for standard input; may be given again")
	must(command.MarkFlagRequired("filename"))
	return command
}

func convert(from io.Reader, stdout, stderr io.Writer) error {
	resources, err := toolhive.Read(from)
	if err != nil {
		return blind(err)
	}
	for _, skipped := range resources.Skipped {
		_, _ = fmt.Fprintf(stderr, "Warning: %s: passed over\n", skipped)
	}
	converted, convertErr := resources.Convert()
	for _, one := range converted {
		for _, line := range one.Left {
			_, _ = fmt.Fprintf(stderr, "Look at: %s: %s\n", one.From, line)
		}
		text, err := one.YAML()
		if err != nil {
			return err
		}
		if _, err := stdout.Write(text); err != nil {
			return err
		}
	}
	if convertErr != nil {
		return &ExitError{Code: ExitFinding, Err: errors.Join(convertErr)}
	}
	return nil
}
