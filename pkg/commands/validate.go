package commands

import (
	"errors"
	"fmt"
	"io"

	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/inject"
)

// Validate tells of each auth-config in the files and directories whether it is
// valid. The error has every fault of all of them, one a line.
func Validate(paths []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var faults []error
	count := 0
	for _, path := range paths {
		sources, skipped, err := readSources(path, stdin)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, name := range skipped {
			_, _ = fmt.Fprintf(stderr, "Warning: %s: is not an auth-config, passed over\n", name)
		}
		count += len(sources)
		for _, s := range sources {
			faults = append(faults, validate(s, stdout, stderr)...)
		}
	}
	if count == 0 && len(faults) == 0 {
		return errors.New("there is no auth-config in what was given")
	}
	return errors.Join(faults...)
}

func validate(s *source, stdout, stderr io.Writer) []error {
	config, err := configmap.Compile(&s.configMap)
	if err != nil {
		return errorLines(s.where, err)
	}
	warnings := configmap.Warnings(config)
	if !s.isDirectory && !configmap.IsAuthConfig(&s.configMap) {
		warnings = append(
			warnings,
			fmt.Sprintf(`lacks the label %s: "true": Pods that name it are refused`, inject.LabelAuthConfig),
		)
	}
	if configmap.IsCopyName(s.configMap.Name) {
		warnings = append(warnings, "has a name that only the webhook's controller may write: the cluster refuses it")
	}
	for _, warning := range warnings {
		_, _ = fmt.Fprintf(stderr, "Warning: %s: %s\n", s.where, warning)
	}
	policies := 0
	if config.Authorizer.HasPolicies() {
		policies = config.Authorizer.PolicyCount()
	}
	_, _ = fmt.Fprintf(stdout, "%s: valid (upstreams %d, role mappings %d, policies %d)\n",
		s.where, len(config.Upstreams), len(config.AWSSTS.RoleMappings), policies)
	return nil
}
