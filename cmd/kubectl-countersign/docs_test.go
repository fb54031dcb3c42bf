package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandLine finds the plugin in a page's code.
var commandLine = regexp.MustCompile("(?:kubectl countersign|(?:bin/)?kubectl-countersign) ([a-z][^`#|>]*)")

func TestEveryCommandInTheDocumentationIsOne(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		joined := strings.ReplaceAll(string(text), "\\\n", " ")
		for line := range strings.Lines(joined) {
			// Prose names commands in ticks, code stands behind four spaces.
			inTicks := regexp.MustCompile("`[^`]*`").FindAllString(line, -1)
			if strings.HasPrefix(line, "    ") {
				inTicks = []string{line}
			}
			for _, code := range inTicks {
				for _, found := range commandLine.FindAllStringSubmatch(code, -1) {
					seen++
					checkCommandLine(t, filepath.Base(page), found[1])
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d commands are in the documentation: are they found?", seen)
	}
}

func checkCommandLine(t *testing.T, page, line string) {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line))
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	var command *cobra.Command
	command, rest, err := root.Find(words)
	if err != nil || command == nil || !command.Runnable() && len(rest) > 0 {
		t.Errorf("%s: kubectl countersign %s: %v", page, line, err)
		return
	}
	command.InitDefaultHelpFlag()
	for _, word := range rest {
		name, _, _ := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(name, "--") && command.Flags().Lookup(name[2:]) == nil && command.InheritedFlags().Lookup(name[2:]) == nil:
			t.Errorf("%s: kubectl countersign %s: there is no flag %s", page, line, name)
		case len(name) == 2 && name[0] == '-' && command.Flags().ShorthandLookup(name[1:]) == nil && command.InheritedFlags().ShorthandLookup(name[1:]) == nil:
			t.Errorf("%s: kubectl countersign %s: there is no flag %s", page, line, name)
		}
	}
}

func TestTheExampleCasesPass(t *testing.T) {
	stdout, stderr, code := run(t, "", "policy", "test", "../../docs/example-cases.yaml")
	if code != 0 || !strings.Contains(stdout, "4 cases, 0 failed") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

func TestEveryPageThatIsLinkedIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md", "../../llms.txt", "../../CHANGELOG.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := filepath.Join(filepath.Dir(page), found[1])
			linked, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(page), found[1])
				continue
			}
			if found[2] == "" || linked.IsDir() || !strings.HasSuffix(target, ".md") {
				continue
			}
			linkedText, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if !hasHeading(string(linkedText), found[2][1:]) {
				t.Errorf("%s links to %s%s, which is no heading there", filepath.Base(page), found[1], found[2])
			}
		}
	}
}

// hasHeading knows headings by the anchors that GitHub gives them.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
		if strings.ReplaceAll(heading, " ", "-") == anchor {
			return true
		}
	}
	return false
}
