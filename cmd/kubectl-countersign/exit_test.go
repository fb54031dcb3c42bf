package main

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/countersign-io/countersign/pkg/commands"
)

func TestExitCodesTellFindingsFromMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		begun bool
		want  int
	}{
		"a finding":                   {errors.New("an auth-config is wrong"), true, 1},
		"a command with a code":       {&commands.ExitError{Code: 3}, true, 3},
		"a flag that is not there":    {errors.New("unknown flag: --nope"), false, 2},
		"a file that is not there":    {fmt.Errorf("read: %w", fs.ErrNotExist), true, 2},
		"a file that is not ours":     {fmt.Errorf("read: %w", fs.ErrPermission), true, 2},
		"a cluster that is not there": {blind(errors.New("no cluster")), true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := codeOf(c.err, c.begun); got != c.want {
				t.Errorf("exit %d", got)
			}
		})
	}
}

func TestACommandThatIsMistypedNeverBegins(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"validate", "--nope"}, {"policy", "replay", "records"}, {"policy", "test"}, {"why"},
	} {
		root := rootCommand()
		begun := false
		beforeRun(root, func() { begun = true })
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err == nil || codeOf(err, begun) != 2 {
			t.Errorf("%q: %v, begun %v", args, err, begun)
		}
	}
}
