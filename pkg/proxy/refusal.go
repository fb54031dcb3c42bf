package proxy

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/countersign-io/countersign/pkg/identity"
)

var errTokenRefused = &identity.TokenError{Description: "AWS STS does not accept the token"}

// refusal is what AWS's own 401 or 403 means.
type refusal int

const (
	notRefused refusal = iota
	// refusedCredential: another credential may do.
	refusedCredential
	refusedSignature
	refusedAccess
)

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 64 << 10

// The error types that AWS gives, without a trailing Exception.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
var (
	credentialErrors = []string{"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient"}
	signatureErrors  = []string{
		"InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "RequestExpired",
		"InvalidAccessKeyId", "NotAuthorized", "MissingToken",
	}
)

// malformedSignature classes a 400 by its error type alone: the body may repeat
// the signature, so it must not reach the client.
func malformedSignature(answer *http.Response) refusal {
	said := answer.Header.Get("X-Amzn-Errortype")
	for _, name := range slices.Concat(credentialErrors, signatureErrors) {
		if said != "" && strings.Contains(said, name) {
			_ = answer.Body.Close()
			return refusedSignature
		}
	}
	return notRefused
}

// readRefusal classes an answer; of a refusal it reads and closes the body. A
// 401 that names nothing is about the signature, a 403 about access.
func readRefusal(answer *http.Response) refusal {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
	case http.StatusBadRequest:
		return malformedSignature(answer)
	default:
		return notRefused
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // what could be read decides
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
		return refusedCredential
	case names(signatureErrors), answer.StatusCode == http.StatusUnauthorized:
		return refusedSignature
	}
	return refusedAccess
}
