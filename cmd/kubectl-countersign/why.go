package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/cluster"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/explain"
)

// story is what is known of one request.
type story struct {
	Pod string `json:"pod"`
	adminport.Why
}

func runWhy(c *cobra.Command, kube *kubeFlags, id string, args []string, allNamespaces bool, output string) error {
	if err := checkOutput(output, false); err != nil {
		return err
	}
	client, err := kube.connect()
	if err != nil {
		return err
	}
	pods, err := podsOf(c.Context(), client, args, allNamespaces)
	if err != nil {
		return err
	}
	told, err := findStory(c.Context(), client, pods, id)
	if err != nil {
		return err
	}
	if told == nil {
		return errNoRequest
	}
	if output != "" {
		return commands.WriteDocument(c.OutOrStdout(), commands.Format(output), told)
	}
	return writeStory(c.OutOrStdout(), told)
}

// findStory asks the Pod whose sidecar wrote the record; the log reaches further back than the
// sidecar's memory.
func findStory(ctx context.Context, client *cluster.Client, pods []*cluster.Pod, id string) (*story, error) {
	var found []*cluster.Record
	err := client.Records(ctx, cluster.RecordsRequest{Pods: pods}, func(r *cluster.Record) {
		if r.RequestID == id {
			found = append(found, r)
		}
	})
	if len(found) == 0 {
		// Where audit is off, only the sidecars know.
		return askForStory(ctx, client, pods, id, err)
	}
	told := &story{Pod: found[0].Pod}
	for _, pod := range pods {
		if pod.String() != told.Pod {
			continue
		}
		if asked, err := askForStory(ctx, client, []*cluster.Pod{pod}, id, nil); err == nil && asked != nil {
			told = asked
		}
	}
	told.Records = nil
	for _, r := range found {
		told.Records = append(told.Records, r.Line)
	}
	return told, nil
}

func askForStory(
	ctx context.Context,
	client *cluster.Client,
	pods []*cluster.Pod,
	id string,
	before error,
) (*story, error) {
	fault := before
	for _, pod := range pods {
		admin, err := client.Admin(ctx, pod, 0)
		if err != nil {
			fault = err
			continue
		}
		why, err := admin.Why(ctx, id)
		admin.Close()
		if err == nil {
			return &story{Pod: pod.String(), Why: *why}, nil
		}
	}
	return nil, fault
}

func writeStory(to io.Writer, s *story) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %s\n", "Pod", s.Pod)
	for _, record := range s.Records {
		if err := writeMembers(&b, record); err != nil {
			return err
		}
	}
	for _, p := range s.Policies {
		fmt.Fprintf(&b, "Policy %s (%s:%d)\n", printable(p.ID), p.File, p.Line)
		indent(&b, commands.Printable(p.Text))
	}
	switch now := s.Now; {
	case now == nil:
	case now.Note != "":
		fmt.Fprintf(&b, "Now: %s\n", now.Note)
	case now.Allowed:
		b.WriteString("Now: the auth-config in use would allow it.\n")
	case len(now.Changes) == 0:
		b.WriteString("Now: it would be denied again, and no small change of the policies allows it.\n")
	default:
		b.WriteString("Now: it would be denied again. It would be allowed by\n")
		for _, change := range now.Changes {
			explain.WriteChange(change, func(text string) { fmt.Fprintf(&b, "  %s\n", text) })
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// writeMembers writes a record a member a line, in its own order.
func writeMembers(b *strings.Builder, record jsontext.Value) error {
	decoder := jsontext.NewDecoder(strings.NewReader(string(record)))
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		label := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		text := commands.Printable(string(value))
		if value.Kind() == '"' {
			if plain, err := jsontext.AppendUnquote(nil, value); err == nil {
				text = printable(string(plain))
			}
		}
		fmt.Fprintf(b, "%-10s %s\n", label, text)
	}
	return nil
}
