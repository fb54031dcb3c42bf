package rolemap

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// Bounds of a matcher: its source, and what one evaluation may cost in cel-go's
// units (about one per operation and per ten bytes of string compared).
const (
	maxMatcherLength = 4096
	maxMatcherCost   = 200_000
)

// matcher is a compiled CEL expression over the variable claims.
type matcher struct {
	text    string
	program cel.Program
}

// claimsEnvironment is the same for all matchers and not cheap to make.
var claimsEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.ParserExpressionSizeLimit(maxMatcherLength),
		cel.ParserRecursionLimit(64),
		cel.CrossTypeNumericComparisons(true),
	)
})

func compileMatcher(path, text string) (*matcher, authconfig.Errors) {
	var errs authconfig.Errors
	env, err := claimsEnvironment()
	if err != nil {
		errs.Addf(path, "make the CEL environment: %v", err)
		return nil, errs
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			at := authconfig.Position{Line: e.Location.Line(), Column: e.Location.Column() + 1}
			errs.AddAt(path, at, "%s", strings.TrimSuffix(e.Message, " (in container '')"))
		}
		return nil, errs
	}
	if out := ast.OutputType(); !out.IsExactType(types.BoolType) && !out.IsExactType(types.DynType) {
		errs.AddAt(path, authconfig.Position{Line: 1, Column: 1}, "must be a boolean, not %s", out)
		return nil, errs
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxMatcherCost))
	if err != nil {
		errs.Addf(path, "%v", err)
		return nil, errs
	}
	return &matcher{text: text, program: program}, nil
}

var errNotBoolean = errors.New("the result is not a boolean")

func (m *matcher) match(claims map[string]any) (bool, error) {
	out, _, err := m.program.Eval(map[string]any{"claims": claims})
	if err != nil {
		return false, fmt.Errorf("evaluate: %w", err)
	}
	matched, ok := out.Value().(bool)
	if !ok {
		return false, errNotBoolean
	}
	return matched, nil
}
