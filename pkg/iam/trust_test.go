package iam_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/iam"
)

const trustConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign%OIDC%}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"%STS%}
`

const trustedRole = "arn:aws:iam::123456789012:role/R"

// assume asks an STS whose role has the plan's trust policy for a session, and gives
// the code of its refusal, or nothing.
func assume(t *testing.T, plan *iam.Plan, more string, claims map[string]any) string {
	t.Helper()
	issuer := standin.NewIssuer()
	defer issuer.Close()
	account := plan.Accounts[0]
	sts := standin.NewSTS(issuer.URL, "")
	defer sts.Close()
	sts.SetProvider(issuer.URL, append(account.Provider.ClientIDs, "countersign")...)
	policy := account.Roles[0].TrustPolicy
	if more != "" {
		policy.Statement = append(policy.Statement, []byte(more))
	}
	text, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	// The plan's issuer is on https, as IAM wants it; the stand-in plays it.
	trust := strings.ReplaceAll(string(text), "idp.example.com", strings.TrimPrefix(issuer.URL, "http://"))
	sts.SetTrustPolicy(trustedRole, trust)
	all := map[string]any{"sub": "alice"}
	for name, value := range claims {
		all[name] = value
	}
	response, err := http.PostForm(sts.URL, url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {trustedRole}, "RoleSessionName": {"alice"},
		"DurationSeconds": {"900"}, "WebIdentityToken": {issuer.Token(all)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(body), "<Code>")
	code, _, _ = strings.Cut(code, "</Code>")
	return code
}

func TestWhatTheTrustPolicyLetsIn(t *testing.T) {
	const exchange = ", exchange: {client: {id: sidecar}}"
	const legacy = `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity"}`
	tags := map[string]any{"principal_tags": map[string]any{"team": []string{"a"}}}
	for name, c := range map[string]struct {
		oidc, sts, more string
		denyDirect      bool
		claims          map[string]any
		want            string
	}{
		"the exchanged token":                      {exchange, "", "", false, map[string]any{"aud": "sts.amazonaws.com", "azp": "sidecar"}, ""},
		"the exchanged token without azp":          {exchange, "", "", false, map[string]any{"aud": "sts.amazonaws.com"}, ""},
		"the agent's token":                        {exchange, "", "", false, map[string]any{"aud": "countersign"}, "AccessDenied"},
		"that audience, got by the agent's client": {exchange, "", "", false, map[string]any{"aud": "sts.amazonaws.com", "azp": "agent"}, "InvalidIdentityToken"},
		"the agent's token, trusted elsewhere":     {exchange, "", legacy, false, map[string]any{"aud": "countersign"}, ""},
		"the same with --deny-direct":              {exchange, "", legacy, true, map[string]any{"aud": "countersign"}, "AccessDenied"},
		"the exchanged token with --deny-direct":   {exchange, "", legacy, true, map[string]any{"aud": "sts.amazonaws.com", "azp": "sidecar"}, ""},
		"the caller's token, no exchange":          {"", "", "", false, map[string]any{"aud": "countersign"}, ""},
		"its azp is not named":                     {"", "", "", false, map[string]any{"aud": "countersign", "azp": "web"}, "InvalidIdentityToken"},
		"its azp is named":                         {", authorizedParties: [web]", "", "", false, map[string]any{"aud": "countersign", "azp": "web"}, ""},
		"session tags that are not expected":       {"", "", "", false, map[string]any{"aud": "countersign", "https://aws.amazon.com/tags": tags}, "AccessDenied"},
		"session tags that are":                    {"", ", sessionTags: true", "", false, map[string]any{"aud": "countersign", "https://aws.amazon.com/tags": tags}, ""},
		"a source identity that is not":            {"", "", "", false, map[string]any{"aud": "countersign", "https://aws.amazon.com/source_identity": "a"}, "AccessDenied"},
		"a source identity that is":                {"", ", sessionTags: true", "", false, map[string]any{"aud": "countersign", "https://aws.amazon.com/source_identity": "a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("%OIDC%", c.oidc, "%STS%", c.sts).Replace(trustConfig)
			config, err := authconfig.Parse(authconfig.Files{authconfig.FileConfig: text})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := iam.NewPlan(config, iam.Options{DenyDirect: c.denyDirect})
			if err != nil {
				t.Fatal(err)
			}
			if got := assume(t, plan, c.more, c.claims); got != c.want {
				t.Errorf("STS says %q, want %q", got, c.want)
			}
		})
	}
}
