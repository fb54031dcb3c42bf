package rolemap

import (
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

// claimContains compares strings only: a mapping's claim value is a string.
func claimContains(value any, want string) bool {
	switch v := value.(type) {
	case string:
		return v == want
	case []any:
		return slices.ContainsFunc(v, func(member any) bool {
			s, ok := member.(string)
			return ok && s == want
		})
	}
	return false
}
