// Command kubectl-countersign is a plugin of kubectl: `kubectl countersign check` says whether
// everything stands, `why` why a call was denied.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	// Roots for machines that have none of their own.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/countersign-io/countersign/pkg/cluster"
	"github.com/countersign-io/countersign/pkg/commands"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	root := rootCommand()
	begun := false
	beforeRun(root, func() { begun = true })
	err := root.ExecuteContext(ctx)
	if err == nil {
		return
	}
	var coded *commands.ExitError
	if !errors.As(err, &coded) || coded.Err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
	}
	os.Exit(codeOf(err, begun)) //nolint:gocritic // the process ends, so does the signal handler
}

// beforeRun has do called before each command runs, which is after its arguments and flags
// were found right.
func beforeRun(command *cobra.Command, do func()) {
	if run := command.RunE; run != nil {
		command.RunE = func(c *cobra.Command, args []string) error {
			do()
			return run(c, args)
		}
	}
	for _, child := range command.Commands() {
		beforeRun(child, do)
	}
}

// codeOf is the exit code for an error: a command that never began, and a file that is
// not there, are nothing that was found.
func codeOf(err error, begun bool) int {
	var coded *commands.ExitError
	switch {
	case errors.As(err, &coded):
		return coded.Code
	case !begun, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return commands.ExitBlind
	}
	return commands.ExitFinding
}

// kubeFlags are kubectl's own.
type kubeFlags struct {
	kubeconfig, systemNamespace string
	overrides                   clientcmd.ConfigOverrides
}

func (f *kubeFlags) connect() (*cluster.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	client, err := cluster.Connect(
		clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &f.overrides),
		f.systemNamespace,
	)
	if err != nil {
		return nil, &commands.ExitError{Code: commands.ExitBlind, Err: err}
	}
	return client, nil
}

func rootCommand() *cobra.Command {
	var kube kubeFlags
	root := &cobra.Command{
		Use: "kubectl-countersign", Short: "See and understand what Countersign does in a cluster", Version: version,
		SilenceUsage: true, SilenceErrors: true,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl countersign"},
		Long: "See and understand what Countersign does in a cluster.\n\n" +
			"Exit codes: 0 all is well, 1 a finding, 2 it could not be looked at. explain has those of `sidecar explain`.",
	}
	flags := root.PersistentFlags()
	flags.StringVar(&kube.kubeconfig, "kubeconfig", "", "the kubeconfig; default $KUBECONFIG, else ~/.kube/config")
	flags.StringVar(&kube.systemNamespace, "system-namespace", "countersign-system", "where the webhook runs")
	clientcmd.BindOverrideFlags(&kube.overrides, flags, clientcmd.ConfigOverrideFlags{
		CurrentContext: clientcmd.FlagInfo{LongName: "context", Description: "the context of the kubeconfig"},
		ContextOverrideFlags: clientcmd.ContextOverrideFlags{
			Namespace: clientcmd.FlagInfo{LongName: "namespace", ShortName: "n", Description: "the namespace"},
		},
		Timeout: clientcmd.FlagInfo{
			LongName:    "request-timeout",
			Default:     "0",
			Description: "of one request to the API server",
		},
	})
	root.AddGroup(
		&cobra.Group{ID: "cluster", Title: "In a cluster:"}, &cobra.Group{ID: "files", Title: "With files:"},
	)
	for _, command := range []*cobra.Command{
		checkCommand(&kube), statusCommand(&kube), explainCommand(&kube), auditCommand(&kube), whyCommand(&kube),
	} {
		command.GroupID = "cluster"
		root.AddCommand(command)
	}
	for _, command := range []*cobra.Command{
		commands.InjectCommand(version), commands.UninjectCommand(), commands.ValidateCommand(), commands.IAMCommand(),
		commands.ScriptCommand(), commands.PolicyCommand(), commands.ToolsCommand(), commands.ConvertCommand(),
	} {
		command.GroupID = "files"
		root.AddCommand(command)
	}
	return root
}

// blind makes an error one of what could not be looked at.
func blind(err error) error {
	var coded *commands.ExitError
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return &commands.ExitError{Code: commands.ExitBlind, Err: err}
}

// finding ends with a finding that is told already.
func finding() error { return &commands.ExitError{Code: commands.ExitFinding} }

// outputFlag is -o of a command that prints for people without it.
func outputFlag(c *cobra.Command, into *string, wide bool) {
	usage := "json or yaml, for programs"
	if wide {
		usage = "json or yaml, for programs, or wide"
	}
	c.Flags().StringVarP(into, "output", "o", "", usage)
}

func checkOutput(value string, wide bool) error {
	switch {
	case value == "", value == "json", value == "yaml", wide && value == "wide":
		return nil
	}
	return blind(fmt.Errorf("--output: %q is not json or yaml", value))
}
