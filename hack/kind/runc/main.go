// Command runc runs runc without what this machine may not give a container.
// Docker and containerd ask for every capability, for limits and for a score of
// the OOM killer; the kernel refuses the whole container where the machine's own
// root lacks one of them, as in many sandboxes of CI.
//
// It takes the place of runc on the machine and inside kind's nodes, changes the
// container's specification (https://github.com/opencontainers/runtime-spec), and
// becomes the real runc.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// realRunc is where Debian's package has it.
const realRunc = "/usr/sbin/runc"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runc:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	path, part := specification(arguments)
	if path != "" {
		allowed, err := allowedHere()
		if err != nil {
			return err
		}
		spec, err := os.ReadFile(path) //nolint:gosec // The caller is root, and names a file of its own.
		if err != nil {
			return err
		}
		if spec, err = allowed.fit(spec, part); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile(path, spec, 0o600); err != nil { //nolint:gosec // See above.
			return err
		}
	}
	return syscall.Exec(realRunc, append([]string{"runc"}, arguments...), os.Environ())
}

// The parts of a specification that name a process.
const (
	wholeContainer = "process"
	processAlone   = ""
)

// specification finds the file that says what runs, "" where the command starts
// nothing, and which member of it is the process.
func specification(arguments []string) (path, part string) {
	command := slices.IndexFunc(arguments, func(a string) bool {
		return slices.Contains([]string{"create", "run", "restore", "exec"}, a)
	})
	if command < 0 {
		return "", ""
	}
	rest := arguments[command+1:]
	if arguments[command] == "exec" {
		return value(rest, "-p", "--process"), processAlone
	}
	bundle := value(rest, "-b", "--bundle")
	if bundle == "" {
		bundle = "."
	}
	return filepath.Join(bundle, "config.json"), wholeContainer
}

// value is that of a flag, "" without one.
func value(arguments []string, names ...string) string {
	for n, argument := range arguments {
		for _, name := range names {
			if argument == name && n+1 < len(arguments) {
				return arguments[n+1]
			}
			if v, ok := strings.CutPrefix(argument, name+"="); ok {
				return v
			}
		}
	}
	return ""
}
