package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryFlagIsDocumented(t *testing.T) {
	text, err := doctable.Page("operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range rootCommand().Commands() {
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Name != "help" && !doctable.Mentions(text, "--"+flag.Name) && (flag.Shorthand == "" || !doctable.Mentions(text, "-"+flag.Shorthand)) {
				t.Errorf("sidecar %s --%s is not in docs/operations.md", command.Name(), flag.Name)
			}
		})
		if !doctable.Mentions(text, "sidecar "+command.Name()) {
			t.Errorf("sidecar %s is not in docs/operations.md", command.Name())
		}
	}
}

func TestEveryCommandInTheDocumentationIsOne(t *testing.T) {
	if err := doctable.CheckCommandLines("sidecar", rootCommand, 15); err != nil {
		t.Error(err)
	}
}
