package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/cluster"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/configmap"
)

// maxAsked bounds the sidecars that are asked at once.
const maxAsked = 8

// podStatus is one Pod in a list.
type podStatus struct {
	Pod        string `json:"pod"`
	AuthConfig string `json:"authConfig"`
	Mode       string `json:"mode"`
	Image      string `json:"image"`
	Ready      bool   `json:"ready"`
	Restarts   int32  `json:"restarts"`
	// Config is current, old, or refused; unknown where it cannot be told.
	Config string `json:"config"`
	// Wanted is the hash of the auth-config in the cluster.
	Wanted string            `json:"wantedHash,omitempty"`
	Status *adminport.Status `json:"status,omitempty"`
	Error  string            `json:"error,omitempty"`
}

func statusCommand(kube *kubeFlags) *cobra.Command {
	var output string
	var allNamespaces, web, noBrowser bool
	var port int
	command := &cobra.Command{
		Use: "status [POD]", Short: "Show every sidecar: its auth-config, version, errors, decisions of the last minutes",
		Long: "Show every sidecar of the namespace, or that of one Pod in full. --web opens its status page through a forwarded port,\n" +
			"until you press Ctrl-C.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(output, true); err != nil {
				return err
			}
			client, err := kube.connect()
			if err != nil {
				return err
			}
			if web {
				if len(args) == 0 {
					return blind(errors.New("--web: name a Pod"))
				}
				return blind(openPage(c, client, args[0], port, noBrowser))
			}
			return showStatus(c, client, args, allNamespaces, output)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&allNamespaces, "all-namespaces", "A", false, "of all namespaces")
	flags.BoolVar(&web, "web", false, "open the status page of the Pod's sidecar")
	flags.BoolVar(&noBrowser, "no-browser", false, "with --web: print the address only")
	flags.IntVar(&port, "port", 0, "with --web: the port on this machine; default a free one")
	outputFlag(command, &output, true)
	return command
}

func openPage(c *cobra.Command, client *cluster.Client, name string, port int, noBrowser bool) error {
	pod, err := client.InjectedPod(c.Context(), name)
	if err != nil {
		return err
	}
	admin, err := client.Admin(c.Context(), pod, port)
	if err != nil {
		return err
	}
	defer admin.Close()
	address := admin.URL + "/#token=" + admin.Token
	_, _ = fmt.Fprintf(c.OutOrStdout(), "%s\nThe page stays until you press Ctrl-C.\n", address)
	if !noBrowser {
		openBrowser(c.Context(), address)
	}
	return admin.Wait(c.Context())
}

// openBrowser tries; the address is printed in any case.
func openBrowser(ctx context.Context, address string) {
	program := map[string]string{"darwin": "open", "windows": "explorer"}[runtime.GOOS]
	if program == "" {
		program = "xdg-open"
	}
	_ = exec.CommandContext(ctx, program, address).Start() //nolint:gosec // our own address
}

func showStatus(c *cobra.Command, client *cluster.Client, args []string, allNamespaces bool, output string) error {
	var pods []*cluster.Pod
	var err error
	if len(args) == 1 {
		var pod *cluster.Pod
		pod, err = client.InjectedPod(c.Context(), args[0])
		pods = []*cluster.Pod{pod}
	} else {
		namespace := client.Namespace
		if allNamespaces {
			namespace = ""
		}
		pods, err = client.InjectedPods(c.Context(), namespace)
	}
	if err != nil {
		return blind(err)
	}
	if len(pods) == 0 {
		_, _ = fmt.Fprintln(
			c.ErrOrStderr(),
			"No Pod with a sidecar. `kubectl countersign check` says why there may be none.",
		)
		return nil
	}
	statuses := askAll(c, client, pods)
	switch {
	case output == "json" || output == "yaml":
		err = commands.WriteDocument(c.OutOrStdout(), commands.Format(output), statuses)
	case len(args) == 1:
		err = writeStatus(c.OutOrStdout(), statuses[0])
	default:
		err = writeStatuses(c.OutOrStdout(), statuses, output == "wide")
	}
	if err != nil {
		return err
	}
	for _, s := range statuses {
		if s.Config == configOld || s.Config == configRefused || s.Error != "" {
			return finding()
		}
	}
	return nil
}

// What a sidecar uses, beside what the cluster has.
const (
	configCurrent = "current"
	configOld     = "old"
	configRefused = "refused"
	configUnknown = "unknown"
)

func askAll(c *cobra.Command, client *cluster.Client, pods []*cluster.Pod) []*podStatus {
	statuses := make([]*podStatus, len(pods))
	places := make(chan struct{}, maxAsked)
	var wait sync.WaitGroup
	progress := newProgress(c.ErrOrStderr(), "asking sidecars", len(pods))
	for i, pod := range pods {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			statuses[i] = askOne(c.Context(), client, pod)
			progress.step()
		})
	}
	wait.Wait()
	progress.end()
	return statuses
}

func askOne(ctx context.Context, client *cluster.Client, pod *cluster.Pod) *podStatus {
	s := &podStatus{
		Pod: pod.String(), AuthConfig: pod.AuthConfig, Mode: pod.Mode, Image: pod.Image, Ready: pod.Ready, Restarts: pod.Restarts,
		Config: configUnknown,
	}
	if cm, err := client.AuthConfig(ctx, pod.Namespace, pod.AuthConfig); err == nil {
		if config, err := configmap.Compile(cm); err == nil {
			s.Wanted = config.Hash
		}
	}
	admin, err := client.Admin(ctx, pod, 0)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	defer admin.Close()
	status, err := admin.Status(ctx)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Status = status
	switch {
	case status.Details != nil && status.Refused != "":
		s.Config = configRefused
	case s.Wanted == "":
	case s.Wanted == status.ConfigHash:
		s.Config = configCurrent
	default:
		s.Config = configOld
	}
	return s
}

func writeStatuses(to io.Writer, statuses []*podStatus, wide bool) error {
	to = printableWriter{to}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	header := "POD\tAUTH-CONFIG\tCONFIG\tMODE\tVERSION\tALLOWED\tDENIED\tREJECTED"
	if wide {
		header += "\tHASH\tIMAGE\tRESTARTS\tWARNINGS"
	}
	_, _ = fmt.Fprintln(w, header)
	for _, s := range statuses {
		if s.Status == nil {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t-\t-\t-\t-\n", s.Pod, s.AuthConfig, s.Config, s.Mode)
			continue
		}
		d := s.Status.Counts.Decisions
		version := ""
		if s.Status.Details != nil {
			version = s.Status.Version
		}
		_, _ = fmt.Fprintf(
			w,
			"%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d",
			s.Pod,
			s.AuthConfig,
			s.Config,
			s.Mode,
			version,
			d.Allow,
			d.Deny,
			d.Reject,
		)
		if wide {
			_, _ = fmt.Fprintf(
				w,
				"\t%.12s\t%s\t%d\t%d",
				s.Status.ConfigHash,
				s.Image,
				s.Restarts,
				s.Status.Counts.Warnings,
			)
		}
		_, _ = fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range statuses {
		if s.Error != "" {
			_, _ = fmt.Fprintf(to, "%s: %s\n", s.Pod, s.Error)
		}
		if s.Config == configRefused {
			_, _ = fmt.Fprintf(to, "%s: the newest auth-config is refused: %s\n", s.Pod, s.Status.Refused)
		}
	}
	_, err := fmt.Fprintln(to, "Decisions are those of the last five minutes.")
	return err
}

func writeStatus(to io.Writer, s *podStatus) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("Pod", "%s", s.Pod)
	line("Auth-config", "%s (%s)", s.AuthConfig, s.Config)
	line("Mode", "%s", s.Mode)
	line("Image", "%s, restarts %d", s.Image, s.Restarts)
	switch {
	case s.Error != "":
		line("Sidecar", "%s", s.Error)
	case s.Status.Details != nil:
		writeDetails(line, s.Status)
	}
	_, err := io.WriteString(printableWriter{to}, b.String())
	return err
}

// printableWriter is for text with names and messages that others wrote.
type printableWriter struct{ to io.Writer }

// Write implements io.Writer.
func (w printableWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, commands.Printable(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

func writeDetails(line func(name, format string, args ...any), s *adminport.Status) {
	line("Version", "%s, since %s", s.Version, s.Started.Local().Format("2006-01-02 15:04:05"))
	line("Hash", "%s", s.ConfigHash)
	if s.Refused != "" {
		line("REFUSED", "%s", s.Refused)
	}
	for _, warning := range s.Warnings {
		line("Warning", "%s", warning)
	}
	line("Callers", "%s %s", s.Identity, s.Issuer)
	line("Policies", "%d (%s), role mappings %d", s.Policies, s.Authorization, s.Counts.RoleMappings)
	for _, u := range s.Upstreams {
		detail := u.URL
		if m := s.Metrics; m != nil && m.Upstreams[u.Name] != nil {
			of := m.Upstreams[u.Name]
			detail += fmt.Sprintf(
				": %d requests, %d failed, median %.0f ms, p99 %.0f ms",
				of.Requests,
				of.Failed,
				1000*of.Median,
				1000*of.P99,
			)
		}
		line("Upstream", "%s %s", u.Name, detail)
	}
	d := s.Counts.Decisions
	line("Decisions", "%d allowed, %d denied, %d rejected in the last five minutes", d.Allow, d.Deny, d.Reject)
	line("Sessions", "%d of roles are held", s.CredentialCacheSize)
}
