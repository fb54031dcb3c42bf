package commands

import (
	"errors"
	"fmt"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/configmap"
)

// The exit codes of commands that look at something.
const (
	// ExitFinding: something was found that should not be.
	ExitFinding = 1
	// ExitBlind: it could not be looked at.
	ExitBlind = 2
)

// ExitError ends a program with a code; all is said already where it has no text.
type ExitError struct {
	Code int
	Err  error
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives what happened.
func (e *ExitError) Unwrap() error { return e.Err }

// blind makes errors those of something that could not be looked at.
func blind(err error) error {
	var coded *ExitError
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return &ExitError{Code: ExitBlind, Err: err}
}

// ReadConfig gives the one auth-config in a file or directory.
func ReadConfig(path string) (authconfig.Files, *compile.Compiled, error) {
	sources, _, err := readSources(path, nil)
	if err != nil {
		return nil, nil, err
	}
	if len(sources) != 1 {
		return nil, nil, fmt.Errorf("%s holds %d auth-configs; give one", path, len(sources))
	}
	config, err := configmap.Compile(&sources[0].configMap)
	if err != nil {
		return nil, nil, errors.Join(errorLines(sources[0].where, err)...)
	}
	return sources[0].configMap.Data, config, nil
}
