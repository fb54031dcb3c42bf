package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/countersign-io/countersign/hack/doctable"
)

func TestEveryFlagIsDocumented(t *testing.T) {
	text, err := doctable.Page("webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range rootCommand().Commands() {
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Name != "help" && !doctable.Mentions(text, "--"+flag.Name) && (flag.Shorthand == "" || !doctable.Mentions(text, "-"+flag.Shorthand)) {
				t.Errorf("webhook %s --%s is not in docs/webhook.md", command.Name(), flag.Name)
			}
		})
		if !doctable.Mentions(text, "webhook "+command.Name()) {
			t.Errorf("webhook %s is not in docs/webhook.md", command.Name())
		}
	}
}

func TestEveryCommandInTheDocumentationIsOne(t *testing.T) {
	if err := doctable.CheckCommandLines("webhook", rootCommand, 12); err != nil {
		t.Error(err)
	}
}
