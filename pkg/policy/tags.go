package policy

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// tagReads are the names of the tags that policies ask for.
type tagReads struct {
	// all is set where a policy makes up a name as it is evaluated.
	all   bool
	names map[string]bool
}

func (r *tagReads) add(p *ast.Policy) {
	inspect(p, func(n ast.IsNode) {
		switch node := n.(type) {
		case ast.NodeTypeGetTag:
			r.addName(node.Right)
		case ast.NodeTypeHasTag:
			r.addName(node.Right)
		}
	})
}

func (r *tagReads) addName(n ast.IsNode) {
	if value, ok := n.(ast.NodeValue); ok {
		if name, ok := value.Value.(types.String); ok {
			if r.names == nil {
				r.names = map[string]bool{}
			}
			r.names[string(name)] = true
			return
		}
	}
	r.all = true
}

// has reports whether a policy may ask for a tag that is made of the claim: the one of
// its name, or one of a member.
func (r *tagReads) has(claim string) bool {
	if r.all || r.names[claim] {
		return true
	}
	for name := range r.names {
		if strings.HasPrefix(name, claim) && name[len(claim)] == '.' {
			return true
		}
	}
	return false
}

// TagClaims are those of the claims that policies may ask for as tags of the principal.
// The others need not be kept for each caller.
func (s *Set) TagClaims(claims map[string]any) map[string]any {
	if s == nil {
		return nil
	}
	if s.tags.all {
		return claims
	}
	read := map[string]any{}
	for name, value := range claims {
		if s.tags.has(name) {
			read[name] = value
		}
	}
	return read
}
