package standin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// policyDocument is a policy of IAM.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type policyDocument struct {
	Statement oneOrMore[policyStatement]
}

type policyStatement struct {
	Effect      string
	Principal   jsonPrincipal
	Action      oneOrMore[string]
	NotAction   oneOrMore[string]
	Resource    oneOrMore[string]
	NotResource oneOrMore[string]
	Condition   map[string]map[string]oneOrMore[policyValue]
}

// jsonPrincipal is "*", or principals by their kind; a policy that is no trust policy
// has none.
type jsonPrincipal struct {
	anybody bool
	named   map[string]oneOrMore[string]
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *jsonPrincipal) UnmarshalJSON(text []byte) error {
	var everybody string
	if json.Unmarshal(text, &everybody) == nil {
		p.anybody = everybody == "*"
		return nil
	}
	return json.Unmarshal(text, &p.named)
}

// includes reports whether the principal is named, which is an OIDC provider.
func (p *jsonPrincipal) includes(provider string) bool {
	return provider == "" || p.anybody || slices.ContainsFunc(p.named["Federated"], func(arn string) bool {
		return arn == provider || strings.HasSuffix(arn, ":oidc-provider/"+provider)
	})
}

// oneOrMore is a list that may be written as its only member.
type oneOrMore[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*l = []T{one}
	return nil
}

// policyValue is a string, or what is written without quotes.
type policyValue string

// UnmarshalJSON implements json.Unmarshaler.
func (v *policyValue) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		s = string(text)
	}
	*v = policyValue(s)
	return nil
}

// accessRequest is what a policy is asked about. Keys are those of conditions, in
// lower case; one that is absent is not in the request.
type accessRequest struct {
	action string
	// provider is who asks, for trust policies: an OIDC provider without its scheme.
	provider string
	resource string
	keys     map[string]string
}

// verdict is what one policy says.
type verdict int

const (
	notAllowed verdict = iota
	allowed
	explicitlyDenied
)

// evaluate says what a policy says of a request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func evaluate(document string, r *accessRequest) (verdict, error) {
	var policy policyDocument
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return notAllowed, fmt.Errorf("policy: %w", err)
	}
	result := notAllowed
	for i := range policy.Statement {
		s := &policy.Statement[i]
		applies, err := s.applies(r)
		switch {
		case err != nil:
			return notAllowed, err
		case applies && s.Effect == "Deny":
			return explicitlyDenied, nil
		case applies && s.Effect == "Allow":
			result = allowed
		}
	}
	return result, nil
}

func (s *policyStatement) applies(r *accessRequest) (bool, error) {
	matches := func(patterns []string, value string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool { return wildcard(pattern, value) })
	}
	action := strings.ToLower(r.action)
	lower := func(patterns []string) []string {
		all := make([]string, 0, len(patterns))
		for _, p := range patterns {
			all = append(all, strings.ToLower(p))
		}
		return all
	}
	if !s.Principal.includes(r.provider) || len(s.Action) > 0 && !matches(lower(s.Action), action) ||
		len(s.NotAction) > 0 && matches(lower(s.NotAction), action) ||
		len(s.Resource) > 0 && !matches(s.Resource, r.resource) ||
		len(s.NotResource) > 0 && matches(s.NotResource, r.resource) {
		return false, nil
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			holds, err := condition(operator, r, strings.ToLower(key), values)
			if err != nil || !holds {
				return false, err
			}
		}
	}
	return true, nil
}

// condition says whether an operator holds for one key.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func condition(operator string, r *accessRequest, key string, values []policyValue) (bool, error) {
	actual, present := r.keys[key]
	if operator == "Null" {
		return slices.ContainsFunc(values, func(v policyValue) bool { return (v == "true") != present }), nil
	}
	base, ifExists := strings.CutSuffix(operator, "IfExists")
	if ifExists && !present {
		return true, nil
	}
	some := func(equal func(value string) bool) bool {
		return present && slices.ContainsFunc(values, func(v policyValue) bool { return equal(string(v)) })
	}
	switch base {
	case "StringEquals":
		return some(func(v string) bool { return v == actual }), nil
	case "StringNotEquals":
		return !some(func(v string) bool { return v == actual }), nil
	case "StringLike":
		return some(func(v string) bool { return wildcard(v, actual) }), nil
	case "StringNotLike":
		return !some(func(v string) bool { return wildcard(v, actual) }), nil
	case "Bool":
		return some(func(v string) bool { return strings.EqualFold(v, actual) }), nil
	}
	return false, fmt.Errorf("the stand-in does not know the operator %s", operator)
}

// wildcard matches * and ?.
func wildcard(pattern, value string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			for i := 0; i <= len(value); i++ {
				if wildcard(pattern[1:], value[i:]) {
					return true
				}
			}
			return false
		case '?':
			if value == "" {
				return false
			}
		default:
			if value == "" || value[0] != pattern[0] {
				return false
			}
		}
		pattern, value = pattern[1:], value[1:]
	}
	return value == ""
}
