package idps

import (
	"net/http"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func TestCallersReachAWSAsThemselvesAndTheirTokensAloneDoNot(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *provider{
		"Dex, secret in the header": func(t *testing.T) *provider { return ofDex(t, "basic") },
		"Dex, secret in the form":   func(t *testing.T) *provider { return ofDex(t, "post") },
		"zitadel/oidc, secret in the header": func(t *testing.T) *provider {
			return ofZitadelBySecret(t, oidc.AuthMethodBasic, "basic")
		},
		"zitadel/oidc, secret in the form": func(t *testing.T) *provider {
			return ofZitadelBySecret(t, oidc.AuthMethodPost, "post")
		},
		"zitadel/oidc, private_key_jwt":                ofZitadelByKey,
		"zitadel/oidc, a service account of a cluster": ofZitadelByServiceAccount,
		"zitadel/oidc, where callers log in too":       ofZitadelAlone,
		"oidc-provider, secret in the header":          func(t *testing.T) *provider { return ofNodeBySecret(t, "basic") },
		"oidc-provider, secret in the form":            func(t *testing.T) *provider { return ofNodeBySecret(t, "post") },
		"oidc-provider, private_key_jwt":               ofNodeByKey,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, start(t))
			b.wantUser(t, "alice")
			b.wantUser(t, "bob")
			b.wantRefusedBySTS(t, b.provider.token(t, "alice"))

			b.provider.rotate(t)
			// Another token than the first, which is exchanged already.
			b.wantUser(t, "bob")

			b.write(t, []byte("not the credential"))
			status, answer := b.whoAmI(t, b.provider.token(t, "alice"))
			if status != http.StatusInternalServerError || !strings.Contains(answer, "identityProviderConfig") {
				t.Errorf("a client that the identity provider does not know: %d %s", status, answer)
			}
		})
	}
}
