package proxy_test

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
)

const clientSecret = "the+client's secret/="

// exchangeBed exchanges callers' tokens at its issuer as the client countersign-sidecar.
func exchangeBed(t *testing.T, exchange string, o bedOptions) *bed {
	t.Helper()
	o.credential = t.TempDir() + "/credential"
	if err := os.WriteFile(o.credential, []byte(clientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.oidc += ", exchange: {client: {id: countersign-sidecar}" + exchange + "}"
	b := newBed(t, o)
	b.sts.SetProvider(b.issuer.URL, "sts.amazonaws.com", "countersign-sidecar")
	b.issuer.AllowExchange(standin.ExchangeClient{
		ID: "countersign-sidecar", Secret: clientSecret, Audiences: []string{"sts.amazonaws.com"},
	})
	return b
}

var callEcho = callTool(1, "echo", `{}`)

func TestOnlyTheSidecarGetsATokenThatSTSTakes(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	alice := b.token("alice", nil)
	if got := b.post(alice, callEcho); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if granted := b.sts.Granted(); len(granted) != 1 || granted[0].Subject != "alice" {
		t.Fatalf("%v", granted)
	}
	// The agent's own token opens nothing.
	direct, err := http.PostForm(b.sts.URL, map[string][]string{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {"arn:aws:iam::123456789012:role/Fallback"},
		"RoleSessionName": {"alice"}, "DurationSeconds": {"900"}, "WebIdentityToken": {alice},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = direct.Body.Close() }()
	if direct.StatusCode != http.StatusBadRequest {
		t.Errorf("STS answers the agent's own token with %d", direct.StatusCode)
	}
	if form := b.issuer.Exchanges()[0]; form.Get("audience") != "sts.amazonaws.com" || form.Get("subject_token") != alice ||
		form.Get("subject_token_type") != "urn:ietf:params:oauth:token-type:access_token" || form.Has("client_secret") {
		t.Errorf("%v", form)
	}
}

func TestATokenIsExchangedOnceForManyRequests(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	b.issuer.TokenFaults.Set(standin.Fault{Latency: 50 * time.Millisecond})
	alice := b.token("alice", nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := b.post(alice, callEcho); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if asked := len(b.issuer.Exchanges()); asked != 1 {
		t.Errorf("%d exchanges for one token", asked)
	}
	// STS is asked again, the identity provider is not: the token has life left.
	b.sts.ExpireAll()
	if got := b.post(alice, callEcho); got.status != http.StatusOK || len(b.sts.Granted()) != 2 || len(b.issuer.Exchanges()) != 1 {
		t.Errorf("%d, %d sessions, %d exchanges", got.status, len(b.sts.Granted()), len(b.issuer.Exchanges()))
	}
}

func TestEveryFailureOfTheExchangeHasItsAnswer(t *testing.T) {
	entra := `{"claims":"{\"access_token\":{\"polids\":{\"essential\":true}}}","error_description":"AADSTS50079"}`
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"polids":{"essential":true}}}`))
	for name, c := range map[string]struct {
		fault     standin.Fault
		status    int
		reason    string
		challenge []string
		retry     string
	}{
		"a token that is not taken":             {fault: standin.Fault{Status: 400, Code: "invalid_grant"}, status: 401, reason: "exchangeInvalidGrant", challenge: []string{`error="invalid_token"`}},
		"another login, with Entra's claims":    {fault: standin.Fault{Status: 400, Code: "interaction_required", Message: entra}, status: 401, reason: "exchangeInteractionRequired", challenge: []string{`error="insufficient_claims"`, `claims="` + encoded + `"`}},
		"another login, claims in Base64":       {fault: standin.Fault{Status: 400, Code: "consent_required", Message: `{"claims":"eyJhIjoxfQ=="}`}, status: 401, reason: "exchangeInteractionRequired", challenge: []string{`claims="eyJhIjoxfQ=="`}},
		"another login, claims of other text":   {fault: standin.Fault{Status: 400, Code: "interaction_required", Message: `{"claims":"SECRET text"}`}, status: 401, reason: "exchangeInteractionRequired", challenge: []string{`error="insufficient_claims"`}},
		"consent, as Entra says it":             {fault: standin.Fault{Status: 400, Code: "invalid_grant", Message: `{"suberror":"consent_required"}`}, status: 401, reason: "exchangeInteractionRequired"},
		"a caller who may not":                  {fault: standin.Fault{Status: 403, Code: "access_denied"}, status: 403, reason: "exchangeAccessDenied"},
		"a client that is not known":            {fault: standin.Fault{Status: 401, Code: "invalid_client"}, status: 500, reason: "identityProviderConfig"},
		"a client without the grant":            {fault: standin.Fault{Status: 400, Code: "unauthorized_client"}, status: 500, reason: "identityProviderConfig"},
		"an audience that is not known":         {fault: standin.Fault{Status: 400, Code: "invalid_target"}, status: 500, reason: "identityProviderConfig"},
		"a scope that is not known":             {fault: standin.Fault{Status: 400, Code: "invalid_scope"}, status: 500, reason: "identityProviderConfig"},
		"a code that nobody knows":              {fault: standin.Fault{Status: 400, Code: "SECRET"}, status: 500, reason: "identityProviderConfig"},
		"a redirect":                            {fault: standin.Fault{Status: 307, Message: "http://127.0.0.1:1/SECRET"}, status: 500, reason: "identityProviderConfig"},
		"too many requests":                     {fault: standin.Fault{Status: 429, Code: "invalid_request"}, status: 503, reason: "unavailable", retry: "1"},
		"not now":                               {fault: standin.Fault{Status: 400, Code: "temporarily_unavailable"}, status: 503, reason: "unavailable", retry: "1"},
		"a fault of the identity provider":      {fault: standin.Fault{Status: 502, Message: "<html>SECRET"}, status: 503, reason: "unavailable", retry: "1"},
		"garbage":                               {fault: standin.Fault{Status: 200, Message: "SECRET{"}, status: 503, reason: "unavailable", retry: "1"},
		"an answer without a token":             {fault: standin.Fault{Status: 200, Message: `{"token_type":"SECRET"}`}, status: 503, reason: "unavailable", retry: "1"},
		"an answer that is too large":           {fault: standin.Fault{Status: 200, Message: `{"x":"` + strings.Repeat("SECRET", 20_000) + `","access_token":"x"}`}, status: 503, reason: "unavailable", retry: "1"},
		"a token that is no JWT":                {fault: standin.Fault{Status: 200, Message: `{"access_token":"SECRET","token_type":"Bearer"}`}, status: 500, reason: "identityProviderConfig"},
		"a token that is longer than STS takes": {fault: standin.Fault{Status: 200, Message: `{"access_token":"` + strings.Repeat("x", 20_001) + `","token_type":"Bearer"}`}, status: 500, reason: "identityProviderConfig"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			captureLog(t, &log)
			b := exchangeBed(t, "", bedOptions{})
			b.issuer.TokenFaults.Set(c.fault)
			alice := b.token("alice", nil)
			got := b.post(alice, callEcho)
			record := b.audit.records(t)[0]
			if got.status != c.status || record["reason"] != c.reason && record["failure"] != c.reason {
				t.Fatalf("%d %s, record %v", got.status, got.body, record)
			}
			for _, part := range c.challenge {
				if !strings.Contains(got.header.Get("WWW-Authenticate"), part) {
					t.Errorf("the challenge lacks %s: %s", part, got.header.Get("WWW-Authenticate"))
				}
			}
			if got.header.Get("Retry-After") != c.retry {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			for _, seen := range []string{got.body, got.header.Get("WWW-Authenticate"), log.String()} {
				if strings.Contains(seen, "SECRET") || strings.Contains(seen, clientSecret) || strings.Contains(seen, alice) {
					t.Errorf("something of the answer, the token or the secret is in %s", seen)
				}
			}
			if b.sts.Asked() != 0 {
				t.Error("STS was asked")
			}
		})
	}
}

// captureLog has the program's log written to a buffer.
func captureLog(t *testing.T, to *bytes.Buffer) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lockedWriter{to: to}, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
}

type lockedWriter struct {
	mu sync.Mutex
	to *bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func TestALoginIsAskedForOncePerToken(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	b.issuer.TokenFaults.Set(standin.Fault{Status: 400, Code: "invalid_grant"})
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	var statuses []int
	for _, token := range []string{alice, alice, bob, alice, bob} {
		statuses = append(statuses, b.post(token, callEcho).status)
	}
	if want := []int{401, 403, 401, 403, 403}; !equal(statuses, want) {
		t.Errorf("%v, want %v", statuses, want)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTheExchangedTokenIsVerifiedLikeACallers(t *testing.T) {
	foreign := standin.NewIssuer()
	defer foreign.Close()
	for name, c := range map[string]struct {
		claims map[string]any
		want   int
	}{
		"as it should be":                     {map[string]any{}, 200},
		"without azp":                         {map[string]any{"azp": nil}, 200},
		"of another issuer":                   {map[string]any{"iss": foreign.URL}, 500},
		"for another audience":                {map[string]any{"aud": "other"}, 500},
		"the caller's own audience":           {map[string]any{"aud": audience}, 500},
		"of another client":                   {map[string]any{"azp": "agent"}, 500},
		"of a client named like the audience": {map[string]any{"azp": "sts.amazonaws.com"}, 500},
		"azp that is no text":                 {map[string]any{"azp": 7}, 500},
		"about somebody else":                 {map[string]any{"sub": "mallory"}, 500},
		"about nobody":                        {map[string]any{"sub": nil}, 500},
		"that has expired":                    {map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, 500},
		"that is not valid yet":               {map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}, 500},
		"one of whose audiences fits, azp":    {map[string]any{"aud": []string{"x", "sts.amazonaws.com"}}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			captureLog(t, &log)
			b := exchangeBed(t, "", bedOptions{})
			b.issuer.EditExchanged(func(claims map[string]any) {
				for name, value := range c.claims {
					claims[name] = value
				}
			})
			if got := b.post(b.token("alice", nil), callEcho); got.status != c.want {
				t.Fatalf("%d %s\n%s", got.status, got.body, log.String())
			}
			if c.want == 500 && b.sts.Asked() > 0 {
				t.Error("STS was asked")
			}
			if name == "of another client" && (!strings.Contains(log.String(), "agent") || !strings.Contains(log.String(), "countersign-sidecar")) {
				t.Errorf("the log lacks one of the two values: %s", log.String())
			}
		})
	}
}

func TestATokenThatSTSRefusesIsExchangedOnceMore(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	b.sts.Faults.Set(standin.Fault{Status: 400, Code: "ExpiredTokenException", Message: "expired", Times: 1})
	alice := b.token("alice", nil)
	if got := b.post(alice, callEcho); got.status != http.StatusOK || len(b.issuer.Exchanges()) != 2 {
		t.Errorf("%d %s, %d exchanges", got.status, got.body, len(b.issuer.Exchanges()))
	}
	// A login would not help where STS refuses each of them.
	b.sts.Faults.Set(standin.Fault{Status: 400, Code: "ExpiredTokenException", Message: "expired"})
	bob := b.token("bob", nil)
	got := b.post(bob, callEcho)
	if _, _, reason := got.rpcError(t); got.status != http.StatusInternalServerError || reason != "identityProviderConfig" || len(b.issuer.Exchanges()) != 4 {
		t.Errorf("%d %s, %d exchanges", got.status, got.body, len(b.issuer.Exchanges()))
	}
	// Not again for each call that follows.
	b.post(bob, callEcho)
	if len(b.issuer.Exchanges()) != 4 {
		t.Errorf("%d exchanges", len(b.issuer.Exchanges()))
	}
}

func TestWhatAWSWouldSeeAsTheAudienceIsCheckedBeforeSTS(t *testing.T) {
	for name, c := range map[string]struct {
		oidc   string
		claims map[string]any
		want   int
	}{
		"aud alone":                           {"", nil, 200},
		"azp is one of the audiences":         {"", map[string]any{"azp": audience}, 200},
		"azp is a client that is not named":   {"", map[string]any{"azp": "agent"}, 500},
		"azp is a client that is named":       {", authorizedParties: [agent]", map[string]any{"azp": "agent"}, 200},
		"azp is no text":                      {", authorizedParties: [agent]", map[string]any{"azp": []string{"agent"}}, 500},
		"azp is empty":                        {", authorizedParties: [agent]", map[string]any{"azp": ""}, 500},
		"a named client without the audience": {", authorizedParties: [agent]", map[string]any{"azp": "agent", "aud": "x"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			captureLog(t, &log)
			b := newBed(t, bedOptions{oidc: c.oidc})
			b.sts.SetProvider(b.issuer.URL, audience, "agent")
			got := b.post(b.token("alice", c.claims), callEcho)
			if got.status != c.want {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if c.want != 200 && b.sts.Asked() > 0 {
				t.Error("STS was asked")
			}
			if c.want == 500 && !strings.Contains(log.String(), "azp") {
				t.Errorf("the log does not say why: %s", log.String())
			}
		})
	}
}

func TestTheActorIsKnownFromEitherToken(t *testing.T) {
	const policies = `permit (principal, action, resource) when { context has actor && context.actor == "agent-7" };`
	act := map[string]any{"act": map[string]any{"sub": "agent-7"}}
	for name, c := range map[string]struct {
		callers, exchanged map[string]any
		want               int
		exchanges          int
	}{
		"the caller's token names it":     {act, nil, 200, 1},
		"the exchanged token names it":    {nil, act, 200, 1},
		"neither does":                    {nil, nil, 403, 1},
		"the caller's names another":      {map[string]any{"act": map[string]any{"sub": "x"}}, act, 403, 0},
		"the caller's names it in no sub": {map[string]any{"act": "agent-7"}, act, 403, 0},
		"a former actor is none":          {map[string]any{"act": map[string]any{"sub": "x", "act": map[string]any{"sub": "agent-7"}}}, nil, 403, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := exchangeBed(t, "", bedOptions{
				files: map[string]string{"p.cedar": policies}, spec: "\n    sessionNameClaim: act.sub\n  authorization: {denial: httpForbidden}",
			})
			b.issuer.EditExchanged(func(claims map[string]any) {
				for name, value := range c.exchanged {
					claims[name] = value
				}
			})
			alice := b.token("alice", c.callers)
			got := b.post(alice, callEcho)
			if got.status != c.want || len(b.issuer.Exchanges()) != c.exchanges {
				t.Fatalf("%d %s, %d exchanges", got.status, got.body, len(b.issuer.Exchanges()))
			}
			if c.want != http.StatusOK {
				return
			}
			if record := b.audit.records(t)[0]; record["actor"] != "agent-7" || record["caller"] != "alice" || record["sessionName"] != "agent-7" {
				t.Errorf("%v", record)
			}
			if granted := b.sts.Granted(); granted[0].Name != "agent-7" || granted[0].Subject != "alice" {
				t.Errorf("%+v", granted[0])
			}
		})
	}
}

func TestTheActorOfAnExchangeIsInTheAuditWherePoliciesDoNotAsk(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	b.issuer.EditExchanged(func(claims map[string]any) { claims["act"] = map[string]any{"sub": "agent-7"} })
	alice := b.token("alice", nil)
	b.post(alice, callEcho)
	b.post(alice, callEcho)
	for _, record := range b.audit.records(t) {
		if record["actor"] != "agent-7" {
			t.Errorf("%v", record)
		}
	}
}

func TestACallersTokenThatSTSTakesIsRefused(t *testing.T) {
	for name, claims := range map[string]map[string]any{
		"the agent logs in with the sidecar's client": {"azp": "countersign-sidecar"},
		"the audience is among others":                {"aud": []string{audience, "sts.amazonaws.com"}},
	} {
		b := exchangeBed(t, "", bedOptions{})
		got := b.post(b.token("alice", claims), callEcho)
		if _, _, reason := got.rpcError(t); got.status != http.StatusInternalServerError || reason != "identityProviderConfig" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if len(b.issuer.Exchanges()) > 0 || b.sts.Asked() > 0 {
			t.Errorf("%s: it is exchanged", name)
		}
	}
}

func TestATokenWithoutAudMayBeExchanged(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{oidc: ", audienceClaim: client_id"})
	if got := b.post(b.token("alice", map[string]any{"aud": nil, "client_id": audience}), callEcho); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := b.post(b.token("alice", map[string]any{"aud": audience, "client_id": "other"}), callEcho); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAReloadOfTheExchangeUsesNoOldCredential(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	b.sts.SetProvider(b.issuer.URL, "sts.amazonaws.com", "countersign-sidecar", "other.audience")
	alice := b.token("alice", nil)
	b.post(alice, callEcho)
	files := authconfig.Files{}
	for name, text := range b.files {
		files[name] = strings.Replace(text, "client: {id: countersign-sidecar}", "audience: other.audience, client: {id: countersign-sidecar}", 1)
	}
	if err := b.configs.Load(files); err != nil {
		t.Fatal(err)
	}
	if got := b.post(alice, callEcho); got.status != http.StatusInternalServerError || b.issuer.Exchanges()[1].Get("audience") != "other.audience" {
		t.Errorf("%d: %v", got.status, b.issuer.Exchanges())
	}
}

func TestWhatWasMountedForAnExchangeCannotChange(t *testing.T) {
	b := exchangeBed(t, "", bedOptions{})
	for name, replace := range map[string][2]string{
		"another way to authenticate": {"id: countersign-sidecar", "id: countersign-sidecar, authentication: privateKeyJWT"},
		"another Secret":              {"id: countersign-sidecar", "id: countersign-sidecar, secretRef: {name: a, key: b}"},
		"no exchange":                 {", exchange: {client: {id: countersign-sidecar}}", ""},
		"an actor":                    {"exchange: {", "exchange: {actor: serviceAccount, "},
		"another token endpoint":      {"exchange: {", "exchange: {tokenEndpoint: 'https://evil.example.com/', "},
		"another issuer":              {"exchange: {", "exchange: {issuer: 'https://evil.example.com', "},
		"another client":              {"id: countersign-sidecar", "id: other"},
	} {
		files := authconfig.Files{}
		for name, text := range b.files {
			files[name] = strings.Replace(text, replace[0], replace[1], 1)
		}
		if err := b.configs.Load(files); err == nil || !strings.Contains(err.Error(), "identity.oidc.exchange") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
