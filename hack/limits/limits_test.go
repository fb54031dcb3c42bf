package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

func TestThePageIsWhatTheCodeHas(t *testing.T) {
	limits, err := readTable(table)
	if err != nil {
		t.Fatal(err)
	}
	known, err := constants(filepath.Join(root, "pkg"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := page(limits, known)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "limits.md"))
	if err != nil || string(got) != want {
		t.Errorf("docs/limits.md is not what `go generate ./hack/limits` writes: %v", err)
	}
}

func TestEveryBoundIsOnThePage(t *testing.T) {
	limits, err := readTable(table)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, l := range limits {
		if listed[l.constant] {
			t.Errorf("%s is there twice", l.constant)
		}
		listed[l.constant] = true
	}
	known, err := constants(filepath.Join(root, "pkg"))
	if err != nil {
		t.Fatal(err)
	}
	if len(known) < 100 {
		t.Fatalf("only %d constants were found", len(known))
	}
	bound := regexp.MustCompile(`\.[mM]ax[A-Z]`)
	for name := range known {
		if bound.MatchString(name) && !listed[name] {
			t.Errorf("%s is not in limits.txt", name)
		}
	}
}

func TestEveryMetricOfTheTableIsDocumented(t *testing.T) {
	var pages string
	for _, name := range []string{"operations.md", "webhook.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		pages += string(text)
	}
	for _, metric := range regexp.MustCompile(`countersign_\w+`).FindAllString(table, -1) {
		if !strings.Contains(pages, "`"+metric+"`") {
			t.Errorf("%s is not documented", metric)
		}
	}
	fields, err := os.ReadFile(filepath.Join(root, "docs", "auth-config.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range regexp.MustCompile("`((?:limits|awsSts|identity|audit)\\.[\\w.]+)`").FindAllStringSubmatch(table, -1) {
		if !strings.Contains(string(fields), "`spec."+field[1]+"`") {
			t.Errorf("%s is not a field", field[1])
		}
	}
}
