package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	schemaast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"

	"github.com/countersign-io/countersign/pkg/awsiam"
	"github.com/countersign-io/countersign/pkg/awsscript"
)

// contextAWS is the part of context that says what a script does. It is absent for
// tools that take none.
const contextAWS = "aws"

// Attributes of context.aws that warnings know of.
const (
	awsCalls    = "calls"
	awsActions  = "actions"
	awsServices = "services"
	awsRegions  = "regions"
	awsLevels   = "levels"
	awsReadOnly = "readOnly"
	awsComplete = "complete"
)

// scriptType is context.aws in the schema.
func scriptType() schemaast.RecordType {
	strings := required(schemaast.Set(schemaast.String()))
	return schemaast.RecordType{
		awsCalls: strings, awsActions: strings, awsServices: strings, awsRegions: strings, awsLevels: strings,
		awsReadOnly: required(schemaast.Bool()), "secrets": required(schemaast.Bool()),
		awsComplete: required(schemaast.Bool()), "reason": required(schemaast.String()),
	}
}

func scriptRecord(e *awsscript.Effects) types.Record {
	return types.NewRecord(types.RecordMap{
		awsCalls: stringSet(e.Calls), awsActions: stringSet(e.Actions), awsServices: stringSet(e.Services),
		awsRegions: stringSet(e.Regions), awsLevels: stringSet(e.Levels),
		awsReadOnly: types.Boolean(e.ReadOnly), "secrets": types.Boolean(e.Secrets),
		awsComplete: types.Boolean(e.Complete), "reason": types.String(e.Reason),
	})
}

// unknownRegions is what keeps a policy from deciding where it makes something of a
// Region's absence, and a call of the script may go to any.
func unknownRegions(e *awsscript.Effects) []mismatch {
	if e == nil || !slices.Contains(e.Regions, awsscript.Anything) {
		return nil
	}
	return []mismatch{{path: []string{contextAWS, awsRegions}, why: "has a Region that is not known", absent: true}}
}

// ReadsScriptRegions reports whether a policy that could decide the request reads the
// Regions of its script.
func (s *Set) ReadsScriptRegions(r Request) bool {
	t := s.targetOf(&r)
	return s.undecidable(&r, t, []mismatch{{path: []string{contextAWS, awsRegions}}}) != nil
}

// ReadsInput reports whether a policy that could decide the request reads the arguments.
func (s *Set) ReadsInput(r Request) bool {
	t := s.targetOf(&r)
	for _, absent := range []bool{false, true} {
		if s.undecidable(&r, t, []mismatch{{path: []string{contextInput}, absent: absent}}) != nil {
			return true
		}
	}
	return false
}

// scriptWarnings finds literals that no script's sets hold, and forbids that a script
// which cannot be read walks past.
func (s *Set) scriptWarnings() []string {
	var warnings []string
	asked := slices.ContainsFunc(s.policies, func(p namedPolicy) bool {
		return p.reads.readsValue([]string{contextAWS, awsComplete}) ||
			p.reads.readsValue([]string{contextAWS, awsReadOnly})
	})
	for _, p := range s.policies {
		inspect(policyAST(p.policy), func(n ast.IsNode) {
			for _, c := range scriptComparisons(n) {
				for _, literal := range c.literals {
					if why := unknownInScripts(c.attribute, literal); why != "" {
						warnings = append(warnings, fmt.Sprintf("policy %s: %s", p.id, why))
					}
				}
			}
		})
		if p.policy.Effect() != cedar.Forbid || asked {
			continue
		}
		if attribute := forbiddenBy(policyAST(p.policy)); attribute != "" {
			warnings = append(warnings, fmt.Sprintf(
				"policy %s forbids by context.aws.%s, and no policy asks context.aws.complete: a script that cannot "+
					"be read may do what this policy forbids without naming it", p.id, attribute))
		}
	}
	return warnings
}

// forbiddenBy gives the set of context.aws in which a policy looks for members. A
// script that cannot be read has not all of its own there; it has all levels, and an
// unknown Region is dealt with apart.
func forbiddenBy(p *ast.Policy) (attribute string) {
	inspect(p, func(n ast.IsNode) {
		var set ast.IsNode
		switch node := n.(type) {
		case ast.NodeTypeContains:
			set = node.Left
		case ast.NodeTypeContainsAny:
			set = node.Left
		case ast.NodeTypeContainsAll:
			set = node.Left
		default:
			return
		}
		path, ok := contextPath(set)
		if ok && len(path) == 2 && path[0] == contextAWS && attribute == "" &&
			slices.Contains([]string{awsCalls, awsActions, awsServices}, path[1]) {
			attribute = path[1]
		}
	})
	return attribute
}

// scriptComparison is an attribute of context.aws with the strings that a policy
// compares it with.
type scriptComparison struct {
	attribute string
	literals  []string
}

// scriptComparisons are those of one node.
func scriptComparisons(n ast.IsNode) []scriptComparison {
	var found []scriptComparison
	compare := func(b ast.BinaryNode) {
		for _, sides := range [][2]ast.IsNode{{b.Left, b.Right}, {b.Right, b.Left}} {
			path, ok := contextPath(sides[0])
			if ok && len(path) == 2 && path[0] == contextAWS {
				found = append(found, scriptComparison{path[1], literalStrings(sides[1])})
			}
		}
	}
	switch node := n.(type) {
	case ast.NodeTypeContains:
		compare(node.BinaryNode)
	case ast.NodeTypeContainsAll:
		compare(node.BinaryNode)
	case ast.NodeTypeContainsAny:
		compare(node.BinaryNode)
	case ast.NodeTypeEquals:
		compare(node.BinaryNode)
	case ast.NodeTypeNotEquals:
		compare(node.BinaryNode)
	}
	return found
}

// literalStrings are the strings that stand in an expression.
func literalStrings(n ast.IsNode) []string {
	var found []string
	var add func(v types.Value)
	add = func(v types.Value) {
		switch v := v.(type) {
		case types.String:
			found = append(found, string(v))
		case types.Set:
			for member := range v.All() {
				add(member)
			}
		}
	}
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		if value, ok := n.(ast.NodeValue); ok {
			add(value.Value)
		}
		return true
	})
	return found
}

// unknownInScripts says why no script that can be read has the literal in the set.
func unknownInScripts(attribute, literal string) string {
	var what string
	known := true
	switch attribute {
	case awsCalls:
		what, known = "operation of AWS, which is written service:Operation with boto3's name of the service",
			awsiam.IsCall(literal)
	case awsActions:
		action, ok := awsiam.LookUp(literal)
		what, known = "action of IAM", ok && action.Name == literal
		if ok && !known {
			what = fmt.Sprintf("action of IAM (%s is)", action.Name)
		}
	case awsServices:
		what, known = "service of boto3", awsiam.IsService(literal)
	case awsLevels:
		what, known = "access level ("+strings.Join(awsiam.LevelNames(), ", ")+")",
			slices.Contains(awsiam.LevelNames(), literal)
	case awsRegions:
	default:
		return ""
	}
	switch {
	case attribute == awsRegions && literal == awsscript.Anything: // a Region that is not known
	case strings.Contains(literal, "*"):
		return fmt.Sprintf("%q in context.aws.%s is no pattern: members are compared as they are", literal, attribute)
	case !known:
		return fmt.Sprintf("%q, which is compared with context.aws.%s, is no %s", literal, attribute, what)
	}
	return ""
}
