package commands

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/countersign-io/countersign/pkg/atomicfile"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/servertools"
	"github.com/countersign-io/countersign/pkg/toolslock"
)

// toolsRequest is what the tools commands have in common.
type toolsRequest struct {
	config, token, credential, upstream, from, output string
	write                                             bool
}

// ToolsCommand asks servers for their tools, and pins them.
func ToolsCommand() *cobra.Command {
	command := &cobra.Command{Use: "tools", Short: "Save the server's tools, pin them, tell what changed"}
	command.AddCommand(
		toolsCommand("pull", "Write the server's tools as tools.json, for the validation of policies", pullTools),
		toolsCommand("pin", "Write hashes of the server's tools as tools.lock, for authorization.toolDrift", pinTools),
		toolsCommand(
			"diff",
			"Tell how the server's tools differ from tools.lock; the exit code is 1 where they do",
			diffTools,
		),
	)
	return command
}

func toolsCommand(use, short string, run func(*cobra.Command, *toolsRequest, []jsontext.Value) error) *cobra.Command {
	var r toolsRequest
	command := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			tools, err := r.tools(c)
			if err != nil {
				return blind(err)
			}
			return blind(run(c, &r, tools))
		},
	}
	flags := command.Flags()
	flags.StringVar(&r.config, "config", "", "the auth-config: a directory, or a file with its ConfigMap")
	flags.StringVar(
		&r.token,
		"token",
		"",
		"file with a caller's token, - for standard input: the server is asked as this caller",
	)
	flags.StringVar(
		&r.credential,
		"exchange-credential",
		"",
		"what authenticates at the identity provider, for identity.oidc.exchange",
	)
	flags.StringVar(&r.upstream, "upstream", "", "the upstream; default the first")
	flags.StringVar(&r.from, "from", "", "file with a saved tools/list result, in place of asking the server")
	if use == "diff" {
		flags.StringVarP(&r.output, "output", "o", "text", "text, json or yaml")
	} else {
		flags.BoolVarP(&r.write, "write", "w", false, "write into the directory of --config instead of standard output")
	}
	must(command.MarkFlagRequired("config"))
	command.MarkFlagsOneRequired("token", "from")
	command.MarkFlagsMutuallyExclusive("token", "from")
	return command
}

func (r *toolsRequest) tools(c *cobra.Command) ([]jsontext.Value, error) {
	files, config, err := ReadConfig(r.config)
	if err != nil {
		return nil, err
	}
	if r.upstream == "" {
		r.upstream = config.Upstreams[0].Name
	}
	if r.from != "" {
		return savedTools(r.from, c.InOrStdin())
	}
	token, err := readFile(r.token, c.InOrStdin())
	if err != nil {
		return nil, fmt.Errorf("--token: %w", err)
	}
	return servertools.List(c.Context(), servertools.Request{
		Files: files, Token: strings.TrimSpace(token), Upstream: r.upstream, ExchangeCredential: r.credential,
	})
}

// savedTools reads a result of tools/list, whole or in its JSON-RPC message, or a list.
func savedTools(path string, stdin io.Reader) ([]jsontext.Value, error) {
	text, err := readFile(path, stdin)
	if err != nil {
		return nil, err
	}
	var list []jsontext.Value
	if json.Unmarshal([]byte(text), &list) == nil {
		return list, nil
	}
	var saved struct {
		Tools  []jsontext.Value `json:"tools"`
		Result struct {
			Tools []jsontext.Value `json:"tools"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(text), &saved); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if saved.Tools == nil {
		saved.Tools = saved.Result.Tools
	}
	if saved.Tools == nil {
		return nil, fmt.Errorf("%s: is no result of tools/list", path)
	}
	return saved.Tools, nil
}

func pullTools(c *cobra.Command, r *toolsRequest, tools []jsontext.Value) error {
	text, err := json.Marshal(map[string]any{"tools": tools}, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return r.put(c, authconfig.FileTools, append(text, '\n'))
}

func pinTools(c *cobra.Command, r *toolsRequest, tools []jsontext.Value) error {
	files, _, err := ReadConfig(r.config)
	if err != nil {
		return err
	}
	lock := &toolslock.Lock{Version: toolslock.Version, Upstreams: map[string]map[string]string{}}
	if text, ok := files[authconfig.FileToolsLock]; ok {
		if lock, err = toolslock.Parse([]byte(text)); err != nil {
			return err
		}
	}
	if lock.Upstreams[r.upstream], err = toolslock.Of(tools); err != nil {
		return err
	}
	text, err := lock.Marshal()
	if err != nil {
		return err
	}
	return r.put(c, authconfig.FileToolsLock, text)
}

func (r *toolsRequest) put(c *cobra.Command, name string, text []byte) error {
	if !r.write {
		_, err := c.OutOrStdout().Write(text)
		return err
	}
	if info, err := os.Stat(r.config); err != nil || !info.IsDir() {
		return errors.New("--write: --config is not a directory")
	}
	const readable = 0o644
	path := filepath.Join(r.config, name)
	if err := atomicfile.Write(path, text, readable); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.ErrOrStderr(), "wrote", path)
	return err
}

func diffTools(c *cobra.Command, r *toolsRequest, tools []jsontext.Value) error {
	form, err := format(r.output, FormatText, FormatJSON, FormatYAML)
	if err != nil {
		return err
	}
	_, config, err := ReadConfig(r.config)
	if err != nil {
		return err
	}
	if config.ToolsLock == nil {
		return errors.New("the auth-config has no tools.lock; `tools pin` writes one")
	}
	seen, err := toolslock.Of(tools)
	if err != nil {
		return err
	}
	difference := toolslock.Compare(config.ToolsLock.Upstreams[r.upstream], seen)
	if form != FormatText {
		err = WriteDocument(c.OutOrStdout(), form, difference)
	} else {
		err = writeDifference(c.OutOrStdout(), difference)
	}
	if err == nil && !difference.IsEmpty() {
		return &ExitError{Code: ExitFinding}
	}
	return err
}

func writeDifference(w io.Writer, d *toolslock.Difference) error {
	p := PaletteFor(w)
	var b strings.Builder
	for _, group := range []struct {
		mark  string
		names []string
	}{{p.Odd("new    "), d.New}, {p.Bad("changed"), d.Changed}, {p.Odd("gone   "), d.Gone}} {
		for _, name := range group.names {
			fmt.Fprintf(&b, "%s %s\n", group.mark, Printable(name))
		}
	}
	if d.IsEmpty() {
		b.WriteString("all tools are as they were pinned\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
