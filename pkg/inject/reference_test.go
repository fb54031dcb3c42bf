package inject_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/hack/doctable"
)

// constants are the values of a file's constants whose names begin so.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		expression := spec.Values[0]
		if sum, isSum := expression.(*ast.BinaryExpr); isSum {
			expression = sum.Y // authconfig.Prefix + "/name"
		}
		if literal, isLiteral := expression.(*ast.BasicLit); isLiteral {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				values = append(values, value)
			}
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no constant %s...", file, prefix)
	}
	return values
}

func TestEveryRefusalCodeIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("webhook.md", "code")
	if err != nil {
		t.Fatal(err)
	}
	codes := constants(t, "refusal.go", "Code")
	for _, difference := range doctable.Differences(codes, slices.DeleteFunc(table, func(s string) bool { return !slices.Contains(codes, s) && strings.ToLower(s[:1]) == s[:1] })) {
		t.Error(difference)
	}
}

func TestEveryAnnotationIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("webhook.md", "annotation")
	if err != nil {
		t.Fatal(err)
	}
	var annotations []string
	for _, prefix := range []string{"Annotation", "annotation"} {
		for _, name := range constants(t, "names.go", prefix) {
			annotations = append(annotations, "countersign.io"+name)
		}
	}
	var documented []string
	for _, name := range table {
		if strings.HasPrefix(name, "-") {
			name = "countersign.io/proxy" + name // the rest of a row of several
		}
		documented = append(documented, name)
	}
	// The status is written by us, and has a sentence below the table.
	documented = append(documented, "countersign.io/status")
	for _, difference := range doctable.Differences(annotations, documented) {
		t.Error(difference)
	}
}
