package iam

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Trust is what a role's trust policy, as IAM holds it, lets the plan's callers do.
type Trust struct {
	// Missing says what the policy would have to let in and does not, a sentence each.
	Missing []string
	// AnyAudience is true where every token of the issuer is taken, whoever it is for.
	AnyAudience bool
	// Also are the condition keys beside the audience that a token or the request must
	// meet: whether they do shows in an exchange only.
	Also []string
}

// CompareTrust compares a role's trust policy with that of the plan. It reads Allow
// statements; a Deny, or a condition that it does not know, shows in an exchange only.
func (r *Role) CompareTrust(document []byte) (Trust, error) {
	want, err := parseTrust(r.TrustPolicy.Statement)
	if err != nil || len(want) == 0 {
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
	Effect    string                                  `json:"Effect"`
	Principal jsontext.Value                          `json:"Principal"`
	Action    oneOrMany[string]                       `json:"Action"`
	Condition map[string]map[string]oneOrMany[string] `json:"Condition"`
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

func (s *trustStatement) federated() []string {
	var principal struct {
		Federated oneOrMany[string] `json:"Federated"`
	}
	if s.Principal.Kind() != '{' || json.Unmarshal(s.Principal, &principal) != nil {
		return nil
	}
	return principal.Federated
}

// allows reports whether a statement lets an action be done; IAM takes * and ? in it,
// and no letter's case.
func (s *trustStatement) allows(action string) bool {
	return slices.ContainsFunc(s.Action, func(pattern string) bool {
		return like(strings.ToLower(pattern), strings.ToLower(action))
	})
}

// like compares as IAM does where * and ? stand for any characters; where they do not,
// a name that has them is rare.
func like(pattern, text string) bool {
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	matches, err := regexp.MatchString(`^(?s:`+quoted+`)$`, text)
	return err == nil && matches
}

// audiences are the values that a statement's conditions take for a key; bound is
// false where they take any.
func (s *trustStatement) audiences(key string) (values []string, bound bool) {
	for operator, keys := range s.Condition {
		for k, v := range keys {
			if strings.EqualFold(k, key) && comparesStrings(operator) {
				values, bound = append(values, v...), true
			}
		}
	}
	return values, bound
}

func comparesStrings(operator string) bool {
	operator = strings.TrimPrefix(strings.TrimPrefix(operator, "ForAnyValue:"), "ForAllValues:")
	operator = strings.TrimSuffix(operator, "IfExists")
	return slices.Contains([]string{"StringEquals", "StringEqualsIgnoreCase", "StringLike"}, operator)
}

// audienceKey is the first condition key of the plan's statement: <issuer>:aud.
func (s *trustStatement) audienceKey() string {
	for key := range s.Condition["StringEquals"] {
		return key
	}
	return ""
}

func (s *trustStatement) compare(have []trustStatement) (found Trust) {
	provider, key := s.federated(), s.audienceKey()
	letsIn := slices.DeleteFunc(slices.Clone(have), func(h trustStatement) bool {
		return h.Effect != "Allow" || !h.allows(actionAssume) ||
			!slices.ContainsFunc(h.federated(), func(f string) bool {
				return slices.Contains(provider, f)
			})
	})
	if len(letsIn) == 0 {
		found.Missing = append(found.Missing, "no statement allows "+actionAssume+" to "+strings.Join(provider, ", "))
		return found
	}
	wanted, _ := s.audiences(key)
	for _, audience := range wanted {
		if !slices.ContainsFunc(letsIn, func(h trustStatement) bool { return h.takes(key, audience) }) {
			found.Missing = append(found.Missing, fmt.Sprintf("no statement takes %q as %s", audience, key))
		}
	}
	for _, action := range s.Action {
		if !slices.ContainsFunc(have, func(h trustStatement) bool { return h.Effect == "Allow" && h.allows(action) }) {
			found.Missing = append(found.Missing, "no statement allows "+action)
		}
	}
	for i := range letsIn {
		if _, bound := letsIn[i].audiences(key); !bound {
			found.AnyAudience = true
		}
		found.Also = append(found.Also, letsIn[i].otherKeys(key)...)
	}
	slices.Sort(found.Also)
	found.Also = slices.Compact(found.Also)
	return found
}

func (s *trustStatement) takes(key, audience string) bool {
	values, bound := s.audiences(key)
	return !bound || slices.ContainsFunc(values, func(v string) bool { return like(v, audience) })
}

func (s *trustStatement) otherKeys(audienceKey string) (keys []string) {
	for _, of := range s.Condition {
		for k := range of {
			if !strings.EqualFold(k, audienceKey) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
