package authconfig_test

import (
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

func withExchange(exchange string) string {
	return strings.Replace(good, "      audience: countersign\n", "      audience: countersign\n      exchange: "+exchange+"\n", 1)
}

func TestAnExchangeHasDefaults(t *testing.T) {
	c, err := parse(withExchange("{client: {id: sidecar}}"))
	if err != nil {
		t.Fatal(err)
	}
	e := c.Identity.OIDC.Exchange
	want := authconfig.Exchange{
		Grant: authconfig.GrantTokenExchange, Issuer: "https://idp.example.com/tenant",
		SubjectTokenType: "urn:ietf:params:oauth:token-type:access_token", Audience: "sts.amazonaws.com", SendAudience: true,
		AuthorizedParty: "sidecar", SubjectClaim: "sub", Actor: authconfig.ActorNone,
		Client: authconfig.ExchangeClient{
			ID: "sidecar", Authentication: authconfig.ClientSecret, Audience: "https://idp.example.com/tenant",
			SecretMethod: authconfig.SecretBasic,
		},
	}
	if e.Digest() != want.Digest() {
		t.Errorf("%+v", e)
	}
	if got := strings.Join(c.Identity.OIDC.AWSAudiences(), " "); got != "sts.amazonaws.com sidecar" {
		t.Errorf("AWS may see %s", got)
	}
}

func TestFaultsOfAnExchangeHaveTheirPath(t *testing.T) {
	const path = "spec.identity.oidc.exchange"
	for exchange, want := range map[string]string{
		"":                            path + ".client.id: is required with authentication secret",
		"{}":                          path + ".client.id: is required with authentication secret",
		"{grant: x, client: {id: a}}": path + `.grant: "x" is not one of tokenExchange, jwtBearer`,
		"{audience: countersign, client: {id: a}}":                                                             path + `.audience: "countersign" is an audience of callers' tokens too`,
		"{issuer: 'http://idp.example.com', client: {id: a}}":                                                  path + ".issuer: must be https",
		"{tokenEndpoint: 'http://idp.example.com/t', client: {id: a}}":                                         path + ".tokenEndpoint: must be https",
		"{subjectTokenType: bearer, client: {id: a}}":                                                          path + `.subjectTokenType: "bearer" is not one of accessToken, idToken, jwt, nor a URI`,
		"{resource: 'x#y', client: {id: a}}":                                                                   path + ".resource: ",
		"{scope: 'a \"b', client: {id: a}}":                                                                    path + ".scope: ",
		"{parameters: {grant_type: x}, client: {id: a}}":                                                       path + ".parameters.grant_type: is set by the exchange itself",
		"{parameters: {client_secret: x}, client: {id: a}}":                                                    path + ".parameters.client_secret: is set by the exchange itself",
		"{grant: jwtBearer, actor: serviceAccount, client: {id: a}}":                                           path + ".actor: ",
		"{client: {id: a, authentication: mtls}}":                                                              path + ".client.authentication: ",
		"{client: {id: a, secretRef: {name: A_B, key: k}}}":                                                    path + ".client.secretRef.name: ",
		"{client: {id: a, secretRef: {name: b}}}":                                                              path + ".client.secretRef.key: ",
		"{client: {authentication: privateKeyJWT}}":                                                            path + ".client.id: is required with authentication privateKeyJWT",
		"{client: {id: a, authentication: privateKeyJWT, secretMethod: post}}":                                 path + ".client.secretMethod: ",
		"{client: {authentication: serviceAccount, secretRef: {name: b, key: c}}}":                             path + ".client.secretRef: ",
		"{subjectClaim: iss, client: {id: a}}":                                                                 path + `.subjectClaim: "iss" does not say whom a token is about`,
		"{client: {id: countersign}}":                                                                          path + `.client.id: "countersign" is an audience of callers' tokens too`,
		"{authorizedParty: countersign, client: {id: a}}":                                                      path + `.authorizedParty: "countersign" is an audience of callers' tokens too`,
		"{authorizedParty: None, client: {id: a}}":                                                             path + `.authorizedParty: "None" would be a client's name`,
		"{audience: ' sts.amazonaws.com', client: {id: a}}":                                                    path + `.audience: " sts.amazonaws.com" begins or ends with white space`,
		"{client: {id: a, secretRef: {name: b, key: ..}}}":                                                     path + `.client.secretRef.key: ".." is not a key of a Secret`,
		"{client: {id: a, secretRef: {key: b}}}":                                                               path + ".client.secretRef.name: is required",
		"{client: {authentication: serviceAccount, audience: 'https://kubernetes.default.svc.cluster.local'}}": path + ".client.audience: ",
		"{clients: {id: a}}":                                                                                   path + ".clients: 12:18: unknown field",
	} {
		if _, err := parse(withExchange(exchange)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", exchange, err, want)
		}
	}
	if _, err := parse(withExchange("{client: {authentication: serviceAccount}}")); err != nil {
		t.Error(err)
	}
}

func TestAnotherAudienceClaimNeedsAnExchange(t *testing.T) {
	text := withExchange("{client: {id: a}}\n      audienceClaim: client_id")
	if c, err := parse(text); err != nil || c.Identity.OIDC.AudienceClaim != "client_id" {
		t.Error(err)
	}
	text = strings.Replace(text, "      exchange: {client: {id: a}}\n", "", 1)
	if _, err := parse(text); err == nil || !strings.Contains(err.Error(), "spec.identity.oidc.audienceClaim") {
		t.Error(err)
	}
}
