package rolemap

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// Bounds of a matcher: its source, and what one evaluation may cost in cel-go's
// units (about one per operation and per ten bytes of string compared).
const (
	maxMatcherLength = 4096
	maxMatcherCost   = 200_000
	// maxListRange bounds the list that lists.range makes.
	maxListRange = 10_000
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
		// What people write of claims: split, lowerAscii, claims.?org, sets.contains.
		cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Lists(ext.ListsMaxRangeSize(maxListRange)),
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
	if e := checkPatterns(path, ast); e != nil {
		return nil, authconfig.Errors{*e}
	}
	program, err := env.Program(
		ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxMatcherCost), cel.CostTracking(callCosts{}),
		cel.CostTrackerOptions(flattenCosts()...),
	)
	if err != nil {
		errs.Addf(path, "%v", err)
		return nil, errs
	}
	return &matcher{text: text, program: program}, nil
}

// maxPatternSize bounds a regular expression with its repetitions written out,
// which is how it is compiled: they let a short one take megabytes.
const maxPatternSize = 2000

func patternSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		if size += patternSize(sub); size > maxPatternSize {
			return size
		}
	}
	if re.Op == syntax.OpRepeat {
		size *= max(1, re.Min, re.Max)
	}
	return size
}

// checkPatterns looks at the regular expressions that are written out; others
// come from claims and are bounded by their length.
func checkPatterns(path string, ast *cel.Ast) *authconfig.Error {
	native := ast.NativeRep()
	for _, call := range celast.MatchDescendants(celast.NavigateAST(native), celast.FunctionMatcher("matches")) {
		arguments := call.AsCall().Args()
		if len(arguments) == 0 || arguments[len(arguments)-1].Kind() != celast.LiteralKind {
			continue
		}
		pattern, ok := arguments[len(arguments)-1].AsLiteral().Value().(string)
		if !ok {
			continue
		}
		start := native.SourceInfo().GetStartLocation(call.ID())
		e := &authconfig.Error{
			Path:     path,
			Position: authconfig.Position{Line: start.Line(), Column: start.Column() + 1},
		}
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			e.Message = err.Error()
			return e
		}
		if patternSize(parsed) > maxPatternSize {
			e.Message = fmt.Sprintf(
				"the regular expression is too large: with its repetitions written out it has more than %d parts",
				maxPatternSize,
			)
			return e
		}
	}
	return nil
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
