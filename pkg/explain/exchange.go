package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
	"github.com/countersign-io/countersign/pkg/tokenexchange"
)

// Exchange is what happens in front of AWS STS.
type Exchange struct {
	// Request is what is sent to the identity provider, tokens and credentials left out.
	Request *tokenexchange.Request `json:"request"`
	// Done reports whether it was sent, and a token came back; Refusal why not.
	Done    bool   `json:"done"`
	Refusal string `json:"refusal,omitempty"`
	// Unknown is set when nobody can tell now: the identity provider cannot be reached.
	Unknown bool `json:"unknown,omitzero"`
	// Needed is set where what follows depends on the new token, which is not there.
	Needed bool `json:"needed,omitzero"`
	// Claims are those of the new token.
	Claims map[string]any `json:"claims,omitempty"`
}

// AWS is what AWS STS sees of a token.
type AWS struct {
	// Audience is what IAM compares as <provider>:aud, from the claim AudienceClaim.
	Audience      []string `json:"audience"`
	AudienceClaim string   `json:"audienceClaim"`
	// Refusal says why the sidecar would not send the token to STS.
	Refusal string `json:"refusal,omitempty"`
	// SessionTags are claims that the role's trust policy must allow.
	SessionTags []string `json:"sessionTags,omitempty"`
	Note        string   `json:"note,omitempty"`
}

// explainExchange tells what AWS STS gets, and gives act of the exchanged token where
// that decides.
func (a *Answer) explainExchange(
	ctx context.Context,
	q *Question,
	verifier *identity.Verifier,
	caller *identity.Caller,
) (act any) {
	oidc := &q.Config.Identity.OIDC
	if q.Config.Identity.Source != authconfig.SourceBearer {
		return nil
	}
	if oidc.Exchange == nil {
		if a.Assumed && caller.Claims["aud"] == nil && caller.Claims["azp"] == nil {
			return nil // nothing is said of the token that would have them
		}
		a.AWS = seenByAWS(caller.Claims, q.Config.Config)
		return nil
	}
	exchanged := identity.ExchangedVerifier(ctx, oidc, verifier, q.Client)
	client := tokenexchange.New(oidc, exchanged, q.Client, q.Files, nil)
	a.Exchange = &Exchange{Request: client.Request()}
	if err := client.Accepts(caller); err != nil {
		a.Exchange.Refusal, _ = exchangeRefusal(err)
		return nil
	}
	if !q.Exchange || !a.Accepted {
		a.Exchange.Needed = a.Accepted && q.Config.NeedsActor(caller)
		return nil
	}
	token, err := client.Exchange(ctx, caller)
	if err != nil {
		a.Exchange.Refusal, a.Exchange.Unknown = exchangeRefusal(err)
		return nil
	}
	a.Exchange.Done, a.Exchange.Claims = true, token.Claims
	a.AWS = seenByAWS(token.Claims, q.Config.Config)
	if q.Config.NeedsActor(caller) {
		return token.Act
	}
	return nil
}

// exchangeRefusal is what the sidecar would answer.
func exchangeRefusal(err error) (refusal string, unknown bool) {
	var failed *tokenexchange.Error
	if !errors.As(err, &failed) {
		return err.Error(), true
	}
	status := map[tokenexchange.Kind]int{
		tokenexchange.KindInvalidGrant: 401, tokenexchange.KindInteraction: 401, tokenexchange.KindAccessDenied: 403,
		tokenexchange.KindMisconfigured: 500, tokenexchange.KindUnavailable: 503,
	}[failed.Kind]
	return fmt.Sprintf("%d: %v", status, failed), failed.Kind == tokenexchange.KindUnavailable
}

// seenByAWS is what STS sees of a token, and what IAM must allow.
func seenByAWS(claims map[string]any, config *authconfig.Config) *AWS {
	seen := &AWS{SessionTags: identity.SessionTagClaims(claims)}
	seen.Audience, seen.AudienceClaim = identity.AWSAudience(claims)
	if err := identity.CheckAWSAudience(claims, config.Identity.OIDC.AWSAudiences()); err != nil {
		seen.Refusal = "500: " + err.Error()
	}
	if len(seen.SessionTags) > 0 {
		seen.Note = "STS denies the role unless its trust policy allows sts:TagSession and sts:SetSourceIdentity"
		if config.AWSSTS.SessionTags {
			seen.Note = "the role's trust policy must allow sts:TagSession and sts:SetSourceIdentity, as " +
				"`webhook iam` writes it"
		} else {
			seen.Note += ": set awsSts.sessionTags, and `webhook iam` writes it"
		}
	}
	return seen
}

// IsRefused reports whether no token would reach AWS STS.
func (a *Answer) IsRefused() bool {
	return !a.Accepted && !a.Assumed || a.Role == "" || a.AWS != nil && a.AWS.Refusal != "" ||
		a.Exchange != nil && a.Exchange.Refusal != ""
}

// IsUnknown reports whether nobody can tell now.
func (a *Answer) IsUnknown() bool {
	return a.Unknown || a.Exchange != nil && (a.Exchange.Unknown || a.Exchange.Needed)
}

type lineWriter func(name, format string, args ...any)

func (e *Exchange) write(line lineWriter, before map[string]any, accepted bool) error {
	if e == nil {
		return nil
	}
	line("Exchange", "%s", e.Request.Endpoint)
	line("", "client %s", e.Request.Client)
	for _, name := range slices.Sorted(maps.Keys(e.Request.Form)) {
		line("", "%s = %s", name, e.Request.Form[name])
	}
	switch {
	case e.Refusal != "":
		line("", "REFUSED, %s", e.Refusal)
	case e.Needed:
		line("", "not sent, and what follows depends on the actor that the new token names: --exchange sends it")
	case !e.Done && !accepted:
		line("", "not sent: the token is refused")
	case !e.Done:
		line("", "not sent: --exchange sends it")
	default:
		return writeSideBySide(line, before, e.Claims)
	}
	return nil
}

// writeSideBySide shows the claims of both tokens, a line each.
func writeSideBySide(line lineWriter, before, after map[string]any) error {
	names := slices.Collect(maps.Keys(after))
	for name := range before {
		if _, too := after[name]; !too {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	rows := [][3]string{{"claim", "caller's token", "exchanged token"}}
	widths := [2]int{len(rows[0][0]), len(rows[0][1])}
	for _, name := range names {
		row := [3]string{printable(name)}
		for i, claims := range []map[string]any{before, after} {
			value, ok := claims[name]
			if !ok {
				row[i+1] = "-"
				continue
			}
			text, err := json.Marshal(value, json.Deterministic(true))
			if err != nil {
				return fmt.Errorf("render claim: %w", err)
			}
			row[i+1] = string(text)
		}
		widths[0], widths[1] = max(widths[0], len(row[0])), max(widths[1], min(len(row[1]), maxColumn))
		rows = append(rows, row)
	}
	for _, row := range rows {
		text := fmt.Sprintf("%-*s  %-*s  %s", widths[0], row[0], widths[1], row[1], row[2])
		line("", "%s", strings.TrimRight(text, " "))
	}
	return nil
}

// maxColumn bounds the width of a column of claims.
const maxColumn = 60

// printable keeps what tokens say from ending a line, or steering a terminal.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

func (s *AWS) write(line lineWriter) {
	if s == nil {
		return
	}
	var values []string
	for _, value := range s.Audience {
		values = append(values, printable(value))
	}
	line("AWS", "compares %s = %s", s.AudienceClaim, strings.Join(values, ", "))
	if s.Refusal != "" {
		line("", "REFUSED, %s", s.Refusal)
	}
	if len(s.SessionTags) > 0 {
		line("", "%s: %s", printable(strings.Join(s.SessionTags, ", ")), s.Note)
	}
}
