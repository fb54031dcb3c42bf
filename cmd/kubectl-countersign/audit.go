package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/cluster"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/policy"
)

type auditOptions struct {
	follow, denied, allNamespaces, noPolicies bool
	caller, tool, output                      string
	since                                     time.Duration
}

func (o *auditOptions) wants(r *cluster.Record) bool {
	return (!o.denied || r.Decision == "deny") && (o.caller == "" || r.Caller == o.caller) &&
		(o.tool == "" || r.Subject() == o.tool)
}

func auditCommand(kube *kubeFlags) *cobra.Command {
	var o auditOptions
	command := &cobra.Command{
		Use: "audit [POD]", Short: "Show the decisions of all sidecars, in the order of time, with the policies behind them",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return blind(runAudit(c, kube, args, &o)) },
	}
	flags := command.Flags()
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on as decisions come")
	flags.BoolVar(&o.denied, "denied", false, "denials only")
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "of all namespaces")
	flags.BoolVar(&o.noPolicies, "no-policies", false, "without the policies' text")
	flags.StringVar(&o.caller, "caller", "", "of this caller only: the claim sub")
	flags.StringVar(&o.tool, "tool", "", "of this tool only")
	flags.DurationVar(&o.since, "since", time.Hour, "how far back; 0 for all that there is")
	flags.StringVarP(&o.output, "output", "o", "", "json: the records as they were written, one a line")
	return command
}

func runAudit(c *cobra.Command, kube *kubeFlags, args []string, o *auditOptions) error {
	if o.output != "" && o.output != "json" {
		return fmt.Errorf("--output: %q is not json", o.output)
	}
	client, err := kube.connect()
	if err != nil {
		return err
	}
	pods, err := podsOf(c.Context(), client, args, o.allNamespaces)
	if err != nil {
		return err
	}
	var texts map[string]map[string]policy.Text
	if o.output == "" && !o.noPolicies {
		texts = policyTexts(c.Context(), client, pods)
	}
	w := &recordWriter{
		to:      c.OutOrStdout(),
		palette: commands.PaletteFor(c.OutOrStdout()),
		json:    o.output == "json",
		texts:   texts,
	}
	var all []*cluster.Record
	err = client.Records(
		c.Context(),
		cluster.RecordsRequest{Pods: pods, Follow: o.follow, Since: o.since},
		func(r *cluster.Record) {
			switch {
			case !o.wants(r):
			case o.follow:
				w.write(r)
			default:
				all = append(all, r)
			}
		},
	)
	slices.SortStableFunc(
		all,
		func(a, b *cluster.Record) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Pod, b.Pod)) },
	)
	for _, r := range all {
		w.write(r)
	}
	if err != nil && len(all) > 0 {
		// What there is was told; some Pod did not answer.
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "Warning:", err)
		return nil
	}
	return err
}

func podsOf(ctx context.Context, client *cluster.Client, args []string, allNamespaces bool) ([]*cluster.Pod, error) {
	if len(args) == 1 {
		pod, err := client.InjectedPod(ctx, args[0])
		return []*cluster.Pod{pod}, err
	}
	namespace := client.Namespace
	if allNamespaces {
		namespace = ""
	}
	pods, err := client.InjectedPods(ctx, namespace)
	if err == nil && len(pods) == 0 {
		err = cluster.ErrNoPods
	}
	return pods, err
}

// policyTexts are the policies as the cluster has them now, by Pod and id.
func policyTexts(ctx context.Context, client *cluster.Client, pods []*cluster.Pod) map[string]map[string]policy.Text {
	byConfig, byPod := map[string]map[string]policy.Text{}, map[string]map[string]policy.Text{}
	for _, pod := range pods {
		at := pod.Namespace + "/" + pod.AuthConfig
		if _, known := byConfig[at]; !known {
			byConfig[at] = nil
			cm, err := client.AuthConfig(ctx, pod.Namespace, pod.AuthConfig)
			if err != nil {
				continue
			}
			config, err := configmap.Compile(cm)
			if err != nil {
				continue
			}
			byConfig[at] = map[string]policy.Text{}
			for _, text := range config.Authorizer.Policies() {
				byConfig[at][text.ID] = text
			}
		}
		byPod[pod.String()] = byConfig[at]
	}
	return byPod
}

// recordWriter writes records for people, or as they were written.
type recordWriter struct {
	to      io.Writer
	palette commands.Palette
	json    bool
	texts   map[string]map[string]policy.Text
}

func (w *recordWriter) write(r *cluster.Record) {
	if w.json {
		_, _ = fmt.Fprintf(w.to, "%s\n", r.Line)
		return
	}
	mark := map[string]string{
		"allow": w.palette.Good("allow "), "deny": w.palette.Bad("deny  "), "reject": w.palette.Odd("reject"),
	}[r.Decision]
	because := r.Failure
	if because == "" && r.Decision != "allow" {
		because = r.Reason
	}
	if r.Enforced != nil && !*r.Enforced {
		because += ", logged only"
	}
	if because != "" {
		because = " (" + because + ")"
	}
	who := r.Caller
	if who == "" {
		who = "nobody"
	}
	_, _ = fmt.Fprintf(
		w.to,
		"%s %s %s  %s  %s%s  %s %s\n",
		r.Time.Local().Format("15:04:05.000"),
		w.palette.Quiet(r.Pod),
		mark,
		printable(who),
		printable(r.Subject()),
		because,
		w.palette.Quiet("request"),
		r.RequestID,
	)
	for _, id := range r.Policies {
		text, known := w.texts[r.Pod][id]
		if !known {
			_, _ = fmt.Fprintf(w.to, "    policy %s\n", printable(id))
			continue
		}
		_, _ = fmt.Fprintf(w.to, "    policy %s (%s:%d)\n", printable(id), text.File, text.Line)
		if w.texts != nil && r.Decision == "deny" {
			indent(w.to, commands.Printable(text.Text))
		}
	}
	for _, e := range r.Errors {
		_, _ = fmt.Fprintf(w.to, "    error %s\n", printable(e))
	}
}

func indent(to io.Writer, text string) {
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintf(to, "      %s\n", strings.TrimRight(line, "\n"))
	}
}

// printable keeps what others wrote on one line, and from steering a terminal.
func printable(text string) string {
	return commands.Printable(strings.NewReplacer("\n", "?", "\t", "?").Replace(text))
}

var errNoRequest = errors.New("no sidecar knows the request: its Pod may be gone, or the record older than the log; " +
	"name the namespace with -n, or -A for all")

func whyCommand(kube *kubeFlags) *cobra.Command {
	var output string
	var allNamespaces bool
	command := &cobra.Command{
		Use: "why REQUEST-ID [POD]", Short: "Tell the story of one call, and which smallest change of the policies would allow it",
		Long: "Tell the story of one call: errors carry its id as error.data.requestId, records as requestId. Where policies denied it, the\n" +
			"sidecar tries which smallest changes would allow it, on the very call; nothing is changed.",
		Args: cobra.RangeArgs(1, 2), //nolint:mnd // the Pod is optional
		RunE: func(c *cobra.Command, args []string) error {
			return blind(runWhy(c, kube, args[0], args[1:], allNamespaces, output))
		},
	}
	command.Flags().BoolVarP(&allNamespaces, "all-namespaces", "A", false, "look in all namespaces")
	outputFlag(command, &output, false)
	return command
}
