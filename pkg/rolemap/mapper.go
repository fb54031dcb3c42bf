// Package rolemap decides which IAM role a caller gets: the first role mapping
// in priority order whose claim value or CEL expression fits the caller's
// claims, else the fallback role.
package rolemap

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// Fallback is the Selection.Mapping of the fallback role.
const Fallback = -1

// ErrNoRole says that no mapping matched and that there is no fallback role.
var ErrNoRole = errors.New("no role mapping matches and there is no fallback role")

// SessionNameError says that the claim which names the role session cannot.
type SessionNameError struct{ Claim string }

func (e *SessionNameError) Error() string {
	return fmt.Sprintf("the token has no usable claim %q, which names the role session", e.Claim)
}

// Selection is the role that a caller gets.
type Selection struct {
	Role authconfig.RoleARN
	// Mapping is the index into awsSts.roleMappings, or Fallback.
	Mapping int
	// SessionName is the RoleSessionName for STS.
	SessionName string
}

// Mapper is a compiled awsSts block. It is safe for concurrent use.
type Mapper struct {
	roleClaim        string
	sessionNameClaim string
	fallback         authconfig.RoleARN
	mappings         []*mapping
	// denyUnusable is set where an unusable role claim means no role.
	denyUnusable bool
	// matches is set where some mapping has a matcher.
	matches bool
}

type mapping struct {
	index    int
	priority int
	role     authconfig.RoleARN
	claim    string
	matcher  *matcher
	// warnOnce keeps a matcher that fails for every caller from filling the log.
	warnOnce sync.Once
}

// Compile compiles every matcher. The errors carry field paths below
// spec.awsSts and positions inside the expressions. With groupsDecide policies
// read the caller's groups, so the role claim matters even without a mapping by
// claim.
func Compile(config *authconfig.AWSSTS, groupsDecide bool) (*Mapper, authconfig.Errors) {
	m := &Mapper{roleClaim: config.RoleClaim, sessionNameClaim: config.SessionNameClaim, fallback: config.FallbackRole}
	byClaim := slices.ContainsFunc(config.RoleMappings, func(r authconfig.RoleMapping) bool { return r.Claim != "" })
	m.denyUnusable = (byClaim || groupsDecide) && config.OnUnusableClaim != authconfig.UnusableFallsBack
	var errs authconfig.Errors
	for i, source := range config.RoleMappings {
		entry := &mapping{index: i, role: source.Role, claim: source.Claim, priority: math.MaxInt}
		if source.Priority != nil {
			entry.priority = *source.Priority
		}
		if source.Matcher != "" {
			compiled, matcherErrs := compileMatcher(
				fmt.Sprintf("spec.awsSts.roleMappings[%d].matcher", i),
				source.Matcher,
			)
			errs = append(errs, matcherErrs...)
			entry.matcher, m.matches = compiled, true
		}
		m.mappings = append(m.mappings, entry)
	}
	slices.SortStableFunc(m.mappings, func(a, b *mapping) int {
		switch {
		case a.priority < b.priority:
			return -1
		case a.priority > b.priority:
			return 1
		}
		return 0
	})
	return m, errs
}

// Select finds the role and the role session's name for a caller with these
// claims. It fails with ErrNoRole, a *SessionNameError or an *UnusableClaimError.
func (m *Mapper) Select(claims map[string]any) (Selection, error) {
	return m.SelectNamed(claims, claims)
}

// SelectNamed is Select where the session's name comes from claims of its own: the
// caller's with the actor that only the exchanged token names.
func (m *Mapper) SelectNamed(claims, named map[string]any) (Selection, error) {
	values, err := roleValues(claims, m.roleClaim)
	if err != nil && m.denyUnusable {
		return Selection{}, err
	}
	selected, held := Selection{Mapping: Fallback, Role: m.fallback}, setOf(values)
	evaluated := m.evaluable(claims)
	for _, entry := range m.mappings {
		matched, err := entry.match(held, evaluated)
		if err != nil {
			entry.warnOnce.Do(func() {
				slog.Warn("a role mapping's matcher failed and counts as no match",
					"mapping", entry.index, "error", err)
			})
			continue
		}
		if matched {
			selected.Mapping, selected.Role = entry.index, entry.role
			break
		}
	}
	if selected.Role.IsZero() {
		return Selection{}, ErrNoRole
	}
	name, err := m.sessionName(named)
	if err != nil {
		return Selection{}, err
	}
	selected.SessionName = name
	return selected, nil
}

// evaluable are the claims as matchers get them.
func (m *Mapper) evaluable(claims map[string]any) map[string]any {
	if !m.matches {
		return claims
	}
	claims, _ = withStringLists(claims)
	return claims
}

// NamesSessionByActor reports whether sessions are named by the claim act, or by what
// is in it.
func (m *Mapper) NamesSessionByActor() bool {
	return m.sessionNameClaim == "act" || strings.HasPrefix(m.sessionNameClaim, "act.")
}

func (m *Mapper) sessionName(claims map[string]any) (string, error) {
	value, _ := LookupClaim(claims, m.sessionNameClaim)
	text, ok := ClaimText(value)
	if !ok || text == "" {
		return "", &SessionNameError{Claim: m.sessionNameClaim}
	}
	return SessionName(text), nil
}

// Groups are the values of the role claim: the caller's groups. An unusable claim
// has none.
func (m *Mapper) Groups(claims map[string]any) []string {
	values, err := roleValues(claims, m.roleClaim)
	if err != nil {
		return nil
	}
	return values
}

// match reports whether the mapping fits a caller whose role claim holds values.
func (e *mapping) match(held valueSet, claims map[string]any) (bool, error) {
	if e.matcher != nil {
		return e.matcher.match(claims)
	}
	return held[e.claim], nil
}

// valueSet makes thousands of groups against thousands of mappings cost their sum, not
// their product.
type valueSet map[string]bool

func setOf(values []string) valueSet {
	set := make(valueSet, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}

// Outcome tells how one mapping fared, in the order in which they are tried.
type Outcome struct {
	// Mapping is the index into awsSts.roleMappings.
	Mapping int
	Role    authconfig.RoleARN
	Matched bool
	// Reason says why, for people.
	Reason string
}

// Explain tries every mapping, also those behind the one that is selected.
func (m *Mapper) Explain(claims map[string]any) []Outcome {
	outcomes := make([]Outcome, 0, len(m.mappings))
	values, unusable := roleValues(claims, m.roleClaim)
	held, evaluated := setOf(values), m.evaluable(claims)
	for _, entry := range m.mappings {
		matched, err := entry.match(held, evaluated)
		outcome := Outcome{Mapping: entry.index, Role: entry.role, Matched: matched}
		switch {
		case err != nil:
			outcome.Reason = "the matcher failed: " + err.Error()
		case entry.matcher != nil:
			outcome.Reason = fmt.Sprintf("the matcher %s is %t", entry.matcher.text, matched)
		case unusable != nil:
			outcome.Reason = unusable.Error()
		case matched:
			outcome.Reason = fmt.Sprintf("claim %q holds %q", m.roleClaim, entry.claim)
		default:
			outcome.Reason = m.whyNot(claims, values, entry.claim)
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

// whyNot says what the role claim is, where it does not hold the wanted value.
func (m *Mapper) whyNot(claims map[string]any, values []string, want string) string {
	value, present := LookupClaim(claims, m.roleClaim)
	if value == nil {
		said := "the token has no claim"
		if present {
			said = "null is the token's claim"
		}
		return fmt.Sprintf("%s %q", said, m.roleClaim)
	}
	switch value.(type) {
	case string:
		return fmt.Sprintf("claim %q is the one string %q, which is not %q", m.roleClaim, values[0], want)
	case map[string]any:
		return fmt.Sprintf(
			"claim %q is an object with the members %q, among which %q is not", m.roleClaim, values, want)
	}
	return fmt.Sprintf("claim %q is %q, which does not hold %q", m.roleClaim, values, want)
}
