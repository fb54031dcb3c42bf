// Command webhook injects the sidecar into Pods, in a cluster or offline.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/countersign-io/countersign/pkg/admission"
	"github.com/countersign-io/countersign/pkg/commands"
	"github.com/countersign-io/countersign/pkg/logging"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1) //nolint:gocritic // the process ends, so does the signal handler
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "webhook", Short: "Inject the Countersign sidecar into Pods", Version: version,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(
		serveCommand(), commands.InjectCommand(version), commands.ValidateCommand(), commands.IAMCommand(),
		commands.ScriptCommand(),
	)
	return root
}

func serveCommand() *cobra.Command {
	var options admission.Options
	var sidecar commands.SidecarFlags
	var logLevel string
	command := &cobra.Command{
		Use: "serve", Short: "Serve the webhooks and keep the copies of shared auth-configs", Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if err := logging.SetUp(logLevel); err != nil {
				return err
			}
			admission.UseDefaultLogger()
			// Most of the heap is the cache, which lives long: with the default it
			// would take twice its size.
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(40)
			}
			options.Inject, err = sidecar.Options()
			return err
		},
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, err := ctrl.GetConfig()
			if err != nil {
				return fmt.Errorf("find the cluster: %w", err)
			}
			return admission.Run(c.Context(), cluster, options)
		},
	}
	flags := command.Flags()
	flags.StringVar(
		&options.Namespace,
		"namespace",
		"countersign-system",
		"the namespace that the webhook runs in; shared auth-configs lie there",
	)
	flags.StringVar(
		&options.Name,
		"name",
		"countersign-webhook",
		"name of the Service and of both webhook configurations",
	)
	flags.StringVar(
		&options.CertDir,
		"cert-dir",
		"",
		"directory with tls.crt and tls.key that somebody else makes; empty: the webhook makes, rotates and "+
			"publishes its own",
	)
	flags.IntVar(&options.Port, "port", 9443, "port of the webhook server")
	flags.StringVar(&options.HealthAddress, "health-address", ":8081", "address for /healthz and /readyz")
	flags.StringVar(&options.MetricsAddress, "metrics-address", ":8080", "address for /metrics; 0 turns it off")
	flags.DurationVar(
		&options.ShutdownDelay,
		"shutdown-delay",
		10*time.Second,
		"how long to serve on after SIGTERM, while API servers turn to other replicas",
	)
	flags.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	sidecar.Bind(command, version)
	return command
}
