package check_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/check"
)

// iamAPI plays the two services that are asked: STS's GetCallerIdentity and IAM's reading calls, in AWS's query protocol.
type iamAPI struct {
	caller, clientIDs, trust string
	longest                  int
	noProvider, noRole       bool
	// denied are actions that the user may not do.
	denied map[string]bool
}

const trustOK = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",` +
	`"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/%[1]s"},"Condition":{"StringEquals":{"%[1]s:aud":"aud"}}}]}`

func (a *iamAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	action := r.PostForm.Get("Action")
	fail := func(status int, code string) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>secret detail</Message></Error></ErrorResponse>`, code)
	}
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "AKIAUSER"):
		fail(403, "InvalidClientTokenId")
	case a.denied[action]:
		fail(403, "AccessDenied")
	case action == "GetCallerIdentity":
		_, _ = fmt.Fprintf(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, a.caller)
	case action == "GetOpenIDConnectProvider" && !a.noProvider:
		_, _ = fmt.Fprintf(w, `<GetOpenIDConnectProviderResponse><GetOpenIDConnectProviderResult><ClientIDList><member>%s</member></ClientIDList></GetOpenIDConnectProviderResult></GetOpenIDConnectProviderResponse>`, a.clientIDs)
	case action == "GetRole" && !a.noRole:
		_, _ = fmt.Fprintf(w, `<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::123456789012:role/%s</Arn><MaxSessionDuration>%d</MaxSessionDuration><AssumeRolePolicyDocument>%s</AssumeRolePolicyDocument></Role></GetRoleResult></GetRoleResponse>`,
			r.PostForm.Get("RoleName"), a.longest, url.QueryEscape(a.trust))
	default:
		fail(404, "NoSuchEntity")
	}
}

func TestWhatIAMHoldsIsComparedWithTheAuthConfig(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt        func(a *iamAPI)
		state          check.State
		detail, advice string
	}{
		"all is well":                      {func(*iamAPI) {}, check.OK, "role/R trusts the issuer and the audience", ""},
		"the provider is not there":        {func(a *iamAPI) { a.noProvider = true }, check.Fail, "IAM does not have the OIDC provider arn:aws:iam::123456789012:oidc-provider/", "kubectl countersign iam"},
		"the provider lacks the client id": {func(a *iamAPI) { a.clientIDs = "other" }, check.Fail, "lacks the client ids aud", "kubectl countersign iam"},
		"the role is not there":            {func(a *iamAPI) { a.noRole = true }, check.Fail, "IAM does not have the role arn:aws:iam::123456789012:role/R", "kubectl countersign iam"},
		"the role trusts another provider": {func(a *iamAPI) { a.trust = strings.ReplaceAll(a.trust, "oidc-provider/", "oidc-provider/x") }, check.Fail, "no statement allows sts:AssumeRoleWithWebIdentity to", "kubectl countersign iam"},
		"the role takes another audience":  {func(a *iamAPI) { a.trust = strings.Replace(a.trust, `:aud":"aud"`, `:aud":"sts.amazonaws.com"`, 1) }, check.Fail, `no statement takes "aud"`, "kubectl countersign iam"},
		"the role takes every audience":    {func(a *iamAPI) { a.trust = a.trust[:strings.Index(a.trust, `,"Condition"`)] + "}]}" }, check.Warn, "for any audience", "past the sidecar"},
		"the role's sessions are shorter":  {func(a *iamAPI) { a.longest = 1800 }, check.Fail, "last 1800 s at most", "max-session-duration"},
		"the user may not read IAM":        {func(a *iamAPI) { a.denied = map[string]bool{"GetRole": true} }, check.Unknown, "the role arn:aws:iam::123456789012:role/R: AccessDenied", "iam:GetRole"},
		"AWS does not know the user":       {func(a *iamAPI) { a.denied = map[string]bool{"GetCallerIdentity": true} }, check.Unknown, "AWS does not take your credentials: AccessDenied", ""},
		"the user is of another account":   {func(a *iamAPI) { a.caller = "210987654321" }, check.Unknown, "account 123456789012: your AWS credentials are of 210987654321", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			// IAM takes issuers on https only; nobody asks this one here.
			const issuer = "127.0.0.1:1/idp"
			w.replace(w.issuer.URL, "https://"+issuer)
			api := &iamAPI{caller: "123456789012", clientIDs: "aud", longest: 3600, trust: fmt.Sprintf(trustOK, issuer)}
			c.breakIt(api)
			server := httptest.NewServer(api)
			defer server.Close()
			wantFact(t, w.lookWith(t, server.URL), c.state, c.detail, c.advice)
		})
	}
}

// lookWith is look for a user with AWS credentials.
func (w *world) lookWith(t *testing.T, endpoint string) *check.Report {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAUSER", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_IAM": endpoint, "AWS_ENDPOINT_URL_STS": endpoint, "AWS_CONFIG_FILE": "/nonexistent",
		"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	credentials, err := check.AWSCredentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w.lookAs(t, &credentials)
}

func TestWithoutAWSCredentialsIAMIsNotAsked(t *testing.T) {
	noCredentials(t)
	if _, err := check.AWSCredentials(t.Context()); !errors.Is(err, check.ErrNoAWSCredentials) {
		t.Errorf("got %v", err)
	}
	wantFact(t, newWorld(t).look(t), check.Unknown, "with AWS credentials of yours", "")
}

func noCredentials(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

func TestCredentialsThatCannotBeUsedAreExplained(t *testing.T) {
	for name, c := range map[string]struct{ variable, value, want string }{
		"a profile that is not there": {"AWS_PROFILE", "ops", "ops"},
		"half of a key":               {"AWS_ACCESS_KEY_ID", "AKIAUSER", "AWS_SECRET_ACCESS_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			noCredentials(t)
			t.Setenv(c.variable, c.value)
			if _, err := check.AWSCredentials(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func wantFact(t *testing.T, r *check.Report, state check.State, detail, advice string) {
	t.Helper()
	for _, f := range r.Facts {
		if strings.Contains(f.Detail, "secret detail") {
			t.Errorf("AWS's message is repeated: %s", f.Detail)
		}
		if f.State == state && strings.Contains(f.Detail, detail) && strings.Contains(f.Advice, advice) {
			return
		}
	}
	t.Errorf("nothing %s with %q and the advice %q in %+v", state, detail, advice, r.Facts)
}
