package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/explain"
)

type explainOptions struct{ token, user, tool, arguments, upstream, output string }

func explainCommand(kube *kubeFlags) *cobra.Command {
	var o explainOptions
	command := &cobra.Command{
		Use: "explain POD", Short: "Ask a Pod's own sidecar what it would decide, and why",
		Long: "Ask a Pod's own sidecar what it would decide for a caller's token, or for a caller with these claims.\n\n" +
			"Exit codes are those of `sidecar explain`: 0 allowed, 3 denied, 4 refused, 2 nobody can tell.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return blind(runExplain(c, kube, args[0], &o)) },
	}
	flags := command.Flags()
	flags.StringVar(&o.token, "token", "", "file with the caller's token, - for standard input")
	flags.StringVar(
		&o.user,
		"user",
		"",
		"instead of a token: the claims that the caller would have, JSON, or @ and a file",
	)
	flags.StringVar(&o.tool, "tool", "", "a tool to decide on")
	flags.StringVar(&o.arguments, "arguments", "", "its arguments: JSON, or @ and a file with them or with a script")
	flags.StringVar(&o.upstream, "upstream", "", "the upstream that has the tool; default the first")
	outputFlag(command, &o.output, false)
	command.MarkFlagsOneRequired("token", "user")
	command.MarkFlagsMutuallyExclusive("token", "user")
	return command
}

func runExplain(c *cobra.Command, kube *kubeFlags, name string, o *explainOptions) error {
	if err := checkOutput(o.output, false); err != nil {
		return err
	}
	if o.arguments != "" && o.tool == "" {
		return errors.New("--arguments needs --tool")
	}
	question := &adminport.WhatIf{Tool: o.tool, Upstream: o.upstream}
	var err error
	if o.token != "" {
		if question.Token, err = explain.ReadToken(c.InOrStdin(), o.token); err != nil {
			return fmt.Errorf("--token: %w", err)
		}
	}
	if question.Claims, err = readClaims(o.user); err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	client, err := kube.connect()
	if err != nil {
		return err
	}
	pod, err := client.InjectedPod(c.Context(), name)
	if err != nil {
		return err
	}
	if strings.HasPrefix(o.arguments, "@") {
		// Which argument takes a script stands in the auth-config.
		cm, err := client.AuthConfig(c.Context(), pod.Namespace, pod.AuthConfig)
		if err != nil {
			return err
		}
		config, err := configmap.Compile(cm)
		if err != nil {
			return err
		}
		if question.Arguments, err = explain.Arguments(config, o.upstream, o.tool, o.arguments); err != nil {
			return fmt.Errorf("--arguments: %w", err)
		}
	} else if o.arguments != "" {
		question.Arguments = jsontext.Value(o.arguments)
	}
	admin, err := client.Admin(c.Context(), pod, 0)
	if err != nil {
		return err
	}
	defer admin.Close()
	answer := &explain.Answer{}
	if err := admin.WhatIf(c.Context(), question, answer); err != nil {
		return err
	}
	if o.output == "" {
		err = answer.WriteText(c.OutOrStdout())
	} else {
		err = commands.WriteDocument(c.OutOrStdout(), commands.Format(o.output), answer)
	}
	if code := explain.ExitCode(answer); err == nil && code != 0 {
		return &commands.ExitError{Code: code}
	}
	return err
}

func readClaims(written string) (jsontext.Value, error) {
	if written == "" {
		return nil, nil
	}
	path, isFile := strings.CutPrefix(written, "@")
	if !isFile {
		return jsontext.Value(written), nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the user names the file
	return text, err
}
