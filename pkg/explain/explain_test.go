package explain_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/explain"
	"github.com/countersign-io/countersign/pkg/policy"
)

func config(t *testing.T, issuer string) *compile.Compiled {
	t.Helper()
	c, err := compile.Files(authconfig.Files{"auth-config.yaml": fmt.Sprintf(`apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts:
    region: us-east-1
    roleMappings:
    - {claim: readers, roleArn: "arn:aws:iam::123456789012:role/Readers"}
    - {matcher: 'claims.level > 3', roleArn: "arn:aws:iam::123456789012:role/Level", priority: 1}
`, issuer), "p.cedar": `@id("us") permit(principal in MCP::Group::"readers", action == MCP::Action::"list", resource) when { context.input has region && context.input.region == "us" };`}, policy.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExplanations(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	c := config(t, issuer.URL)
	reader := map[string]any{"sub": "alice", "aud": "aud", "groups": []string{"readers"}, "level": 1}
	expired := map[string]any{"sub": "alice", "aud": "aud", "groups": []string{"readers"}, "exp": time.Now().Add(-time.Hour).Unix()}
	for name, q := range map[string]struct {
		token     string
		tool      string
		arguments string
		want      []string
	}{
		"a caller with a role": {issuer.Token(reader), "", "", []string{
			"Token     accepted", "Caller    alice (issuer " + issuer.URL, "[1] no match", "[0] SELECTED", "role/Readers", "Session   alice", `Principal MCP::User::"alice"`, `groups = ["readers"]`}},
		"an allowed tool":  {issuer.Token(reader), "list", `{"region":"us"}`, []string{"list allowed on aws: a policy permits it", "policy us"}},
		"a denied tool":    {issuer.Token(reader), "list", `{"region":"eu"}`, []string{"list DENIED on aws: no policy permits it"}},
		"a reserved tool":  {issuer.Token(reader), "CallTool", ``, []string{"DENIED on aws: the tool bears the name of a built-in action"}},
		"an expired token": {issuer.Token(expired), "", "", []string{"REFUSED, 401: the token has expired", "unverified", "SELECTED"}},
		"a token of another issuer": {issuer.Token(map[string]any{"sub": "alice", "aud": "aud", "iss": "https://other.example.com"}), "", "", []string{
			`REFUSED, 401: the token's iss is not the issuer that this resource trusts (it has "https://other.example.com", the auth-config "` + issuer.URL + `")`}},
		"a token that is no token":  {"abc", "", "", []string{"REFUSED, 401: the token is not a JWT"}},
		"a caller without any role": {issuer.Token(map[string]any{"sub": "bob", "aud": "aud"}), "", "", []string{"accepted", "Role      none, 403: no role mapping matches", "the matcher failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := explain.Explain(t.Context(), explain.Question{Config: c, Token: q.token, Tool: q.tool, Arguments: jsontext.Value(q.arguments), Client: http.DefaultClient})
			if err != nil {
				t.Fatal(err)
			}
			var text, document bytes.Buffer
			if err := answer.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			if err := answer.WriteJSON(&document); err != nil || !jsontext.Value(document.Bytes()).IsValid() {
				t.Errorf("%v: %s", err, document.String())
			}
			for _, want := range q.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("missing %q in\n%s", want, text.String())
				}
			}
			if strings.Contains(text.String()+document.String(), q.token) {
				t.Error("the explanation tells the token")
			}
		})
	}
}

func TestAnExpiredServiceAccountTokenIsExplainedAsAWorkload(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	c := config(t, issuer.URL)
	c.Identity.Source = authconfig.SourceServiceAccount
	token := issuer.Token(map[string]any{"sub": "system:serviceaccount:agents:demo", "groups": "readers", "exp": 1})
	answer, err := explain.Explain(t.Context(), explain.Question{Config: c, Token: token, Client: http.DefaultClient})
	if err != nil || answer.Accepted || answer.Principal != `MCP::Workload::"system:serviceaccount:agents:demo"` {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestClaimsStandForAToken(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	c := config(t, issuer.URL)
	for claims, want := range map[string]int{
		`{"sub":"alice","groups":["readers"]}`:               0,
		`{"sub":"alice","groups":["readers"],"aud":"aud"}`:   0,
		`{"sub":"alice","groups":["readers"],"aud":"other"}`: explain.ExitRefused,
		`{"sub":"alice"}`: explain.ExitRefused, // no role
	} {
		answer, err := explain.Explain(t.Context(), explain.Question{
			Config: c, Claims: jsontext.Value(claims), Tool: "list", Arguments: jsontext.Value(`{"region":"us"}`), Client: http.DefaultClient,
		})
		if err != nil || explain.ExitCode(answer) != want || !answer.Assumed || answer.Accepted {
			t.Errorf("%s: exit %d, %v: %+v", claims, explain.ExitCode(answer), err, answer)
		}
	}
	if answer, err := explain.Explain(t.Context(), explain.Question{
		Config: c, Claims: jsontext.Value(`{"sub":"bob","groups":["readers"]}`), Tool: "list", Arguments: jsontext.Value(`{"region":"eu"}`), Client: http.DefaultClient,
	}); err != nil || explain.ExitCode(answer) != explain.ExitDenied || len(answer.Decision.Changes) == 0 {
		t.Errorf("%v: %+v", err, answer)
	}
}

func TestBadQuestions(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	c := config(t, issuer.URL)
	token := issuer.Token(map[string]any{"sub": "alice", "aud": "aud"})
	for name, q := range map[string]explain.Question{
		"arguments that are no JSON": {Tool: "list", Arguments: jsontext.Value(`{`)},
		"arguments that are a list":  {Tool: "list", Arguments: jsontext.Value(`[]`)},
		"an unknown upstream":        {Tool: "list", Upstream: "x"},
	} {
		q.Config, q.Token, q.Client = c, token, http.DefaultClient
		if _, err := explain.Explain(t.Context(), q); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
