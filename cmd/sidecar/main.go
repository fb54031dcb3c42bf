// Command sidecar runs beside an agent: it takes the agent's MCP requests to
// AWS and sends them on as the caller they are made for.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	// Roots for images that have none of their own.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/countersign-io/countersign/pkg/adminport"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/explain"
	"github.com/countersign-io/countersign/pkg/intercept"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/logging"
	"github.com/countersign-io/countersign/pkg/sidecar"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if command, err := rootCommand().ExecuteContextC(ctx); err != nil {
		var exit *exitError
		if errors.As(err, &exit) {
			os.Exit(exit.code) //nolint:gocritic // the process ends, so does the signal handler
		}
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(failureCode(command))
	}
}

// exitError ends the program with a code and without a word: all is said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// failureCode is what a command ends with after an error: explain has codes of its
// own, and one of them for a question that could not be answered.
func failureCode(command *cobra.Command) int {
	if command.Name() == "explain" {
		return explain.ExitCannotTell
	}
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "sidecar", Short: "Use AWS through MCP as the caller", Version: version,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(proxyCommand(), redirectCommand(), readyCommand(), adminTokenCommand(), explainCommand())
	return root
}

func proxyCommand() *cobra.Command {
	options := sidecar.Options{Version: version}
	var logLevel string
	command := &cobra.Command{
		Use: "proxy", Short: "Serve MCP requests: identify, authorize, exchange, sign, stream", Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return logging.SetUp(logLevel) },
		RunE:    func(c *cobra.Command, _ []string) error { return sidecar.Run(c.Context(), options) },
	}
	flags := command.Flags()
	flags.StringVar(&options.ConfigDir, "config", "", "directory with the auth-config")
	flags.StringVar(
		&options.Listen,
		"listen",
		"127.0.0.1:15380",
		"address for plain HTTP; other than loopback only with identity.source bearer",
	)
	flags.StringSliceVar(&options.TLSListen, "tls-listen", nil, "addresses that upstream host names were pointed to")
	flags.StringSliceVar(&options.RedirectListen, "redirect-listen", nil, "addresses that firewall rules redirect to")
	flags.StringVar(
		&options.CADir,
		"ca-dir",
		"",
		"directory for what clients need to trust the Pod's CA: ca.crt, bundle.crt, truststore.p12",
	)
	flags.StringVar(
		&options.CAKeyDir,
		"ca-key-dir",
		"",
		"directory that keeps the Pod's CA with its key over restarts; nobody else may read it",
	)
	flags.StringVar(
		&options.SessionKey,
		"session-key",
		"",
		"file with the keys that bind MCP sessions to callers, made when it is missing; default one in "+
			"--ca-key-dir, else a key of this process",
	)
	flags.StringVar(&options.Admin, "admin", ":15390", "address for /healthz, /readyz, /metrics, /status and the "+
		"status page")
	flags.StringVar(
		&options.AdminToken,
		"admin-token-file",
		"",
		"file to write the token into that opens the status page; nobody else may read it; default one of this user's",
	)
	flags.StringVar(
		&options.ServiceAccountToken,
		"service-account-token",
		"/var/run/countersign/token/token",
		"projected token file for identity.source serviceAccount, and for the actor of an exchange",
	)
	flags.StringVar(
		&options.ExchangeCredential,
		"exchange-credential",
		defaultCredential,
		"file with what authenticates the sidecar at the identity provider for identity.oidc.exchange: the client's "+
			"secret, its private key (PEM or JWK), or a service-account token",
	)
	flags.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	must(command.MarkFlagRequired("config"))
	return command
}

func redirectCommand() *cobra.Command {
	var rules intercept.Rules
	var ports []uint
	command := &cobra.Command{
		Use:   "redirect",
		Short: "Write the firewall rules that send the Pod's connections to the sidecar, then exit", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if rules.To == 0 {
				return errors.New("--to: 0 is not a port")
			}
			for _, port := range ports {
				if port == 0 || port > math.MaxUint16 {
					return fmt.Errorf("--ports: %d is not a port", port)
				}
				rules.Ports = append(rules.Ports, uint16(port))
			}
			return rules.Apply()
		},
	}
	flags := command.Flags()
	flags.Uint16Var(&rules.To, "to", 15381, "port of --redirect-listen")
	flags.UintSliceVar(&ports, "ports", []uint{443}, "ports whose connections are redirected: those of the upstreams")
	flags.Uint32Var(&rules.UID, "uid", 15337, "uid whose connections are left alone: the sidecar's")
	return command
}

// readyTimeout is shorter than what kubelet gives the probe.
const readyTimeout = 900 * time.Millisecond

func readyCommand() *cobra.Command {
	var admin string
	command := &cobra.Command{
		Use: "ready", Short: "Tell by the exit code whether the proxy serves, for a probe that crosses no network",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return sidecar.CheckReady(c.Context(), admin, readyTimeout) },
	}
	command.Flags().StringVar(&admin, "admin", ":15390", "address of the proxy's --admin")
	return command
}

// podAdminToken is where injected Pods have the admin port's token.
const podAdminToken = "/var/run/countersign/session/admin-token" //nolint:gosec // a path

func adminTokenCommand() *cobra.Command {
	var admin, file string
	command := &cobra.Command{
		Use: "admin-token", Short: "Print the token that opens the status page and /status of the proxy beside",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			token, err := readAdminToken(file, admin)
			if err != nil {
				return fmt.Errorf("no proxy beside left a token:\n%w", err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), token)
			return err
		},
	}
	command.Flags().StringVar(&admin, "admin", ":15390", "address of the proxy's --admin")
	command.Flags().StringVar(&file, "admin-token-file", "", "file of the proxy's --admin-token-file")
	return command
}

// readAdminToken reads the file, or where there is none looks where proxies leave the token.
func readAdminToken(file, admin string) (string, error) {
	if file != "" {
		return adminport.ReadToken(file)
	}
	token, podErr := adminport.ReadToken(podAdminToken)
	if podErr == nil {
		return token, nil
	}
	private, err := adminport.PrivateFile(admin)
	if err == nil {
		token, err = adminport.ReadToken(private)
	}
	if err != nil {
		return "", errors.Join(podErr, err)
	}
	return token, nil
}

type explainOptions struct {
	configDir, tokenFile, claims, tool, arguments, upstream, output string

	exchange bool
	files    tokenexchange.Files
}

// defaultCredential is where injected Pods have what authenticates an exchange.
const defaultCredential = "/var/run/countersign/exchange/credential" //nolint:gosec // a path

func explainCommand() *cobra.Command {
	var o explainOptions
	command := &cobra.Command{
		Use: "explain", Short: "Tell which role a token gets, which policies decide on a tool, and why",
		Args: cobra.NoArgs,
		Long: "Tell which role a token gets, which policies decide on a tool, and why.\n\n" +
			"The exit code is 0 when the token is accepted and the tool allowed, 3 when the tool is denied,\n" +
			"4 when the token is refused, has no role, or is none that AWS is set up for, 2 when nobody can tell.",
		RunE: func(c *cobra.Command, _ []string) error {
			answer, err := runExplain(c, &o)
			if err != nil {
				return err
			}
			if code := explain.ExitCode(answer); code != 0 {
				return &exitError{code}
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.configDir, "config", "", "directory with the auth-config")
	flags.StringVar(&o.tokenFile, "token", "", "file with the caller's token, - for standard input")
	flags.StringVar(&o.claims, "claims", "", "instead of a token: the claims that a caller would have, a JSON object")
	flags.StringVar(&o.tool, "tool", "", "a tool to decide on")
	flags.StringVar(&o.arguments, "arguments", "", "the tool's arguments: a JSON object, or @ and a file with "+
		"one, or with the script of a tool that takes one")
	flags.StringVar(&o.upstream, "upstream", "", "the upstream that has the tool; default the first")
	flags.BoolVar(&o.exchange, "exchange", false, "exchange the token as identity.oidc.exchange says, for real, and "+
		"show both tokens' claims")
	flags.StringVar(
		&o.files.Credential,
		"exchange-credential",
		defaultCredential,
		"what authenticates the sidecar at "+
			"the identity provider, with --exchange",
	)
	flags.StringVar(&o.files.Actor, "service-account-token", "/var/run/countersign/exchange/actor",
		"the actor's token, with --exchange where exchange.actor is serviceAccount")
	flags.StringVarP(&o.output, "output", "o", "text", "text or json")
	must(command.MarkFlagRequired("config"))
	command.MarkFlagsMutuallyExclusive("token", "claims")
	command.MarkFlagsMutuallyExclusive("exchange", "claims")
	return command
}

func runExplain(c *cobra.Command, o *explainOptions) (*explain.Answer, error) {
	// Warnings about the config belong on stderr, beside the answer.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	if o.output != "text" && o.output != "json" {
		return nil, fmt.Errorf("--output: %q is not text or json", o.output)
	}
	if o.tokenFile == "" && o.claims == "" {
		return nil, errors.New(`required flag(s) "token" not set, nor "claims"`)
	}
	if o.arguments != "" && o.tool == "" {
		return nil, errors.New("--arguments needs --tool")
	}
	files, err := authconfig.ReadDir(o.configDir)
	if err != nil {
		return nil, err
	}
	config, err := compile.Files(files, sidecar.PodFromEnvironment())
	if err != nil {
		return nil, fmt.Errorf("invalid auth-config:\n%w", err)
	}
	if o.exchange {
		if config.Identity.OIDC.Exchange == nil {
			return nil, errors.New("--exchange: the auth-config has no identity.oidc.exchange")
		}
		if err := tokenexchange.CheckFiles(config.Identity.OIDC.Exchange, o.files); err != nil {
			return nil, err
		}
	}
	for _, warning := range config.Warnings {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "Warning:", warning)
	}
	var token string
	if o.tokenFile != "" {
		if token, err = explain.ReadToken(c.InOrStdin(), o.tokenFile); err != nil {
			return nil, fmt.Errorf("--token: %w", err)
		}
	}
	arguments, err := explain.Arguments(config, o.upstream, o.tool, o.arguments)
	if err != nil {
		return nil, fmt.Errorf("--arguments: %w", err)
	}
	client, err := liveconfig.NewClient(
		liveconfig.WithExtraRoots(config.CA, os.Getenv("COUNTERSIGN_EXTRA_ROOTS")), os.Getenv("AWS_CA_BUNDLE"),
	)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	answer, err := explain.Explain(ctx, explain.Question{
		Config: config, Token: token, Claims: jsontext.Value(o.claims), Tool: o.tool, Arguments: arguments, Upstream: o.upstream,
		Client: client, Exchange: o.exchange, Files: o.files,
	})
	if err != nil {
		return nil, err
	}
	if o.output == "json" {
		return answer, answer.WriteJSON(c.OutOrStdout())
	}
	return answer, answer.WriteText(c.OutOrStdout())
}

func must(err error) {
	if err != nil {
		panic(err) // a flag's name is misspelt above
	}
}
