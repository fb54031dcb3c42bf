package identity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	claimAudience        = "aud"
	claimAuthorizedParty = "azp"
)

// AWSAudience is what AWS evaluates as <provider>:aud of a web identity token, and the
// claim that it comes from: azp where the token has one, else aud. An azp that is no
// string is given as its JSON would print, which no audience is.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif
func AWSAudience(claims map[string]any) (values []string, claim string) {
	switch party := claims[claimAuthorizedParty].(type) {
	case nil:
		return stringsClaim(claims, claimAudience), claimAudience
	case string:
		return []string{party}, claimAuthorizedParty
	default:
		return []string{fmt.Sprintf("%v", party)}, claimAuthorizedParty
	}
}

// AudienceError says that AWS would see another audience than IAM is set up for.
type AudienceError struct {
	// Seen are the values of Claim; Wanted are those of which there should be one.
	Claim        string
	Seen, Wanted []string
}

func (e *AudienceError) Error() string {
	return fmt.Sprintf(
		"AWS compares the token's %s, which is %s, and the auth-config knows %s only",
		e.Claim, quotedList(e.Seen), quotedList(e.Wanted),
	)
}

// CheckAWSAudience fails with an *AudienceError unless AWS sees one of the audiences
// that are wanted.
func CheckAWSAudience(claims map[string]any, wanted []string) error {
	seen, claim := AWSAudience(claims)
	isWanted := func(value string) bool { return slices.Contains(wanted, value) }
	_, isText := claims[claim].(string)
	if claim == claimAuthorizedParty && !isText || !slices.ContainsFunc(seen, isWanted) {
		return &AudienceError{Claim: claim, Seen: seen, Wanted: wanted}
	}
	return nil
}

// quotedList shows at most a few values, shortened: they stand in tokens of strangers.
func quotedList(values []string) string {
	const most, longest = 8, 200
	var quoted []string
	for _, value := range values[:min(len(values), most)] {
		quoted = append(quoted, strconv.Quote(value[:min(len(value), longest)]))
	}
	if len(values) > most {
		quoted = append(quoted, "...")
	}
	if len(quoted) == 0 {
		return "empty"
	}
	return strings.Join(quoted, " or ")
}

// actorClaim is the sub of act, who uses the token on behalf of its subject (RFC 8693,
// section 4.1); empty without one.
func actorClaim(claims map[string]any) string {
	act, _ := claims["act"].(map[string]any)
	return stringClaim(act, "sub")
}

// SessionTagClaims are claims of which AWS STS makes session tags or a source identity;
// it refuses them unless the role's trust policy allows sts:TagSession or
// sts:SetSourceIdentity.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp
func SessionTagClaims(claims map[string]any) []string {
	var found []string
	for _, name := range []string{"https://aws.amazon.com/source_identity", "https://aws.amazon.com/tags"} {
		if claims[name] != nil {
			found = append(found, name)
		}
	}
	// The flattened form of tags.
	for name := range claims {
		if strings.HasPrefix(name, "https://aws.amazon.com/tags/") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}
