// Package main writes docs/limits.md: the bounds in limits.txt, with the values that the
// code has.
package main

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed limits.txt
var table string

//go:embed introduction.md
var introduction string

// notBounds is the section of constants that have a bound's name and are none.
const notBounds = "-"

const header = "| bound | value | set by | metric | who meets it sees | constant |\n|---|---|---|---|---|---|\n"

// limit is a line of the table.
type limit struct {
	section, constant, unit, field, metric, what, sees string
}

func readTable(text string) ([]limit, error) {
	var limits []limit
	section := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if title, ok := strings.CutPrefix(line, "= "); ok {
			section = title
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "|")
		for n := range cells {
			cells[n] = strings.TrimSpace(cells[n])
		}
		switch {
		case section == notBounds && len(cells) == 2:
			limits = append(limits, limit{section: section, constant: cells[0], what: cells[1]})
		case len(cells) == 6:
			limits = append(limits, limit{section, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]})
		default:
			return nil, fmt.Errorf("%q has %d cells", line, len(cells))
		}
	}
	return limits, nil
}

// constants are those of all packages below root, by package and name.
func constants(root string) (map[string]constant.Value, error) {
	found := map[string]constant.Value{}
	files := token.NewFileSet()
	imports := onlyTime{importer.ForCompiler(files, "source", nil)}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || entry.Name() == "testdata" {
			return err
		}
		return constantsOf(path, files, imports, found)
	})
	return found, err
}

func constantsOf(
	directory string,
	files *token.FileSet,
	imports types.Importer,
	found map[string]constant.Value,
) error {
	names, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		return fmt.Errorf("list %s: %w", directory, err)
	}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		parsed = append(parsed, file)
	}
	if len(parsed) == 0 {
		return nil
	}
	config := types.Config{
		Importer: imports, IgnoreFuncBodies: true,
		// What other packages have is not known; constants do not need it.
		Error: func(error) {},
	}
	checked, _ := config.Check(directory, files, parsed, nil)
	scope := checked.Scope()
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok {
			found[checked.Name()+"."+name] = c.Val()
		}
	}
	return nil
}

// onlyTime imports the packages that constants are made of.
type onlyTime struct{ types.Importer }

func (i onlyTime) Import(path string) (*types.Package, error) {
	if path == "time" {
		return i.Importer.Import(path) //nolint:wrapcheck // go/types shows it
	}
	return nil, errors.New("not needed")
}

// value is how a page shows a constant.
func value(v constant.Value, unit string) (string, error) {
	number, exact := constant.Int64Val(constant.ToInt(v))
	switch {
	case !exact:
		return "", fmt.Errorf("%v is no number", v)
	case unit == "time":
		return time.Duration(number).String(), nil
	case unit == "seconds":
		return grouped(number) + " s", nil
	case unit == "bytes" && number >= 1<<20 && number%(1<<20) == 0:
		return grouped(number>>20) + " MiB", nil
	case unit == "bytes" && number >= 1<<10 && number%(1<<10) == 0:
		return grouped(number>>10) + " KiB", nil
	case unit == "bytes":
		return grouped(number) + " bytes", nil
	case unit == "":
		return grouped(number), nil
	}
	return "", fmt.Errorf("unknown unit %q", unit)
}

func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + " " + digits[at:]
	}
	return digits
}

// page is docs/limits.md.
func page(limits []limit, known map[string]constant.Value) (string, error) {
	var out strings.Builder
	out.WriteString(introduction)
	section := ""
	for _, l := range limits {
		if l.section == notBounds {
			continue
		}
		if l.section != section {
			section = l.section
			fmt.Fprintf(&out, "\n## %s\n\n%s", section, header)
		}
		v, ok := known[l.constant]
		if !ok {
			return "", fmt.Errorf("there is no constant %s", l.constant)
		}
		shown, err := value(v, l.unit)
		if err != nil {
			return "", fmt.Errorf("%s: %w", l.constant, err)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | `%s` |\n", l.what, shown, l.field, l.metric, l.sees, l.constant)
	}
	return out.String(), nil
}

func write(root string) error {
	limits, err := readTable(table)
	if err != nil {
		return err
	}
	known, err := constants(filepath.Join(root, "pkg"))
	if err != nil {
		return err
	}
	text, err := page(limits, known)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "docs", "limits.md"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

//go:generate go run .
func main() {
	if err := write(filepath.Join("..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
