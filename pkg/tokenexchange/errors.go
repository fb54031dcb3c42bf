package tokenexchange

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"github.com/countersign-io/countersign/pkg/identity"
)

// Kind classes failed exchanges by what a caller can do about them.
type Kind string

// The kinds are values of a metric's label.
const (
	// KindInvalidGrant: the identity provider does not take the caller's token; another
	// one may do.
	KindInvalidGrant Kind = "invalid_grant"
	// KindInteraction: the caller has to log in once more, or to consent.
	KindInteraction Kind = "interaction_required"
	// KindAccessDenied: the identity provider gives this caller no such token.
	KindAccessDenied Kind = "access_denied"
	// KindMisconfigured: the identity provider knows no such client, grant or audience,
	// or its token is not the one that AWS is to get. An operator has to look at it.
	KindMisconfigured Kind = "misconfigured"
	// KindUnavailable: the identity provider cannot answer now, or answers with
	// something else than a token.
	KindUnavailable Kind = "unavailable"
)

// Error is a failed exchange. Its text is for logs: it holds nothing that the identity
// provider wrote but the code of its error.
type Error struct {
	Kind Kind
	// Claims is what a client has to log in with, in Base64, with KindInteraction where
	// the identity provider says so.
	Claims string
	// RetryAfter is in seconds, with KindUnavailable where the identity provider says so.
	RetryAfter int
	cause      string
}

func (e *Error) Error() string { return "exchange the token with the identity provider: " + e.cause }

// IsLasting reports whether the same request would get the same answer for a while.
func (e *Error) IsLasting() bool { return e.Kind != KindUnavailable }

// kinds of the error codes of RFC 6749, section 5.2, RFC 8693, section 2.2.2, RFC 8707,
// section 2, and OpenID Connect Core, section 3.1.2.6. A code that is not here is the
// operator's to look at.
var kinds = map[string]Kind{
	"invalid_grant":              KindInvalidGrant,
	"invalid_token":              KindInvalidGrant,
	"interaction_required":       KindInteraction,
	"login_required":             KindInteraction,
	"consent_required":           KindInteraction,
	"account_selection_required": KindInteraction,
	"access_denied":              KindAccessDenied,
	"temporarily_unavailable":    KindUnavailable,
	"server_error":               KindUnavailable,
	"slow_down":                  KindUnavailable,
}

// classify reads the identity provider's refusal.
func (c *Client) classify(ctx context.Context, err error) *Error {
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		// No answer, or one that holds no token; the library's text can quote it.
		cause := "no answer that holds a token"
		if ctx.Err() != nil {
			cause = "no answer in time"
		}
		return &Error{Kind: KindUnavailable, cause: cause}
	}
	status, code := refusal.Response.StatusCode, refusal.ErrorCode
	failed := &Error{Kind: KindMisconfigured}
	if known, ok := kinds[code]; ok {
		failed.Kind = known
	}
	if code == "invalid_request" && c.succeeded.Load() {
		// That is also what RFC 8693, section 2.2.2, has for a subject token that is not
		// taken, such as one of a session that was ended; the set-up is known to be good.
		failed.Kind = KindInvalidGrant
	}
	// Entra ID says invalid_grant, and what is asked for beside it.
	detail := refusalDetail(refusal.Body)
	if detail.suberror == "consent_required" || detail.suberror == "interaction_required" {
		failed.Kind = KindInteraction
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		failed.Kind = KindUnavailable
	}
	switch failed.Kind {
	case KindInteraction:
		failed.Claims = detail.claims
	case KindUnavailable:
		failed.RetryAfter = retryAfter(refusal.Response.Header)
	}
	failed.cause = fmt.Sprintf("status %d, error %s", status, shownCode(code))
	return failed
}

// unverified classes an exchanged token that does not pass for one.
func unverified(err error) *Error {
	if errors.Is(err, identity.ErrUnavailable) {
		return &Error{Kind: KindUnavailable, cause: "the keys of the exchanged token's issuer cannot be had"}
	}
	// The verifier's text is ours and quotes nothing.
	return &Error{Kind: KindMisconfigured, cause: "the exchanged token is refused: " + err.Error()}
}

type detail struct{ suberror, claims string }

// maxClaims bounds what is relayed of the identity provider's claims, in bytes.
const maxClaims = 4096

// refusalDetail reads what an error may have beside its code: Entra ID's claims are a
// JSON object, which a client wants as Base64; what is Base64 already stays so.
// Anything else is the identity provider's text, and left out.
// https://learn.microsoft.com/entra/identity-platform/claims-challenge
func refusalDetail(body []byte) detail {
	var members struct {
		Suberror jsontext.Value `json:"suberror"`
		Claims   jsontext.Value `json:"claims"`
	}
	lenient := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if json.Unmarshal(body, &members, lenient) != nil {
		return detail{}
	}
	var d detail
	_ = json.Unmarshal(members.Suberror, &d.suberror) // what is no string says nothing
	var claims string
	if json.Unmarshal(members.Claims, &claims) != nil || claims == "" || len(claims) > maxClaims {
		return d
	}
	if object := jsontext.Value(claims); object.IsValid() && object.Kind() == '{' && object.Compact() == nil {
		d.claims = base64.StdEncoding.EncodeToString(object)
	} else if isBase64(claims) {
		d.claims = claims
	}
	return d
}

func isBase64(text string) bool {
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if _, err := encoding.Strict().DecodeString(text); err == nil && !strings.ContainsAny(text, "\r\n") {
			return true
		}
	}
	return false
}

// maxRetryAfter bounds what the identity provider may ask clients to wait, in seconds.
const maxRetryAfter = 60

func retryAfter(header http.Header) int {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return 0
	}
	return min(seconds, maxRetryAfter)
}

// knownCodes are shown in logs as they are.
var knownCodes = []string{
	"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target",
	"invalid_request", "unsupported_token_type", "invalid_resource",
}

// shownCode keeps other texts than codes out of logs.
func shownCode(code string) string {
	_, known := kinds[code]
	switch {
	case known || slices.Contains(knownCodes, code):
		return code
	case code == "":
		return "not given"
	}
	return "of a code that is not known"
}
