package policy_test

import (
	"os"
	"strings"
	"testing"
)

// TestExamplesOfTheDocumentationAreValid compiles every policy of docs/policies.md.
func TestExamplesOfTheDocumentationAreValid(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for block := range strings.SplitSeq(string(page), "\n\n") {
		if !strings.HasPrefix(block, "    // ") && !strings.HasPrefix(block, "    permit") {
			continue
		}
		policies := block
		if !strings.HasSuffix(strings.TrimSpace(policies), ";") {
			policies += ";"
		}
		if strings.Contains(block, "context.claims") {
			continue // two that share a head
		}
		count++
		_, warnings, errs := source{policies: policies}.compile()
		if len(errs) > 0 {
			t.Errorf("%v\n%s", errs, block)
		}
		for _, warning := range warnings {
			if strings.Contains(warning, "context.aws") || strings.Contains(warning, "never apply") {
				t.Errorf("%s\n%s", warning, block)
			}
		}
	}
	const atLeast = 9
	if count < atLeast {
		t.Errorf("%d examples were found", count)
	}
}
