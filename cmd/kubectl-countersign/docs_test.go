package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryCommandInTheDocumentationIsOne(t *testing.T) {
	if err := doctable.CheckCommandLines("kubectl countersign|kubectl-countersign", rootCommand, 40); err != nil {
		t.Error(err)
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
