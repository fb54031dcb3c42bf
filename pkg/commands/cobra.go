package commands

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/countersign-io/countersign/pkg/inject"
)

// SidecarFlags are what is said of sidecars on a command line.
type SidecarFlags struct {
	image, pullPolicy                                string
	user                                             string
	env                                              []string
	cpuRequest, memoryRequest, cpuLimit, memoryLimit string
}

// Bind adds the flags to a command; version is that of the default image.
func (f *SidecarFlags) Bind(c *cobra.Command, version string) {
	flags := c.Flags()
	flags.StringVar(&f.image, "sidecar-image", "countersign/sidecar:"+version, "image of the sidecar")
	flags.StringVar(&f.pullPolicy, "sidecar-image-pull-policy", "IfNotPresent", "Always, IfNotPresent or Never")
	flags.StringVar(
		&f.user,
		"sidecar-uid",
		strconv.Itoa(inject.UserID),
		"uid and gid of the sidecar; auto: the second uid of the namespace's range, where OpenShift gives it one",
	)
	flags.StringArrayVar(&f.env, "sidecar-env", nil, "NAME=VALUE, a variable of every sidecar; may be given again")
	flags.StringVar(&f.cpuRequest, "sidecar-cpu-request", inject.DefaultCPURequest, "CPU request of a sidecar "+
		"whose Pod does not say")
	flags.StringVar(
		&f.memoryRequest,
		"sidecar-memory-request",
		inject.DefaultMemoryRequest,
		"memory request of a sidecar whose Pod does not say",
	)
	flags.StringVar(
		&f.cpuLimit,
		"sidecar-cpu-limit",
		"",
		"CPU limit of a sidecar whose Pod does not say; empty for none",
	)
	flags.StringVar(
		&f.memoryLimit,
		"sidecar-memory-limit",
		inject.DefaultMemoryLimit,
		"memory limit of a sidecar whose Pod does not say; empty for none",
	)
}

// Options are what the flags say.
func (f *SidecarFlags) Options() (inject.Options, error) {
	options := inject.Options{Image: f.image, ImagePullPolicy: corev1.PullPolicy(f.pullPolicy)}
	switch options.ImagePullPolicy {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return options, fmt.Errorf(
			"--sidecar-image-pull-policy: %q is not Always, IfNotPresent or Never",
			f.pullPolicy,
		)
	}
	if f.image == "" {
		return options, errors.New("--sidecar-image: must not be empty")
	}
	if options.UserOfNamespace = f.user == "auto"; !options.UserOfNamespace && f.user != strconv.Itoa(inject.UserID) {
		return options, fmt.Errorf("--sidecar-uid: %q is neither %d nor auto", f.user, inject.UserID)
	}
	for _, pair := range f.env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || len(validation.IsEnvVarName(name)) > 0 {
			// The value may be a secret in a proxy's URL.
			return options, fmt.Errorf("--sidecar-env: %q is not the name of a variable in NAME=VALUE", name)
		}
		options.Env = append(options.Env, corev1.EnvVar{Name: name, Value: value})
	}
	options.Resources = corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, q := range []struct {
		flag, value string
		list        corev1.ResourceList
		name        corev1.ResourceName
	}{
		{"--sidecar-cpu-request", f.cpuRequest, options.Resources.Requests, corev1.ResourceCPU},
		{"--sidecar-memory-request", f.memoryRequest, options.Resources.Requests, corev1.ResourceMemory},
		{"--sidecar-cpu-limit", f.cpuLimit, options.Resources.Limits, corev1.ResourceCPU},
		{"--sidecar-memory-limit", f.memoryLimit, options.Resources.Limits, corev1.ResourceMemory},
	} {
		if q.value == "" {
			continue
		}
		quantity, err := resource.ParseQuantity(q.value)
		if err != nil || quantity.Sign() <= 0 {
			return options, fmt.Errorf("%s: %q is not a positive quantity such as 50m or 64Mi", q.flag, q.value)
		}
		q.list[q.name] = quantity
	}
	return options, nil
}

// InjectCommand injects offline; version is that of the sidecar's default image.
func InjectCommand(version string) *cobra.Command {
	var request InjectRequest
	var sidecar SidecarFlags
	var output string
	command := &cobra.Command{
		Use: "inject", Short: "Inject the sidecar into the workloads of a file, as the webhook would",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if request.Format, err = format(output, FormatYAML, FormatJSON); err != nil {
				return err
			}
			if request.Options, err = sidecar.Options(); err != nil {
				return err
			}
			return Inject(request, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVarP(&request.File, "filename", "f", "", "file with workloads of any kind, - for standard input")
	flags.StringVar(
		&request.Config,
		"config",
		"",
		"file with the ConfigMaps of auth-configs, or a directory with one auth-config",
	)
	flags.StringVarP(&output, "output", "o", "yaml", "yaml or json")
	must(command.MarkFlagRequired("filename"))
	must(command.MarkFlagRequired("config"))
	sidecar.Bind(command, version)
	return command
}

// ValidateCommand validates auth-configs.
func ValidateCommand() *cobra.Command {
	var files []string
	command := &cobra.Command{
		Use: "validate", Short: "Tell every fault of auth-configs: ConfigMaps in files, or plain directories",
		RunE: func(c *cobra.Command, args []string) error {
			if len(files)+len(args) == 0 {
				return errors.New("give files or directories with -f")
			}
			return Validate(append(files, args...), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	command.Flags().
		StringArrayVarP(&files, "filename", "f", nil, "file with ConfigMaps, directory with one auth-config, or - "+
			"for standard input; may be given again")
	return command
}

// IAMCommand writes what AWS IAM must hold.
func IAMCommand() *cobra.Command {
	var file, issuer, output string
	var denyDirect bool
	command := &cobra.Command{
		Use: "iam",
		Short: "Write what AWS IAM must hold for an auth-config: OIDC provider, roles, trust, permissions, " +
			"guardrail", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			form, err := format(
				output,
				FormatJSON,
				FormatShell,
				FormatTerraform,
				FormatCloudFormation,
			)
			if err != nil {
				return err
			}
			return IAM(file, issuer, denyDirect, form, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVarP(
		&file,
		"filename",
		"f",
		"",
		"file with the ConfigMap of an auth-config, directory with one, or - for standard input",
	)
	flags.StringVar(&issuer, "issuer", "", "the cluster's issuer URL; required with identity.source serviceAccount")
	flags.BoolVar(
		&denyDirect,
		"deny-direct",
		false,
		"add the statement that keeps the roles from being assumed with any other audience",
	)
	flags.StringVarP(&output, "output", "o", "json", "json, shell, terraform or cloudformation")
	must(command.MarkFlagRequired("filename"))
	return command
}

// ScriptCommand tells what a script can do.
func ScriptCommand() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use: "script FILE",
		Short: "Tell what a script for AWS's MCP server can do: its calls, their IAM actions, what " +
			"cannot be read and why, and the session policy it would be sent with",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			form, err := format(output, FormatText, FormatJSON)
			if err != nil {
				return err
			}
			return Script(args[0], form, c.InOrStdin(), c.OutOrStdout())
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

func format(value string, known ...Format) (Format, error) {
	names := make([]string, len(known))
	for n, f := range known {
		if names[n] = string(f); names[n] == value {
			return f, nil
		}
	}
	return "", blind(fmt.Errorf("--output: %q is not one of %s", value, strings.Join(names, ", ")))
}

func must(err error) {
	if err != nil {
		panic(err) // a flag's name is misspelt above
	}
}
