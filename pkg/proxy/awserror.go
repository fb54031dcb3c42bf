package proxy

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/countersign-io/countersign/pkg/identity"
)

var errNotExchanged = &identity.TokenError{
	Description: "the identity provider does not take the token for an exchange; log in again",
}

var errTokenRefused = &identity.TokenError{Description: "AWS STS does not accept the token"}

// awsError is what AWS's own 401 or 403 means.
type awsError int

const (
	noAWSError awsError = iota
	// badCredential: another credential may do.
	badCredential
	badSignature
	accessDenied
)

// maxAWSError bounds what is read of an error.
const maxAWSError = 64 << 10

// The error types that AWS gives, without a trailing Exception.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
var (
	credentialErrors = []string{"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"}
	signatureErrors  = []string{
		"InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
		"RequestExpired",
		"InvalidAccessKeyId", "NotAuthorized", "MissingToken",
	}
)

// malformedSignature classes a 400 by its error type alone: the body may repeat
// the signature, so it must not reach the client.
func malformedSignature(answer *http.Response) awsError {
	said := answer.Header.Get("X-Amzn-Errortype")
	for _, name := range slices.Concat(credentialErrors, signatureErrors) {
		if said != "" && strings.Contains(said, name) {
			_ = answer.Body.Close()
			return badSignature
		}
	}
	return noAWSError
}

// readAWSError classes an answer; of an error it reads and closes the body. A
// 401 that names nothing is about the signature, a 403 about access.
func readAWSError(answer *http.Response) awsError {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
	case http.StatusBadRequest:
		return malformedSignature(answer)
	default:
		return noAWSError
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxAWSError)) // what could be read decides
	_ = answer.Body.Close()
	said := answer.Header.Get("X-Amzn-Errortype")
	names := func(list []string) bool {
		for _, name := range list {
			if strings.Contains(said, name) || said == "" && bytes.Contains(body, []byte(name)) {
				return true
			}
		}
		return false
	}
	switch {
	case names(credentialErrors):
		return badCredential
	case names(signatureErrors), answer.StatusCode == http.StatusUnauthorized:
		return badSignature
	}
	return accessDenied
}
