package identity

import (
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
	}{resource, []string{config.Issuer}, []string{"header"}, config.RequiredScopes}
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

// Challenge renders WWW-Authenticate (RFC 6750, section 3; RFC 9728, section
// 5.1) and the status for a *TokenError or a *ScopeError.
func Challenge(err error, metadataURL string) (status int, challenge string) {
	parameters := []string{"resource_metadata=" + quote(metadataURL)}
	status = http.StatusUnauthorized
	code, description := "invalid_token", err.Error()
	if scope, ok := err.(*ScopeError); ok { //nolint:errorlint // callers pass the error itself
		status, code = http.StatusForbidden, "insufficient_scope"
		parameters = append(parameters, "scope="+quote(strings.Join(scope.Required, " ")))
	}
	parameters = append(parameters, "error="+quote(code), "error_description="+quote(description))
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
