package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-io/countersign/pkg/check"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/inject"
)

type checkOptions struct {
	pre                               bool
	config, token, credential, output string
	allNamespaces, aws                bool
}

func checkCommand(kube *kubeFlags) *cobra.Command {
	var o checkOptions
	command := &cobra.Command{
		Use: "check", Short: "Look at everything that must hold, and say what to do where it does not",
		Long: "Look at the installation, and at a namespace's labels, auth-configs and Pods; with -A at all labelled ones.\n" +
			"For each auth-config the issuer and AWS STS are looked at from this machine, and with a caller's token the exchange and\n" +
			"the server's tools. --config looks at an auth-config in files alone, --pre at a cluster before anything is installed.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCheck(c, kube, &o) },
	}
	flags := command.Flags()
	flags.BoolVar(&o.pre, "pre", false, "look whether the cluster is ready for an installation")
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "look at every labelled namespace")
	flags.StringVar(
		&o.config,
		"config",
		"",
		"an auth-config in a directory, or a file with its ConfigMap; no cluster is asked",
	)
	flags.StringVar(
		&o.token,
		"token",
		"",
		"file with a caller's token, to look at the exchange and the server's tools",
	)
	flags.StringVar(
		&o.credential,
		"exchange-credential",
		"",
		"what authenticates at the identity provider, for identity.oidc.exchange",
	)
	flags.BoolVar(
		&o.aws,
		"aws",
		true,
		"compare IAM with the auth-config, with your AWS credentials where there are some; it only reads",
	)
	outputFlag(command, &o.output, false)
	return command
}

func runCheck(c *cobra.Command, kube *kubeFlags, o *checkOptions) error {
	if err := checkOutput(o.output, false); err != nil {
		return err
	}
	token := ""
	if o.token != "" {
		text, err := os.ReadFile(o.token)
		if err != nil {
			return blind(fmt.Errorf("--token: %w", err))
		}
		token = strings.TrimSpace(string(text))
	}
	q := check.ConfigRequest{Token: token, ExchangeCredential: o.credential, LeaveIAM: !o.aws}
	if o.aws {
		credentials, err := check.AWSCredentials(c.Context())
		switch {
		case err == nil:
			q.AWS = &credentials
		case !errors.Is(err, check.ErrNoAWSCredentials):
			q.AWSFault = err
		}
	}
	report := &check.Report{}
	if o.output == "" {
		report.Tell = newFactWriter(c.OutOrStdout()).write
	}
	if err := look(c, kube, o, q, report); err != nil {
		return err
	}
	if o.output != "" {
		if err := commands.WriteDocument(c.OutOrStdout(), commands.Format(o.output), report.Facts); err != nil {
			return err
		}
	}
	if code := report.ExitCode(); code != 0 {
		return &commands.ExitError{Code: code}
	}
	return nil
}

func look(c *cobra.Command, kube *kubeFlags, o *checkOptions, q check.ConfigRequest, report *check.Report) error {
	if o.config != "" {
		files, config, err := commands.ReadConfig(o.config)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return blind(err)
		}
		if err != nil {
			report.Group("Auth-config " + o.config)
			report.Fail("auth-config", err.Error(), "mend it: docs/auth-config.md has every field")
			return nil
		}
		q.Name, q.Files, q.Compiled = o.config, files, config
		check.Config(c.Context(), q, report)
		return nil
	}
	client, err := kube.connect()
	if err != nil {
		return err
	}
	if o.pre {
		return blind(check.Before(c.Context(), client, report))
	}
	if err := check.Installation(c.Context(), client, report); err != nil {
		return blind(err)
	}
	namespaces := []string{client.Namespace}
	if o.allNamespaces {
		list, err := client.Kube.CoreV1().
			Namespaces().
			List(c.Context(), metav1.ListOptions{LabelSelector: inject.LabelInjection + "=enabled"})
		if err != nil {
			return blind(err)
		}
		namespaces = nil
		for i := range list.Items {
			namespaces = append(namespaces, list.Items[i].Name)
		}
	}
	// Who may not read it still learns the rest.
	q.Issuer, _ = client.Issuer(c.Context())
	for _, namespace := range namespaces {
		configs := check.Namespace(c.Context(), client, namespace, report)
		for _, name := range slices.Sorted(maps.Keys(configs)) {
			cm, err := client.AuthConfig(c.Context(), namespace, name)
			if err != nil {
				report.Unknown("auth-config "+name, err)
				continue
			}
			q.Name, q.Files, q.Compiled = name, cm.Data, configs[name]
			check.Config(c.Context(), q, report)
		}
	}
	return nil
}

// factWriter writes facts as they become known.
type factWriter struct {
	to      io.Writer
	palette commands.Palette
	group   string
}

func newFactWriter(to io.Writer) *factWriter {
	return &factWriter{to: to, palette: commands.PaletteFor(to)}
}

func (w *factWriter) write(f check.Fact) {
	if f.Group != w.group {
		if w.group != "" {
			_, _ = fmt.Fprintln(w.to)
		}
		w.group = f.Group
		_, _ = fmt.Fprintln(w.to, f.Group)
	}
	marks := map[check.State]string{
		check.OK: w.palette.Good("✓"), check.Warn: w.palette.Odd("!"), check.Fail: w.palette.Bad("✕"),
		check.Unknown: w.palette.Quiet("?"),
	}
	detail := strings.ReplaceAll(commands.Printable(f.Detail), "\n", "\n      ")
	_, _ = fmt.Fprintf(w.to, "  %s %s: %s\n", marks[f.State], f.Name, detail)
	if f.Advice != "" {
		_, _ = fmt.Fprintf(w.to, "      %s %s\n", w.palette.Quiet("→"), f.Advice)
	}
}
