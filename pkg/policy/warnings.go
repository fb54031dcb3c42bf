package policy

import (
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// warn finds what is valid and probably not meant.
func (s *Set) warn(upstreams []authconfig.Upstream) []string {
	var warnings []string
	for _, p := range s.policies {
		source := policyAST(p.policy)
		if scope, ok := source.Action.(ast.ScopeTypeEq); ok && scope.Entity == callToolUID {
			warnings = append(
				warnings,
				fmt.Sprintf(
					"policy %s: action == %s matches no call, because each tool has an action of its own: write "+
						"action in %s",
					p.id,
					callToolUID,
					callToolUID,
				),
			)
		}
		for _, name := range s.undeclaredArguments(source) {
			warnings = append(
				warnings,
				fmt.Sprintf(
					"policy %s: no tool that it is about declares the argument %q in %s",
					p.id,
					name,
					authconfig.FileTools,
				),
			)
		}
		for _, name := range s.unknownTools(source) {
			warnings = append(
				warnings,
				fmt.Sprintf("policy %s names the tool %q, which %s does not have", p.id, name, authconfig.FileTools),
			)
		}
		for _, server := range s.unknownServers(source, upstreams) {
			warnings = append(
				warnings,
				fmt.Sprintf("policy %s: %s is neither an upstream nor in %s", p.id, server, authconfig.FileEntities),
			)
		}
	}
	return append(warnings, s.scriptWarnings()...)
}

// undeclaredArguments are names behind `context.input has` that no tool in the
// action scope declares: the validator takes such a condition for false.
func (s *Set) undeclaredArguments(p *ast.Policy) []string {
	if s.tools == nil {
		return nil
	}
	declared := map[string]bool{}
	for name, tool := range s.tools {
		action := types.Entity{UID: actionUID(name), Parents: inCallTool}
		if actionScopeFits(p.Action, &action) {
			for property := range tool.input.properties {
				declared[property] = true
			}
		}
	}
	var names []string
	inspect(p, func(n ast.IsNode) {
		if has, ok := n.(ast.NodeTypeHas); ok && isInput(has.Arg) && !declared[string(has.Value)] {
			names = append(names, string(has.Value))
		}
	})
	return names
}

// unknownTools are tools that a policy names and tools.json lacks.
func (s *Set) unknownTools(p *ast.Policy) []string {
	if s.tools == nil {
		return nil
	}
	return slices.DeleteFunc(
		namedTools(p),
		func(name string) bool { return s.tools[name] != nil || IsReservedTool(name) },
	)
}

// isInput reports whether it is the expression context.input.
func isInput(n ast.IsNode) bool {
	access, ok := n.(ast.NodeTypeAccess)
	if !ok || access.Value != contextInput {
		return false
	}
	variable, ok := access.Arg.(ast.NodeTypeVariable)
	return ok && variable.Name == "context"
}

func (s *Set) unknownServers(p *ast.Policy, upstreams []authconfig.Upstream) []types.EntityUID {
	var unknown []types.EntityUID
	check := func(uid types.EntityUID) {
		if uid.Type != typeServer {
			return
		}
		_, known := s.static[uid]
		for i := range upstreams {
			known = known || upstreams[i].Name == string(uid.ID)
		}
		if !known {
			unknown = append(unknown, uid)
		}
	}
	switch scope := p.Resource.(type) {
	case ast.ScopeTypeEq:
		check(scope.Entity)
	case ast.ScopeTypeIn:
		check(scope.Entity)
	case ast.ScopeTypeIsIn:
		check(scope.Entity)
	}
	inspect(p, func(n ast.IsNode) {
		if value, ok := n.(ast.NodeValue); ok {
			if uid, isEntity := value.Value.(types.EntityUID); isEntity {
				check(uid)
			}
		}
	})
	return unknown
}

// inspect visits every node of every condition.
func inspect(p *ast.Policy, visit func(ast.IsNode)) {
	for _, condition := range p.Conditions {
		ast.Inspect(ast.NewNode(condition.Body), func(n ast.IsNode) bool {
			visit(n)
			return true
		})
	}
}
