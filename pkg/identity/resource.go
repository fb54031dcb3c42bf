package identity

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// ResourceMetadata renders protected resource metadata (RFC 9728, section 2)
// for the resource that a client calls.
func ResourceMetadata(config *authconfig.OIDC, resource string) ([]byte, error) {
	document := struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
		BearerMethods        []string `json:"bearer_methods_supported"`
		Scopes               []string `json:"scopes_supported,omitempty"`
	}{resource, []string{config.Issuer}, []string{"header"}, config.Scopes}
	return json.Marshal(document)
}

// MetadataURL is where the metadata of a resource lies: the well-known path put
// between host and path (RFC 9728, section 3.1).
func MetadataURL(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	path := u.EscapedPath()
	if path == "/" {
		path = ""
	}
	return u.Scheme + "://" + u.Host + authconfig.MetadataPath + path
}

// CodeInsufficientClaims is the error code of a challenge that asks for another login.
// https://learn.microsoft.com/entra/identity-platform/claims-challenge
const CodeInsufficientClaims = "insufficient_claims"

// Challenge renders WWW-Authenticate (RFC 6750, section 3; RFC 9728, section
// 5.1) and the status for a *TokenError, a *ScopeError or an *InteractionError. The scopes that are
// required are named, so that a client asks for them at once.
func Challenge(err error, metadataURL string, requiredScopes []string) (status int, challenge string) {
	parameters := []string{"resource_metadata=" + quote(metadataURL)}
	if len(requiredScopes) > 0 {
		parameters = append(parameters, "scope="+quote(strings.Join(requiredScopes, " ")))
	}
	status = http.StatusUnauthorized
	code := "invalid_token"
	var scope *ScopeError
	if errors.As(err, &scope) {
		status, code = http.StatusForbidden, "insufficient_scope"
	}
	var interaction *InteractionError
	if errors.As(err, &interaction) {
		code = CodeInsufficientClaims
		if interaction.Claims != "" {
			parameters = append(parameters, "claims="+quote(interaction.Claims))
		}
	}
	var token *TokenError
	if !errors.As(err, &token) || !token.NotSent {
		parameters = append(parameters, "error="+quote(code), "error_description="+quote(err.Error()))
	}
	return status, "Bearer " + strings.Join(parameters, ", ")
}

// quote keeps a parameter within the characters that RFC 6750 allows.
func quote(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s) + `"`
}
