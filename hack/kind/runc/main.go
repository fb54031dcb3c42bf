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
		spec, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if spec, err = allowed.fit(spec, part); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		// A new name is taken only when the file is whole.
		if err := os.WriteFile(path+".new", spec, 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
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

// withValue are runc's flags whose value is the next argument, before a command and behind
// create, run, restore and exec.
var withValue = []string{
	"--root", "--log", "--log-format", "--criu", "--rootless",
	"--bundle", "-b", "--console-socket", "--pid-file", "--preserve-fds", "--image-path", "--work-path",
	"--parent-path", "--manage-cgroups-mode", "--lsm-profile", "--lsm-mount-context", "--process", "-p", "--cwd",
	"--env", "-e", "--user", "-u", "--additional-gids", "-g", "--process-label", "--apparmor", "--cap", "-c", "--cgroup",
}

// specification finds the file that says what runs, "" where the command starts
// nothing, and which member of it is the process.
func specification(arguments []string) (path, part string) {
	_, rest := flags(arguments)
	if len(rest) == 0 {
		return "", ""
	}
	values, _ := flags(rest[1:])
	switch rest[0] {
	case "exec":
		return values["--process"] + values["-p"], processAlone
	case "create", "run", "restore":
		bundle := values["--bundle"] + values["-b"]
		if bundle == "" {
			bundle = "."
		}
		return filepath.Join(bundle, "config.json"), wholeContainer
	}
	return "", ""
}

// flags reads flags up to the first argument that is none.
func flags(arguments []string) (values map[string]string, rest []string) {
	values = map[string]string{}
	for len(arguments) > 0 && strings.HasPrefix(arguments[0], "-") {
		name, value, joined := strings.Cut(arguments[0], "=")
		arguments = arguments[1:]
		if !joined && len(arguments) > 0 && slices.Contains(withValue, name) {
			value, arguments = arguments[0], arguments[1:]
		}
		values[name] = value
	}
	return values, arguments
}
