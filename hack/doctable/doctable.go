// Package doctable reads the reference tables of the documentation, so that tests
// can hold them to the code.
package doctable

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var inCode = regexp.MustCompile("`([^`]+)`")

// FirstColumn gives all that stands in backquotes in the first column of tables of a
// page below docs/, in the order of the page. A table counts when its header row
// begins with header.
func FirstColumn(page, header string) ([]string, error) {
	cells, err := Column(page, header)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, cell := range cells {
		for _, m := range inCode.FindAllStringSubmatch(cell, -1) {
			found = append(found, m[1])
		}
	}
	return found, nil
}

// Column gives the cells of the first column as they are.
func Column(page, header string) ([]string, error) {
	root, err := root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		return nil, err
	}
	var found []string
	inTable := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| "+header+" |"):
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case inTable && !strings.HasPrefix(line, "|--"):
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), " | ")
			found = append(found, strings.TrimSpace(first))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("docs/%s has no table that begins with %q", page, header)
	}
	return found, nil
}

// Differences tells what the code has and the table lacks, and the other way round.
func Differences(code, table []string) []string {
	var differences []string
	for _, name := range code {
		if !slices.Contains(table, name) {
			differences = append(differences, name+" is not documented")
		}
	}
	for _, name := range table {
		if !slices.Contains(code, name) {
			differences = append(differences, name+" is documented and not in the code")
		}
	}
	return differences
}

func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above %s", dir)
		}
		dir = filepath.Dir(dir)
	}
}

// Page is the text of a page below docs/.
func Page(page string) (string, error) {
	root, err := root()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	return string(text), err
}

// Mentions reports whether a text has the word, and not only as the beginning of a
// longer one.
func Mentions(text, word string) bool {
	return regexp.MustCompile(regexp.QuoteMeta(word) + `($|[^a-z-])`).MatchString(text)
}
