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
	allow := func(condition string) string { return `{"Statement":{` + assume + `,"Condition":` + condition + `}}` }
	tests := map[string]struct {
		sts, document, missing, open string
		also                         []string
	}{
		"what the plan writes":                      {document: `{"Statement":[{` + assume + `,` + audience + `}]}`},
		"a statement that is no list":               {document: `{"Statement":{` + assume + `,` + audience + `}}`},
		"wildcards and another case":                {document: `{"Statement":{"Effect":"Allow","Action":["STS:assume*"],` + provider + `,"Condition":{"StringLike":{"IDP.example.com:aud":["countersign"]}}}}`},
		"a condition with a boolean":                {document: allow(`{"StringEquals":{"idp.example.com:aud":["countersign"]},"Bool":{"aws:SecureTransport":true}}`), also: []string{"aws:SecureTransport"}},
		"the provider of another account":           {document: strings.ReplaceAll(`{"Statement":{`+assume+`,`+audience+`}}`, "123456789012", "210987654321"), missing: "to arn:aws:iam::123456789012:oidc-provider/idp.example.com"},
		"a service, as roles of EC2 have":           {document: `{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}`, missing: "no statement allows sts:AssumeRoleWithWebIdentity"},
		"a Deny alone":                              {document: `{"Statement":{` + strings.Replace(assume, "Allow", "Deny", 1) + `}}`, missing: "no statement allows"},
		"another audience":                          {document: allow(`{"StringEquals":{"idp.example.com:aud":"sts.amazonaws.com"}}`), missing: `no statement takes "countersign" as idp.example.com:aud`, open: `takes the audience "sts.amazonaws.com" too`},
		"every audience":                            {document: `{"Statement":{` + assume + `}}`, open: "any audience"},
		"every audience, by a pattern":              {document: allow(`{"StringLike":{"idp.example.com:aud":"*"}}`), open: "any audience"},
		"a pattern where none is taken":             {document: allow(`{"StringEquals":{"idp.example.com:aud":"counter*"}}`), missing: `no statement takes "countersign"`, open: `takes the audience "counter*" too`},
		"an audience beside ours":                   {document: allow(`{"StringEquals":{"idp.example.com:aud":["countersign","https://kubernetes.default.svc"]}}`), open: `takes the audience "https://kubernetes.default.svc" too`},
		"conditions that exclude each other":        {document: allow(`{"StringEquals":{"idp.example.com:aud":"countersign"},"StringNotEquals":{"idp.example.com:aud":"countersign"}}`), missing: `no statement takes "countersign"`},
		"no audience at all":                        {document: allow(`{"StringEquals":{"idp.example.com:aud":"countersign"},"Null":{"idp.example.com:aud":"true"}}`), missing: `no statement takes "countersign"`},
		"an operator that is not known":             {document: allow(`{"StringEquals":{"idp.example.com:aud":"countersign"},"DateEquals":{"idp.example.com:aud":"x"}}`), also: []string{"idp.example.com:aud"}},
		"all audiences but one":                     {document: allow(`{"StringNotEquals":{"idp.example.com:aud":"other"}}`), open: "any audience"},
		"a subject beside the audience":             {document: allow(`{"StringEquals":{"idp.example.com:aud":"countersign","idp.example.com:sub":"alice"}}`), also: []string{"idp.example.com:sub"}},
		"a Deny of everything":                      {document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Deny","Principal":"*","Action":"*"}]}`, missing: `a Deny refuses "countersign"`},
		"a Deny of other audiences":                 {document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringNotEquals":{"idp.example.com:aud":"countersign"}}}]}`},
		"a Deny that depends":                       {document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Deny","Principal":"*","NotAction":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`, also: []string{"aws:SecureTransport"}},
		"everybody":                                 {document: `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole*"}}`, open: "for every principal"},
		"everybody, by the longer way":              {document: `{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:*"}}`, open: "for every principal"},
		"a Deny of all but some":                    {document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Deny","NotPrincipal":{"AWS":"1"},"Action":"*"}]}`, also: []string{"NotPrincipal"}},
		"all but some":                              {document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Allow","NotPrincipal":{"AWS":"1"},"Action":"sts:*"}]}`, open: "for every principal"},
		"all actions but one":                       {document: `{"Statement":{"Effect":"Allow",` + provider + `,"NotAction":"sts:AssumeRole",` + audience + `}}`},
		"no tags where the config has session tags": {sts: ", sessionTags: true", document: `{"Statement":{` + assume + `,` + audience + `}}`, missing: "no statement allows sts:TagSession"},
		"tags for a service alone":                  {sts: ", sessionTags: true", document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":["sts:TagSession","sts:SetSourceIdentity"]}]}`, missing: "no statement allows sts:TagSession to arn"},
		"tags for another audience":                 {sts: ", sessionTags: true", document: `{"Statement":[{` + assume + `,` + audience + `},{"Effect":"Allow",` + provider + `,"Action":["sts:TagSession","sts:SetSourceIdentity"],"Condition":{"StringEquals":{"idp.example.com:aud":"zzz"}}}]}`, missing: "for sts:TagSession"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			plan := planOf(t, strings.NewReplacer("%OIDC%", "", "%STS%", c.sts).Replace(trustConfig))
			trust, err := plan.Accounts[0].Roles[0].CompareTrust([]byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			for what, c := range map[string]struct{ got, want string }{
				"missing": {strings.Join(trust.Missing, "; "), c.missing}, "open": {strings.Join(trust.Open, "; "), c.open},
			} {
				if (c.want == "") != (c.got == "") || !strings.Contains(c.got, c.want) {
					t.Errorf("%s: %q, want %q", what, c.got, c.want)
				}
			}
			if !slices.Equal(trust.Also, c.also) {
				t.Errorf("also %q", trust.Also)
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
		if trust, err := role.CompareTrust(document); err != nil || len(trust.Missing)+len(trust.Also)+len(trust.Open) > 0 {
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
