package doctable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// CommandLines finds what the documentation runs of a program, in the README, in the
// change log and in the pages of docs/: the arguments of each command line that
// stands in code. The program is a regular expression.
func CommandLines(program string) (lines []CommandLine, err error) {
	command := regexp.MustCompile(`(?:^\s*|&& |; |\| |` + "`" + `)(?:bin/)?(?:` + program + ") ([a-z][^`#|>&]*)")
	err = eachLine(func(page, line string) {
		for _, code := range codeOf(line) {
			for _, found := range command.FindAllStringSubmatch(code, -1) {
				lines = append(lines, CommandLine{page, found[1]})
			}
		}
	})
	return lines, err
}

// CodeLines are the lines of all blocks of code, as a shell would get them: without what
// follows a # and with continued ones joined.
func CodeLines() (lines []CommandLine, err error) {
	comment := regexp.MustCompile(`\s+#.*$`)
	err = eachLine(func(page, line string) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			lines = append(
				lines,
				CommandLine{page, strings.TrimSpace(comment.ReplaceAllString(strings.TrimRight(code, "\n"), ""))},
			)
		}
	})
	return lines, err
}

// eachLine goes through the documentation, page by page.
func eachLine(take func(page, line string)) error {
	root, err := root()
	if err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, page := range append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")}, pages...) {
		text, err := os.ReadFile(page)
		if err != nil {
			return fmt.Errorf("read the documentation: %w", err)
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			take(filepath.Base(page), line)
		}
	}
	return nil
}

// CheckCommandLines says what the documentation runs of a program that the program does
// not have, or that it runs fewer command lines of it than least.
func CheckCommandLines(program string, root func() *cobra.Command, least int) error {
	lines, err := CommandLines(program)
	if err != nil {
		return err
	}
	if len(lines) < least {
		return fmt.Errorf("%d command lines are in the documentation: are they found?", len(lines))
	}
	var faults []error
	for _, line := range lines {
		faults = append(faults, line.Check(root()))
	}
	return errors.Join(faults...)
}

var inTicks = regexp.MustCompile("`[^`]*`")

// codeOf is what stands in code: prose names commands in ticks, a block stands
// behind four spaces.
func codeOf(line string) []string {
	if strings.HasPrefix(line, "    ") {
		return []string{line}
	}
	return inTicks.FindAllString(line, -1)
}

// CommandLine is what follows a program's name on a page.
type CommandLine struct{ Page, Arguments string }

// Check says what of a command line the program does not have: a command or a flag.
// Words in capitals and brackets stand for values.
func (l CommandLine) Check(root *cobra.Command) error {
	words := strings.Fields(strings.NewReplacer("'", "", `"`, "", "[", "", "]", "").Replace(l.Arguments))
	root.InitDefaultCompletionCmd()
	command, rest, err := root.Find(words)
	if err != nil || command == nil || !command.Runnable() && len(rest) > 0 {
		return fmt.Errorf("%s: %s %s: %w", l.Page, root.Name(), l.Arguments, err)
	}
	command.InitDefaultHelpFlag()
	for _, word := range rest {
		name, _, _ := strings.Cut(word, "=")
		if !hasFlag(command, name) {
			return fmt.Errorf("%s: %s %s: there is no flag %s", l.Page, root.Name(), l.Arguments, name)
		}
	}
	return nil
}

// hasFlag reports whether a word is no flag at all or one of the command's.
func hasFlag(command *cobra.Command, word string) bool {
	switch {
	case strings.HasPrefix(word, "--") && len(word) > 2:
		return command.Flags().Lookup(word[2:]) != nil || command.InheritedFlags().Lookup(word[2:]) != nil
	case len(word) == 2 && word[0] == '-' && word[1] != '-':
		return command.Flags().ShorthandLookup(word[1:]) != nil ||
			command.InheritedFlags().ShorthandLookup(word[1:]) != nil
	}
	return true
}
