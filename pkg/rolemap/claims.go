package rolemap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// LookupClaim finds a claim by its exact name, else by a dotted path through
// nested objects ("realm_access.roles"). The exact name goes first because
// names that are URLs hold dots ("https://example.com/groups").
func LookupClaim(claims map[string]any, name string) (any, bool) {
	if value, ok := claims[name]; ok {
		return value, true
	}
	for i := strings.IndexByte(name, '.'); i >= 0; {
		if nested, ok := claims[name[:i]].(map[string]any); ok {
			if value, found := LookupClaim(nested, name[i+1:]); found {
				return value, true
			}
		}
		next := strings.IndexByte(name[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil, false
}

// ClaimText renders a string, number or boolean claim.
func ClaimText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// ClaimTexts renders a claim that may be a single value or an array; members
// that are objects or arrays are left out.
func ClaimTexts(value any) []string {
	if text, ok := ClaimText(value); ok {
		return []string{text}
	}
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	texts := make([]string, 0, len(list))
	for _, member := range list {
		if text, ok := ClaimText(member); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// roleValues are the values of a role claim: a string is one, an array of strings
// several, and the names of an object's members are values, as they are to `in` in
// CEL. A claim that is null or missing has none. It fails with an
// *UnusableClaimError for every other form.
func roleValues(claims map[string]any, name string) ([]string, error) {
	value, _ := LookupClaim(claims, name)
	switch v := value.(type) {
	case nil:
		if said := leftOut(claims, name); said != "" {
			return nil, &UnusableClaimError{Claim: name, Shape: "was left out by the identity provider (" + said + ")"}
		}
		return nil, nil
	case string:
		return []string{v}, nil
	case map[string]any:
		return slices.Sorted(maps.Keys(v)), nil
	case []any:
		values := make([]string, 0, len(v))
		for _, member := range v {
			text, ok := member.(string)
			if !ok {
				return nil, &UnusableClaimError{Claim: name, Shape: "is an array that holds " + shapeOf(member)}
			}
			values = append(values, text)
		}
		return values, nil
	}
	return nil, &UnusableClaimError{Claim: name, Shape: "is " + shapeOf(value)}
}

func shapeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}

// UnusableClaimError says that the claim which roles are mapped by has a form that
// nothing can be compared with, or that the identity provider left it out. It is
// not the same as a caller without groups.
type UnusableClaimError struct {
	Claim string
	// Shape completes the sentence that begins with the claim.
	Shape string
}

func (e *UnusableClaimError) Error() string {
	return fmt.Sprintf("the claim %q %s; it must be a string or an array of strings", e.Claim, e.Shape)
}

// leftOut gives the claim in which a token says that another one is not in it: of
// distributed claims (OpenID Connect Core, section 5.6.2), or Entra ID's hasgroups.
// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference#groups-overage-claim
func leftOut(claims map[string]any, name string) string {
	if names, ok := claims["_claim_names"].(map[string]any); ok {
		top, _, _ := strings.Cut(name, ".")
		for _, absent := range []string{name, top} {
			if _, listed := names[absent]; listed {
				return "_claim_names"
			}
		}
	}
	if name == "groups" && (claims["hasgroups"] == true || claims["hasgroups"] == "true") {
		return "hasgroups"
	}
	return ""
}
