package commands

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/policylife"
)

// maxRecord bounds a line of decision records.
const maxRecord = 1 << 20

// PolicyCommand has what helps policies through their life.
func PolicyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Test policies, ask new ones about old records, learn some from records",
	}
	command.AddCommand(policyTestCommand(), policyReplayCommand(), policyLearnCommand())
	return command
}

func policyTestCommand() *cobra.Command {
	var config, output string
	command := &cobra.Command{
		Use: "test FILE...", Short: "Run cases: caller, claims, tool, arguments or script, and the decision to expect",
		Long: "Run the cases of files: YAML with\n\n" +
			"  config: DIRECTORY-OR-FILE   # or --config\n" +
			"  cases:\n" +
			"  - name: readers may list Regions\n" +
			"    caller: alice\n" +
			"    claims: {groups: [readers]}\n" +
			"    tool: aws___list_regions\n" +
			"    arguments: {}             # or script: |\n" +
			"    decision: allow           # or deny\n" +
			"    role: arn:...             # optional, as are policies and sessionActions\n\n" +
			"The exit code is 1 when a case fails, 2 when cases cannot be run.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			form, err := format(output, FormatText, FormatJSON, FormatYAML)
			if err != nil {
				return blind(err)
			}
			return blind(runCases(c, args, config, form))
		},
	}
	command.Flags().StringVar(&config, "config", "", "the auth-config: a directory, or a file with its ConfigMap")
	command.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return command
}

func runCases(c *cobra.Command, files []string, configPath string, form Format) error {
	var outcomes []*policylife.Outcome
	for _, file := range files {
		more, err := casesOf(c, file, configPath)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		outcomes = append(outcomes, more...)
	}
	failed := 0
	for _, o := range outcomes {
		if !o.Passed() {
			failed++
		}
	}
	if form == FormatText {
		writeOutcomes(c.OutOrStdout(), outcomes, failed)
	} else if err := WriteDocument(c.OutOrStdout(), form, outcomes); err != nil {
		return err
	}
	if failed > 0 {
		return &ExitError{Code: ExitFinding}
	}
	return nil
}

func casesOf(c *cobra.Command, file, configPath string) ([]*policylife.Outcome, error) {
	text, err := readFile(file, c.InOrStdin())
	if err != nil {
		return nil, err
	}
	cases, err := policylife.ParseCases([]byte(text))
	if err != nil {
		return nil, err
	}
	if configPath == "" {
		if cases.Config == "" {
			return nil, errors.New("it names no config, and there is no --config")
		}
		configPath = filepath.Join(filepath.Dir(file), cases.Config)
	}
	_, config, err := ReadConfig(configPath)
	if err != nil {
		return nil, err
	}
	var outcomes []*policylife.Outcome
	for i := range cases.Cases {
		outcome, err := policylife.Test(c.Context(), config, &cases.Cases[i])
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

func writeOutcomes(w io.Writer, outcomes []*policylife.Outcome, failed int) {
	p := PaletteFor(w)
	for _, o := range outcomes {
		if o.Passed() {
			_, _ = fmt.Fprintf(w, "%s %s\n", p.Good("ok  "), o.Name)
			continue
		}
		_, _ = fmt.Fprintf(w, "%s %s\n", p.Bad("FAIL"), o.Name)
		for _, fault := range o.Faults {
			_, _ = fmt.Fprintf(w, "     %s\n", fault)
		}
	}
	_, _ = fmt.Fprintf(w, "%d cases, %d failed\n", len(outcomes), failed)
}

// eachRecord reads decision records of files, - for standard input.
func eachRecord(c *cobra.Command, files []string, take func(line []byte)) error {
	for _, file := range files {
		from := c.InOrStdin()
		if file != stdinName {
			f, err := os.Open(file) //nolint:gosec // the user names the file
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			from = f
		}
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxRecord)
		others := 0
		for lines.Scan() {
			if line := bytes.TrimSpace(lines.Bytes()); !jsontext.Value(line).IsValid() && len(line) > 0 {
				others++
				continue
			}
			take(lines.Bytes())
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if others > 0 {
			_, _ = fmt.Fprintf(c.ErrOrStderr(), "%s: %d lines are no JSON, and passed over\n", file, others)
		}
	}
	return nil
}

func policyReplayCommand() *cobra.Command {
	var config, callers, output string
	command := &cobra.Command{
		Use: "replay FILE...", Short: "Ask an auth-config about decision records: who would gain, who would lose",
		Long: "Ask an auth-config about the decision records in files, - for standard input, as `kubectl countersign audit -o json`\n" +
			"prints them. Records have no claims: --callers has them, {\"alice\": {\"groups\": [\"readers\"]}}.\n" +
			"Arguments are in records where audit.includeArguments is set.\n\n" +
			"The exit code is 1 when somebody gains, loses or gets another role, 2 when nobody can tell.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			form, err := format(output, FormatText, FormatJSON, FormatYAML)
			if err != nil {
				return blind(err)
			}
			return blind(runReplay(c, args, config, callers, form))
		},
	}
	command.Flags().StringVar(&config, "config", "", "the new auth-config: a directory, or a file with its ConfigMap")
	command.Flags().StringVar(&callers, "callers", "", "file with the claims of callers, by their sub")
	command.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	must(command.MarkFlagRequired("config"))
	return command
}

func runReplay(c *cobra.Command, files []string, configPath, callersPath string, form Format) error {
	_, config, err := ReadConfig(configPath)
	if err != nil {
		return err
	}
	callers := policylife.Callers{}
	if callersPath != "" {
		text, err := readFile(callersPath, nil)
		if err != nil {
			return err
		}
		if callers, err = policylife.ParseCallers([]byte(text)); err != nil {
			return fmt.Errorf("%s: %w", callersPath, err)
		}
	}
	replayer := policylife.NewReplayer(config, callers)
	if err := eachRecord(c, files, replayer.Add); err != nil {
		return err
	}
	replay, err := replayer.Decide(c.Context())
	if err != nil {
		return err
	}
	if form == FormatText {
		writeReplay(c.OutOrStdout(), replay)
	} else if err := WriteDocument(c.OutOrStdout(), form, replay); err != nil {
		return err
	}
	switch {
	case replay.Changes():
		return &ExitError{Code: ExitFinding}
	case replay.Same == 0:
		return errors.New("there is no record that could be decided again")
	}
	return nil
}

func writeReplay(w io.Writer, replay *policylife.Replay) {
	p := PaletteFor(w)
	line := func(mark string, s *policylife.Shift, detail string) {
		_, _ = fmt.Fprintf(
			w,
			"%s %s: %s on %s, %d calls (such as %s): %s\n",
			mark,
			Printable(s.Caller),
			Printable(s.Tool),
			Printable(s.Upstream),
			s.Calls,
			Printable(s.Example),
			Printable(detail),
		)
	}
	for _, s := range replay.Loses {
		line(p.Bad("loses"), s, s.Reason)
	}
	for _, s := range replay.Gains {
		line(p.Odd("gains"), s, s.Reason)
	}
	for _, s := range replay.Roles {
		line(p.Odd("role "), s, s.RoleBefore+" becomes "+s.RoleAfter)
	}
	_, _ = fmt.Fprintf(w, "%d calls as before\n", replay.Same)
	for _, why := range slices.Sorted(maps.Keys(replay.Unknown)) {
		_, _ = fmt.Fprintf(w, "%d calls of which nobody can tell: %s\n", replay.Unknown[why], why)
	}
}

func policyLearnCommand() *cobra.Command {
	var by, output string
	command := &cobra.Command{
		Use: "learn FILE...", Short: "Turn decision records into the least policies that allow what was seen",
		Long: "Turn the allowed calls in decision records, - for standard input, into Cedar policies and, for scripts, session\n" +
			"policies by role. Read them before you use them: they allow what happened, not what should have.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			form, err := format(output, FormatText, FormatJSON, FormatYAML)
			if err != nil {
				return blind(err)
			}
			if by != string(policylife.ByCaller) && by != string(policylife.ByRole) {
				return blind(fmt.Errorf("--by: %q is not caller or role", by))
			}
			return blind(runLearn(c, args, policylife.By(by), form))
		},
	}
	command.Flags().
		StringVar(&by, "by", string(policylife.ByCaller), "give to each caller what it did, or to each role: caller or role")
	command.Flags().StringVarP(&output, "output", "o", "text", "text (Cedar), json or yaml")
	return command
}

func runLearn(c *cobra.Command, files []string, by policylife.By, form Format) error {
	learner := policylife.NewLearner(by)
	if err := eachRecord(c, files, learner.Add); err != nil {
		return err
	}
	policies, sessions := learner.Policies(), learner.SessionPolicies()
	if policies == "" {
		return errors.New("there is no allowed tools/call in what was given")
	}
	if learner.Unread > 0 {
		_, _ = fmt.Fprintf(
			c.ErrOrStderr(),
			"Warning: %d calls had scripts that could not be read: no policy is made for them\n",
			learner.Unread,
		)
	}
	if form != FormatText {
		return WriteDocument(c.OutOrStdout(), form, map[string]any{"policies": policies, "sessionPolicies": sessions})
	}
	var b strings.Builder
	b.WriteString(policies)
	for _, role := range slices.Sorted(maps.Keys(sessions)) {
		fmt.Fprintf(&b, "// sessionPolicy of %q:\n//   %s\n", role, sessions[role])
	}
	_, err := io.WriteString(c.OutOrStdout(), b.String())
	return err
}
