package iam_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/iam"
)

func TestWhatATrustPolicyOfIAMLacks(t *testing.T) {
	const (
		provider = `"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com"}`
		assume   = `"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",` + provider
		audience = `"Condition":{"StringEquals":{"idp.example.com:aud":"countersign"}}`
	)
	tests := map[string]struct {
		sts, document string
		missing       string
		any           bool
		also          []string
	}{
		"what the plan writes":                      {document: `{"Statement":[{` + assume + `,` + audience + `}]}`},
		"a statement that is no list":               {document: `{"Statement":{` + assume + `,` + audience + `}}`},
		"wildcards and another case":                {document: `{"Statement":{"Effect":"Allow","Action":["STS:assume*"],` + provider + `,"Condition":{"StringLike":{"IDP.example.com:aud":["counter*"]}}}}`},
		"a condition with a boolean":                {document: `{"Statement":{` + assume + `,"Condition":{"StringEquals":{"idp.example.com:aud":["countersign"]},"Bool":{"aws:SecureTransport":true}}}}`, also: []string{"aws:SecureTransport"}},
		"the provider of another account":           {document: strings.ReplaceAll(`{"Statement":{`+assume+`,`+audience+`}}`, "123456789012", "210987654321"), missing: "to arn:aws:iam::123456789012:oidc-provider/idp.example.com"},
		"a service, as roles of EC2 have":           {document: `{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}`, missing: "no statement allows sts:AssumeRoleWithWebIdentity"},
		"a Deny alone":                              {document: `{"Statement":{` + strings.Replace(assume, "Allow", "Deny", 1) + `}}`, missing: "no statement allows"},
		"another audience":                          {document: `{"Statement":{` + assume + `,` + strings.Replace(audience, `"countersign"`, `"sts.amazonaws.com"`, 1) + `}}`, missing: `no statement takes "countersign" as idp.example.com:aud`},
		"every audience":                            {document: `{"Statement":{` + assume + `}}`, any: true},
		"a subject beside the audience":             {document: `{"Statement":{` + assume + `,"Condition":{"StringEquals":{"idp.example.com:aud":"countersign","idp.example.com:sub":"alice"}}}}`, also: []string{"idp.example.com:sub"}},
		"no tags where the config has session tags": {sts: ", sessionTags: true", document: `{"Statement":{` + assume + `,` + audience + `}}`, missing: "no statement allows sts:TagSession"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			plan := planOf(t, strings.NewReplacer("%OIDC%", "", "%STS%", c.sts).Replace(trustConfig))
			trust, err := plan.Accounts[0].Roles[0].CompareTrust([]byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			missing := strings.Join(trust.Missing, "; ")
			if (c.missing == "") != (missing == "") || !strings.Contains(missing, c.missing) {
				t.Errorf("missing: %q", missing)
			}
			if trust.AnyAudience != c.any || !slices.Equal(trust.Also, c.also) {
				t.Errorf("got %+v", trust)
			}
		})
	}
}

func TestTheTrustPolicyOfAPlanLacksNothing(t *testing.T) {
	for _, sts := range []string{"", ", sessionTags: true"} {
		plan := planOf(t, strings.NewReplacer("%OIDC%", "", "%STS%", sts).Replace(trustConfig))
		role := plan.Accounts[0].Roles[0]
		document, err := json.Marshal(role.TrustPolicy)
		if err != nil {
			t.Fatal(err)
		}
		if trust, err := role.CompareTrust(document); err != nil || len(trust.Missing)+len(trust.Also) > 0 || trust.AnyAudience {
			t.Errorf("%q: %+v, %v", sts, trust, err)
		}
	}
}

func TestATrustPolicyThatIsNoneIsAnError(t *testing.T) {
	plan := planOf(t, plainTrust)
	for _, document := range []string{"", "[]", `{"Statement":5}`, `{"Statement":[{"Action":{}}]}`} {
		if _, err := plan.Accounts[0].Roles[0].CompareTrust([]byte(document)); err == nil {
			t.Errorf("%q is taken", document)
		}
	}
}

func FuzzTrustPolicy(f *testing.F) {
	f.Add([]byte(`{"Statement":[{"Effect":"Allow","Action":["sts:*"],"Principal":"*","Condition":{"Bool":{"a":[true,1]}}}]}`))
	role := planOf(f, plainTrust).Accounts[0].Roles[0]
	f.Fuzz(func(_ *testing.T, document []byte) { _, _ = role.CompareTrust(document) })
}

var plainTrust = strings.NewReplacer("%OIDC%", "", "%STS%", "").Replace(trustConfig)

func planOf(t testing.TB, text string) *iam.Plan {
	t.Helper()
	config, err := authconfig.Parse(authconfig.Files{"auth-config.yaml": text})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := iam.NewPlan(config, iam.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
