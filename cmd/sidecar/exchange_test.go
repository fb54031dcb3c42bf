package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
)

// exchangeScene is an auth-config with an exchange at a stand-in issuer, and the secret
// that authenticates the client there.
func exchangeScene(t *testing.T, oidc string) (issuer *standin.Issuer, dir, credential string) {
	t.Helper()
	issuer = standin.NewIssuer()
	t.Cleanup(issuer.Close)
	issuer.AllowExchange(standin.ExchangeClient{ID: "c", Secret: "s3cret", Audiences: []string{"sts.amazonaws.com"}})
	dir = t.TempDir()
	text := strings.Replace(config("https://aws-mcp.us-east-1.api.aws/mcp", issuer.URL), "audience: aud", "audience: aud"+oidc, 1)
	if err := os.WriteFile(filepath.Join(dir, "auth-config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	credential = filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(credential, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return issuer, dir, credential
}

func TestExplainExchangesOrSaysWhatItWouldSend(t *testing.T) {
	const exchange = ", exchange: {client: {id: c}, scope: aws}"
	for name, c := range map[string]struct {
		oidc   string
		claims map[string]any
		flags  []string
		fault  standin.Fault
		want   []string
		code   int
	}{
		"without --exchange": {exchange, nil, nil, standin.Fault{}, []string{
			"Exchange  the token endpoint that http://", "client c (secret, basic)", "audience = sts.amazonaws.com", "scope = aws",
			"subject_token = [the caller's token]", "not sent: --exchange sends it",
		}, 0},
		"with it": {exchange, nil, []string{"--exchange"}, standin.Fault{}, []string{
			"caller's token", "exchanged token", `"sts.amazonaws.com"`, `azp`, "AWS       compares azp = c",
		}, 0},
		"an identity provider that refuses": {exchange, nil, []string{"--exchange"}, standin.Fault{Status: 400, Code: "invalid_grant"}, []string{
			"REFUSED, 401: ", "error invalid_grant",
		}, 4},
		"one that cannot answer": {exchange, nil, []string{"--exchange"}, standin.Fault{Status: 503}, []string{"REFUSED, 503: "}, 2},
		"a token that goes to STS itself": {"", map[string]any{"azp": "web"}, nil, standin.Fault{}, []string{
			"AWS       compares azp = web", `REFUSED, 500: AWS compares the token's azp, which is "web", and the auth-config knows "aud" only`,
		}, 4},
		"the same, where the client is named": {", authorizedParties: [web]", map[string]any{"azp": "web"}, nil, standin.Fault{}, []string{"AWS       compares azp = web"}, 0},
		"session tags": {"", map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{"a": []string{"b"}}}}, nil, standin.Fault{}, []string{
			"https://aws.amazon.com/tags: STS denies the role unless its trust policy allows sts:TagSession", "set awsSts.sessionTags",
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, dir, credential := exchangeScene(t, c.oidc)
			issuer.TokenFaults.Set(c.fault)
			claims := map[string]any{"sub": "alice", "aud": "aud"}
			for name, value := range c.claims {
				claims[name] = value
			}
			token := issuer.Token(claims)
			arguments := append([]string{"explain", "--config", dir, "--token", "-", "--exchange-credential", credential}, c.flags...)
			stdout, stderr, code := run(t, token, arguments...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is not in\n%s", want, stdout)
				}
			}
			if strings.Contains(stdout+stderr, "s3cret") || strings.Contains(stdout+stderr, token) {
				t.Error("the secret or the token is shown")
			}
		})
	}
}

func TestAnExchangeThatCouldNeverWorkIsRefusedAtStart(t *testing.T) {
	_, dir, credential := exchangeScene(t, ", exchange: {client: {id: c, authentication: privateKeyJWT}}")
	for name, c := range map[string]struct{ file, want string }{
		"no file":                    {filepath.Join(dir, "none"), "no such file"},
		"a secret in place of a key": {credential, "is no private key"},
	} {
		_, stderr, code := run(t, "", "proxy", "--config", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--exchange-credential", c.file)
		if code != 1 || !strings.Contains(stderr, "identity.oidc.exchange: --exchange-credential: ") || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "s3cret") {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

func TestTheStatusWarnsWhereNothingIsExchanged(t *testing.T) {
	s := start(t, "permit(principal, action, resource);")
	defer func() { _ = s.process.Stop() }()
	if status := statusOf(t, s.process); !strings.Contains(status, "an agent can assume these roles without the sidecar") {
		t.Error(status)
	}
}
