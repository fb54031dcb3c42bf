package iam

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Trust is what a role's trust policy, as IAM holds it, lets the plan's callers do.
type Trust struct {
	// Missing says what the policy would have to let in and does not, a sentence each.
	Missing []string
	// Open says whom it lets in that the plan does not, a sentence each.
	Open []string
	// Also are condition keys beside the audience that a token or the request must meet,
	// or must not, and NotPrincipal of a Deny: what comes of them shows in an exchange only.
	Also []string
}

// CompareTrust compares a role's trust policy with that of the plan.
func (r *Role) CompareTrust(document []byte) (Trust, error) {
	want, err := parseTrust(r.TrustPolicy.Statement)
	if err != nil {
		return Trust{}, fmt.Errorf("the plan's own trust policy: %w", err)
	}
	var policy struct {
		Statement oneOrMany[jsontext.Value] `json:"Statement"`
	}
	if err := json.Unmarshal(document, &policy); err != nil {
		return Trust{}, fmt.Errorf("the trust policy is not JSON of IAM: %w", err)
	}
	have, err := parseTrust(policy.Statement)
	if err != nil {
		return Trust{}, err
	}
	return want[0].compare(have), nil
}

// trustStatement is one of a trust policy. IAM writes a list of one as the thing itself.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type trustStatement struct {
	Effect    string         `json:"Effect"`
	Principal jsontext.Value `json:"Principal"`
	// NotPrincipal is not looked into: whoever writes it lets in all others.
	NotPrincipal jsontext.Value                          `json:"NotPrincipal"`
	Action       oneOrMany[string]                       `json:"Action"`
	NotAction    oneOrMany[string]                       `json:"NotAction"`
	Condition    map[string]map[string]oneOrMany[string] `json:"Condition"`
}

type oneOrMany[T any] []T

// UnmarshalJSONFrom takes a thing or a list of such things.
func (o *oneOrMany[T]) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	if decoder.PeekKind() == '[' {
		return json.UnmarshalDecode(decoder, (*[]T)(o))
	}
	var one T
	if err := json.UnmarshalDecode(decoder, &one); err != nil {
		return err
	}
	*o = oneOrMany[T]{one}
	return nil
}

func parseTrust(statements []jsontext.Value) ([]trustStatement, error) {
	parsed := make([]trustStatement, len(statements))
	for n, s := range statements {
		// Conditions such as Bool may have values that are no strings.
		if err := json.Unmarshal(s, &parsed[n], json.WithUnmarshalers(json.UnmarshalFromFunc(scalar))); err != nil {
			return nil, fmt.Errorf("statement %d of the trust policy: %w", n+1, err)
		}
	}
	return parsed, nil
}

// scalar reads true, 1 and "1" as the text that IAM compares.
func scalar(decoder *jsontext.Decoder, text *string) error {
	switch decoder.PeekKind() {
	case 't', 'f', '0':
		token, err := decoder.ReadToken()
		*text = token.String()
		return err
	}
	return errors.ErrUnsupported
}

// trusts reports whether a statement is about tokens of a provider, and everybody
// whether it is about everybody's.
func (s *trustStatement) trusts(provider string) (is, everybody bool) {
	principal := s.principal()
	if s.NotPrincipal != nil || string(s.Principal) == `"*"` || slices.Contains(principal.AWS, "*") {
		return true, true
	}
	return slices.Contains(principal.Federated, provider), false
}

// trustPrincipal are the kinds of principals that can be holders of the issuer's tokens:
// {"AWS": "*"} is everybody, as "*" is.
type trustPrincipal struct {
	Federated oneOrMany[string] `json:"Federated"`
	AWS       oneOrMany[string] `json:"AWS"`
}

func (s *trustStatement) principal() (p trustPrincipal) {
	if s.Principal.Kind() != '{' || json.Unmarshal(s.Principal, &p) != nil {
		return trustPrincipal{}
	}
	return p
}

// matches reports whether a statement is about an action; IAM takes * and ? in it, and
// no letter's case.
func (s *trustStatement) matches(action string) bool {
	is := func(pattern string) bool { return like(strings.ToLower(pattern), strings.ToLower(action)) }
	if s.NotAction != nil {
		return !slices.ContainsFunc(s.NotAction, is)
	}
	return slices.ContainsFunc(s.Action, is)
}

// like compares as IAM does where * and ? stand for any characters.
func like(pattern, text string) bool {
	// Where the last * was, and what it has taken so far.
	star, taken, p, t := -1, 0, 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, taken = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			taken++
			p, t = star+1, taken
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// takes reports whether a statement's conditions on the key hold for an audience: all of
// them must. Operators that it does not know hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func (s *trustStatement) takes(key, audience string) bool {
	for operator, keys := range s.Condition {
		for k, values := range keys {
			if !strings.EqualFold(k, key) {
				continue
			}
			if holds, known := holdsFor(operator, values, audience); known && !holds {
				return false
			}
		}
	}
	return true
}

// holdsFor evaluates one condition for a key that has one value.
func holdsFor(operator string, values []string, value string) (holds, known bool) {
	equal := map[string]func(pattern, text string) bool{
		"StringEquals":           func(a, b string) bool { return a == b },
		"StringEqualsIgnoreCase": strings.EqualFold, "StringLike": like,
	}
	name := bareOperator(operator)
	if name == "Null" {
		return slices.Contains(values, "false"), true
	}
	positive := strings.Replace(name, "StringNot", "String", 1)
	compare := equal[positive]
	if compare == nil {
		return true, false
	}
	found := slices.ContainsFunc(values, func(v string) bool { return compare(v, value) })
	return found == (positive == name), true
}

// bareOperator is one without what makes no difference for a key that is there once.
func bareOperator(operator string) string {
	operator = strings.TrimPrefix(strings.TrimPrefix(operator, "ForAnyValue:"), "ForAllValues:")
	return strings.TrimSuffix(operator, "IfExists")
}

// audiences are the values that a statement's conditions name for the key.
func (s *trustStatement) audiences(key string) (values []string) {
	for operator, keys := range s.Condition {
		for k, v := range keys {
			if strings.EqualFold(k, key) && !strings.HasPrefix(bareOperator(operator), "StringNot") &&
				bareOperator(operator) != "Null" {
				values = append(values, v...)
			}
		}
	}
	return values
}

// otherKeys are those of conditions that takes does not evaluate.
func (s *trustStatement) otherKeys(key string) (keys []string) {
	for operator, of := range s.Condition {
		for k := range of {
			if _, known := holdsFor(operator, nil, ""); !strings.EqualFold(k, key) || !known {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// audienceKey is the first condition key of the plan's statement: <issuer>:aud.
func (s *trustStatement) audienceKey() string {
	for key := range s.Condition["StringEquals"] {
		return key
	}
	return ""
}

// unlikelyAudience is nobody's: whoever takes it takes any.
const unlikelyAudience = "an-audience-that-no-token-has-7f3a9c"

func (s *trustStatement) compare(have []trustStatement) (found Trust) {
	provider, key := strings.Join(s.principal().Federated, ""), s.audienceKey()
	wanted := s.audiences(key)
	found.lacks(s.Action, provider, key, wanted, have)
	for i := range have {
		h := &have[i]
		is, everybody := h.trusts(provider)
		if !is || !h.matches(actionAssume) {
			continue
		}
		if h.Effect != "Allow" {
			found.deniedBy(h, key, wanted)
			continue
		}
		found.Also = append(found.Also, h.otherKeys(key)...)
		switch {
		case everybody:
			found.Open = append(found.Open, "a statement is for every principal, or for all but some")
		case h.takes(key, unlikelyAudience):
			found.Open = append(found.Open, "it takes tokens of the issuer for any audience")
		}
		for _, audience := range h.audiences(key) {
			if !slices.Contains(wanted, audience) && h.takes(key, audience) {
				found.Open = append(found.Open, fmt.Sprintf("it takes the audience %q too", audience))
			}
		}
	}
	for _, list := range []*[]string{&found.Missing, &found.Open, &found.Also} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return found
}

// lacks notes what no statement allows to tokens of the provider with the audiences.
func (t *Trust) lacks(actions []string, provider, key string, audiences []string, have []trustStatement) {
	allowed := func(action, audience string) bool {
		return slices.ContainsFunc(have, func(h trustStatement) bool {
			is, _ := h.trusts(provider)
			return h.Effect == "Allow" && is && h.matches(action) && (audience == "" || h.takes(key, audience))
		})
	}
	for _, action := range actions {
		if !allowed(action, "") {
			t.Missing = append(t.Missing, "no statement allows "+action+" to "+provider)
			continue
		}
		for _, audience := range audiences {
			if !allowed(action, audience) {
				t.Missing = append(t.Missing, fmt.Sprintf("no statement takes %q as %s for %s", audience, key, action))
			}
		}
	}
}

// deniedBy notes what a Deny takes away.
func (t *Trust) deniedBy(h *trustStatement, key string, audiences []string) {
	for _, audience := range audiences {
		if !h.takes(key, audience) {
			continue
		}
		keys := h.otherKeys(key)
		if h.NotPrincipal != nil {
			keys = append(keys, "NotPrincipal")
		}
		if len(keys) > 0 {
			t.Also = append(t.Also, keys...)
			continue
		}
		t.Missing = append(t.Missing, fmt.Sprintf("a Deny refuses %q as %s", audience, key))
	}
}
