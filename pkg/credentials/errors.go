package credentials

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Kind classes failed exchanges by what a caller can do about them.
type Kind string

// The kinds are values of a metric's label.
const (
	// KindAccessDenied: the role's trust policy does not let this caller in.
	KindAccessDenied Kind = "access_denied"
	// KindInvalidToken: STS refuses the token; another one may do.
	KindInvalidToken Kind = "invalid_token"
	// KindIdentityProvider: STS trusts no such issuer or audience. No other token
	// will do: the operator has to look at IAM.
	KindIdentityProvider Kind = "identity_provider"
	// KindUnavailable: STS or the identity provider cannot answer now.
	KindUnavailable Kind = "unavailable"
	// KindPolicyTooLarge: the session policies are larger than STS packs.
	KindPolicyTooLarge Kind = "policy_too_large"
	// KindOther: anything else; somebody has to look at it.
	KindOther Kind = "error"
)

// Error is a failed exchange. Its text is for logs; it holds no token.
type Error struct {
	Kind  Kind
	cause error
}

func (e *Error) Error() string { return "exchange the token with STS: " + e.cause.Error() }

// Unwrap gives the SDK's error.
func (e *Error) Unwrap() error { return e.cause }

// ForAudience is the failure of a token that STS would not take for its audience, which
// was not sent.
func ForAudience(cause error) *Error { return &Error{Kind: KindIdentityProvider, cause: cause} }

func classify(err error) *Error {
	return &Error{Kind: kindOf(err), cause: err}
}

func kindOf(err error) Kind {
	var api smithy.APIError
	if !errors.As(err, &api) {
		var response *smithyhttp.ResponseError
		if errors.As(err, &response) && isRefusalStatus(response.HTTPStatusCode()) {
			return KindOther
		}
		// No answer that could be read: network, TLS, timeout.
		return KindUnavailable
	}
	code := strings.TrimSuffix(api.ErrorCode(), "Exception")
	switch {
	case code == "AccessDenied":
		return KindAccessDenied
	case code == "PackedPolicyTooLarge":
		return KindPolicyTooLarge
	case code == "InvalidIdentityToken":
		return kindOfInvalidToken(strings.ToLower(api.ErrorMessage()))
	case code == "ExpiredToken":
		return KindInvalidToken
	case code == "IDPCommunicationError", isThrottling(api.ErrorCode()):
		return KindUnavailable
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && isUnavailableStatus(response.HTTPStatusCode()) {
		return KindUnavailable
	}
	return KindOther
}

// kindOfInvalidToken tells apart what STS puts under one code: keys that it could
// not fetch, an expired token, and a provider, audience or issuer that IAM does not
// know.
func kindOfInvalidToken(message string) Kind {
	switch {
	case strings.Contains(message, "verification key"):
		return KindUnavailable
	case strings.Contains(message, "expire"):
		return KindInvalidToken
	}
	return KindIdentityProvider
}

// isRefusalStatus is false for 0, which stands for no answer at all.
func isRefusalStatus(status int) bool {
	return status >= http.StatusBadRequest && !isUnavailableStatus(status)
}

func isUnavailableStatus(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

func isThrottling(code string) bool {
	_, ok := retry.DefaultThrottleErrorCodes[code]
	return ok || slices.Contains([]string{"Throttling", "ThrottlingException"}, code)
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
