package proxy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/hack/doctable"
)

// literals are the values of a file's constants whose names begin so.
func literals(t *testing.T, file, prefix string) []string {
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
		if literal, isLiteral := spec.Values[0].(*ast.BasicLit); isLiteral {
			values = append(values, strings.Trim(literal.Value, `"`))
		}
		return true
	})
	return values
}

func TestEveryReasonIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("operations.md", "reason")
	if err != nil {
		t.Fatal(err)
	}
	reasons := append(literals(t, "failure.go", "reason"), literals(t, "../authorize/authorize.go", "Reason")...)
	for _, difference := range doctable.Differences(reasons, table) {
		t.Error(difference)
	}
}

func TestEveryCodeIsDocumented(t *testing.T) {
	codes := literals(t, "failure.go", "code")
	text := fmt.Sprint(codes)
	table, err := doctable.Column("operations.md", "code")
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range doctable.Differences(codes, table) {
		t.Error(difference)
	}
	for _, code := range codes {
		status, err := strconv.Atoi(code)
		if err != nil || status < 40000 || status/100 < 400 || status/100 > 599 {
			t.Errorf("%s of %s is no HTTP status times 100 plus a number", code, text)
		}
	}
}
