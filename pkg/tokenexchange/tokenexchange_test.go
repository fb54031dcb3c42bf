package tokenexchange

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
)

const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: "https://aws-mcp.us-east-1.api.aws/mcp"}]
  identity:
    source: bearer
    oidc: {issuer: %q, audience: countersign, exchange: %s}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
`

// bench is a client of a stand-in issuer, with alice's token.
type bench struct {
	issuer *standin.Issuer
	client *Client
	alice  *identity.Caller
	files  Files
}

func newBench(t *testing.T, exchange string) *bench {
	t.Helper()
	b := &bench{issuer: standin.NewIssuer()}
	t.Cleanup(b.issuer.Close)
	parsed, err := authconfig.Parse(authconfig.Files{"auth-config.yaml": fmt.Sprintf(config, b.issuer.URL, exchange)})
	if err != nil {
		t.Fatal(err)
	}
	oidc := &parsed.Identity.OIDC
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	client := &http.Client{Transport: &http.Transport{}}
	callers := identity.NewVerifier(ctx, identity.CallerRules(oidc), client)
	dir := t.TempDir()
	b.files = Files{Credential: filepath.Join(dir, "credential"), Actor: filepath.Join(dir, "actor")}
	b.client = New(oidc, identity.ExchangedVerifier(ctx, oidc, callers, client), client, b.files, nil)
	b.alice, err = callers.Verify(ctx, b.issuer.Token(map[string]any{"sub": "alice", "aud": "countersign"}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) exchange(t *testing.T) *Token {
	t.Helper()
	token, err := b.client.Exchange(t.Context(), b.alice)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("not an Error: %v", err)
	}
	return failed.Kind
}

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestTheClientProvesWhoItIs(t *testing.T) {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	sec1, _ := x509.MarshalECPrivateKey(ecKey)
	certificate := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, _ := x509.CreateCertificate(rand.Reader, certificate, certificate, rsaKey.Public(), rsaKey)
	jwk, _ := jose.JSONWebKey{Key: rsaKey, KeyID: "the-kid", Algorithm: "RS256"}.MarshalJSON()
	const byKey = `{client: {id: c, authentication: privateKeyJWT}}`
	for name, c := range map[string]struct {
		exchange   string
		credential []byte
		public     crypto.PublicKey
		header     map[string]bool
	}{
		"a secret in the header":               {`{client: {id: c}}`, []byte("s&c=r t\n"), nil, nil},
		"a secret in the form":                 {`{client: {id: c, secretMethod: post}}`, []byte("s&c=r t"), nil, nil},
		"an RSA key, PKCS #8":                  {byKey, pemOf(t, rsaKey), rsaKey.Public(), nil},
		"an RSA key, PKCS #1":                  {byKey, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), rsaKey.Public(), nil},
		"an EC key, SEC 1":                     {byKey, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), ecKey.Public(), nil},
		"an Ed25519 key":                       {byKey, pemOf(t, edKey), edKey.Public(), nil},
		"a key with its certificate, as Entra": {byKey, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pemOf(t, rsaKey)...), rsaKey.Public(), map[string]bool{"x5t": true, "x5t#S256": true}},
		"a JWK, whose kid is sent":             {byKey, jwk, rsaKey.Public(), map[string]bool{"kid": true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.exchange)
			b.write(t, b.files.Credential, c.credential)
			client := standin.ExchangeClient{ID: "c", Secret: "s&c=r t", Audiences: []string{"sts.amazonaws.com"}}
			if c.public != nil {
				client.Secret, client.Keys = "", []jose.JSONWebKey{{Key: c.public}}
			}
			b.issuer.AllowExchange(client)
			if token := b.exchange(t); token.Claims["sub"] != "alice" || token.Claims["azp"] != "c" {
				t.Errorf("%v", token.Claims)
			}
			form := b.issuer.Exchanges()[0]
			if inForm := form.Has("client_secret"); inForm != strings.Contains(c.exchange, "post") {
				t.Errorf("client_secret in the form: %v", inForm)
			}
			if c.public == nil {
				return
			}
			parsed, err := jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
			if err != nil {
				t.Fatal(err)
			}
			_, hasKid := parsed.Headers[0].ExtraHeaders["kid"]
			for _, header := range []string{"x5t", "x5t#S256", "kid"} {
				_, has := parsed.Headers[0].ExtraHeaders[jose.HeaderKey(header)]
				if header == "kid" {
					has = hasKid || parsed.Headers[0].KeyID != ""
				}
				if has != c.header[header] {
					t.Errorf("header %s: %v", header, has)
				}
			}
		})
	}
}

func TestTheServiceAccountIsTheClientAndTheActor(t *testing.T) {
	cluster := standin.NewIssuer()
	defer cluster.Close()
	b := newBench(t, `{actor: serviceAccount, authorizedParty: sidecar, client: {authentication: serviceAccount}}`)
	const subject = "system:serviceaccount:agents:default"
	b.issuer.AllowExchange(standin.ExchangeClient{
		ID: "sidecar", AssertionIssuer: cluster.URL, AssertionSubject: subject, AssertionClient: http.DefaultClient,
		Audiences: []string{"sts.amazonaws.com"},
	})
	podToken := func(claims map[string]any) []byte {
		all := map[string]any{"sub": subject, "aud": b.issuer.URL}
		for name, value := range claims {
			all[name] = value
		}
		return []byte(cluster.Token(all))
	}
	b.write(t, b.files.Actor, podToken(nil))
	for name, claims := range map[string]map[string]any{
		"of another service account": {"sub": "system:serviceaccount:other:default"},
		"for another audience":       {"aud": "https://kubernetes.default.svc"},
		"that has expired":           {"exp": time.Now().Add(-time.Hour).Unix()},
	} {
		b.client.failures.known.Purge()
		b.write(t, b.files.Credential, podToken(claims))
		if _, err := b.client.Exchange(t.Context(), b.alice); kindOf(t, err) != KindMisconfigured {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	// kubelet replaced it.
	b.client.failures.known.Purge()
	b.write(t, b.files.Credential, podToken(nil))
	token := b.exchange(t)
	if token.Actor != subject || b.client.Actor(b.alice) != subject {
		t.Errorf("actor %q", token.Actor)
	}
	form := b.issuer.Exchanges()[3]
	if form.Has("client_id") || form.Get("actor_token_type") != tokenTypeJWT {
		t.Errorf("%v", form)
	}
}

func TestTheRequestIsWhatTheConfigSays(t *testing.T) {
	for name, c := range map[string]struct {
		exchange string
		want     map[string]string
		lacks    []string
	}{
		"token exchange with everything": {
			`{subjectTokenType: idToken, requestedTokenType: jwt, audience: x, resource: "https://r/", scope: "a b", parameters: {connector_id: c}, client: {id: c}}`,
			map[string]string{
				"grant_type": grantTokenExchange, "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
				"requested_token_type": "urn:ietf:params:oauth:token-type:jwt", "audience": "x", "resource": "https://r/", "scope": "a b",
				"connector_id": "c", "subject_token": "T",
			}, []string{"assertion", "requested_token_use"},
		},
		"token exchange with little": {
			`{sendAudience: false, subjectTokenType: "urn:x:y", client: {id: c}}`,
			map[string]string{"grant_type": grantTokenExchange, "subject_token_type": "urn:x:y", "subject_token": "T"},
			[]string{"audience", "resource", "scope", "requested_token_type"},
		},
		"on behalf of, as Entra has it": {
			`{grant: jwtBearer, audience: "00000000-0000-0000-0000-000000000000", sendAudience: false, scope: "api://aws/.default", client: {id: c}}`,
			map[string]string{"grant_type": grantJWTBearer, "assertion": "T", "requested_token_use": "on_behalf_of", "scope": "api://aws/.default"},
			[]string{"subject_token", "subject_token_type", "audience"},
		},
	} {
		form := newBench(t, c.exchange).client.form("T")
		for field, want := range c.want {
			if got := form[field]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", name, field, got, want)
			}
		}
		for _, field := range c.lacks {
			if form.Has(field) {
				t.Errorf("%s: there is %s", name, field)
			}
		}
	}
}

func TestACredentialThatCannotWorkIsSaidAtStart(t *testing.T) {
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	public, _ := jose.JSONWebKey{Key: rsaKey.Public()}.MarshalJSON()
	byKey := &authconfig.ExchangeClient{ID: "c", Authentication: authconfig.ClientPrivateKeyJWT}
	bySecret := &authconfig.ExchangeClient{ID: "c", Authentication: authconfig.ClientSecret}
	for name, c := range map[string]struct {
		client *authconfig.ExchangeClient
		text   string
		want   string
	}{
		"empty":                      {bySecret, "\n", "is empty"},
		"too large":                  {bySecret, strings.Repeat("x", maxCredential+1), "is longer than 65536 bytes"},
		"a secret in place of a key": {byKey, "s3cret", "is no private key"},
		"a public key":               {byKey, string(public), "is no private key"},
		"a key that is too small":    {byKey, string(pemOf(t, small)), "fewer than 2048 bits"},
		"two keys":                   {byKey, string(pemOf(t, rsaKey)) + string(pemOf(t, rsaKey)), "more than one private key"},
	} {
		path := filepath.Join(t.TempDir(), "credential")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := CheckFiles(&authconfig.Exchange{Client: *c.client}, Files{Credential: path})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	good := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(good, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	acting := &authconfig.Exchange{Client: *bySecret, Actor: authconfig.ActorServiceAccount}
	for _, files := range []Files{{Credential: "/nonexistent"}, {Credential: good}, {Credential: good, Actor: "/nonexistent"}} {
		if err := CheckFiles(acting, files); err == nil {
			t.Errorf("%+v: a file is missing", files)
		}
	}
}

func TestWhatIsKeptIsBoundedAndForgotten(t *testing.T) {
	evicted := 0
	k := newKept(func() { evicted++ })
	callerOf := func(n int, expires time.Duration) *identity.Caller {
		return &identity.Caller{Token: identity.NewToken(fmt.Sprint(n)), Expiry: time.Now().Add(expires)}
	}
	tokenOf := func(size int, expires time.Duration, actor string) *Token {
		return &Token{raw: strings.Repeat("x", size), Actor: actor, Expiry: time.Now().Add(expires)}
	}
	for n := range 3_000 {
		k.put(callerOf(n, time.Hour), tokenOf(identity.MaxTokenBytes, time.Hour, ""))
		if k.bytes > maxKeptBytes {
			t.Fatalf("%d bytes are kept", k.bytes)
		}
	}
	if got := k.len(); got < 200 || got > maxKeptBytes/identity.MaxTokenBytes {
		t.Errorf("%d tokens", got)
	}
	if evicted != 3_000-k.len() {
		t.Errorf("%d are kept, and %d are said to have gone", k.len(), evicted)
	}
	// One without life left is not kept, and its actor is.
	short := callerOf(-1, time.Hour)
	k.put(short, tokenOf(100, leastLeft, "agent-7"))
	if k.get(short.Token.Digest()) != nil || k.actor(short.Token.Digest()) != "agent-7" {
		t.Error("a token with 30 s left is used, or its actor is not known")
	}
	// It goes with the caller's token, at the latest.
	brief := callerOf(-2, 200*time.Millisecond)
	k.put(brief, tokenOf(100, time.Hour, "agent-7"))
	if k.get(brief.Token.Digest()) == nil {
		t.Error("a good token is not kept")
	}
	for deadline := time.Now().Add(5 * time.Second); k.actor(brief.Token.Digest()) != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a token outlives its caller's")
		}
	}
	for n := range 3_000 {
		k.entries.Remove(callerOf(n, 0).Token.Digest())
	}
	k.entries.Remove(short.Token.Digest())
	if k.bytes != 0 || k.len() != 0 {
		t.Errorf("%d bytes for %d entries", k.bytes, k.len())
	}
}

func TestATokenIsNotShownWhenItIsPrinted(t *testing.T) {
	token := &Token{raw: "secret"}
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s", token, token, token, token), token.LogValue().String()} {
		if strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
}

func TestTheTokenEndpointIsDiscoveredAndMayMove(t *testing.T) {
	b := newBench(t, `{client: {id: c}}`)
	b.write(t, b.files.Credential, []byte("s"))
	b.issuer.AllowExchange(standin.ExchangeClient{ID: "c", Secret: "s", Audiences: []string{"sts.amazonaws.com"}})
	b.issuer.Faults.Set(standin.Fault{Status: 503})
	if _, err := b.client.Exchange(t.Context(), b.alice); kindOf(t, err) != KindUnavailable {
		t.Fatal(err)
	}
	b.issuer.Faults.Set(standin.Fault{})
	b.client.endpoint.pause = time.Time{}
	b.exchange(t)
	// While discovery hangs or fails the last one is used, and nobody waits.
	b.client.endpoint.discovered = time.Time{}
	b.issuer.Faults.Set(standin.Fault{Status: 503, Latency: time.Hour})
	if location, err := b.client.endpoint.url(t.Context()); err != nil || location != b.issuer.URL+"/token" {
		t.Errorf("%q, %v", location, err)
	}
}

func TestARefusalIsRememberedForTheToken(t *testing.T) {
	b := newBench(t, `{client: {id: c}}`)
	b.write(t, b.files.Credential, []byte("s"))
	for name, c := range map[string]struct {
		code string
		want int
	}{"one that lasts": {"access_denied", 1}, "one that passes": {"temporarily_unavailable", 10}} {
		asked := &counting{}
		b.client.observer = asked
		b.client.failures.known.Purge()
		b.issuer.TokenFaults.Set(standin.Fault{Status: 400, Code: c.code})
		for range 10 {
			if _, err := b.client.Exchange(t.Context(), b.alice); err == nil {
				t.Fatal("it is exchanged")
			}
		}
		if asked.count != c.want {
			t.Errorf("%s: the identity provider was asked %d times, want %d", name, asked.count, c.want)
		}
	}
}

type counting struct{ count int }

func (c *counting) TokenExchanged(string, time.Duration) { c.count++ }
func (*counting) Evicted(string)                         {}

func TestOneCallersTokensLeavePlacesToOthers(t *testing.T) {
	b := newBench(t, `{client: {id: c}}`)
	b.write(t, b.files.Credential, []byte("s"))
	b.issuer.AllowExchange(standin.ExchangeClient{ID: "c", Secret: "s", Audiences: []string{"sts.amazonaws.com"}})
	b.issuer.TokenFaults.Set(standin.Fault{Latency: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	callerOf := func(subject string, n int) *identity.Caller {
		raw := b.issuer.Token(map[string]any{"sub": subject, "aud": "countersign", "jti": n})
		return &identity.Caller{Issuer: b.issuer.URL, Subject: subject, Token: identity.NewToken(raw), Expiry: time.Now().Add(time.Hour), Claims: map[string]any{"sub": subject}}
	}
	for n := range 100 {
		go func() { _, _ = b.client.Exchange(ctx, callerOf("mallory", n)) }()
	}
	taken := func() int {
		places, _ := b.client.places.Taken()
		return places
	}
	for deadline := time.Now().Add(5 * time.Second); taken() < maxOfCaller; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is exchanged")
		}
	}
	b.issuer.TokenFaults.Set(standin.Fault{})
	if _, err := b.client.Exchange(t.Context(), callerOf("bob", 0)); err != nil {
		t.Error(err)
	}
	if n := taken(); n > maxOfCaller {
		t.Errorf("one caller has %d places", n)
	}
}

func TestASubjectTokenThatIsNoLongerTakenIsTheCallers(t *testing.T) {
	b := newBench(t, `{client: {id: c}}`)
	b.write(t, b.files.Credential, []byte("s"))
	b.issuer.AllowExchange(standin.ExchangeClient{ID: "c", Secret: "s", Audiences: []string{"sts.amazonaws.com"}})
	ended := standin.Fault{Status: 400, Code: "invalid_request"}
	b.issuer.TokenFaults.Set(ended)
	if _, err := b.client.Exchange(t.Context(), b.alice); kindOf(t, err) != KindMisconfigured {
		t.Errorf("before any exchange: %v", err)
	}
	b.client.failures.known.Purge()
	b.issuer.TokenFaults.Set(standin.Fault{})
	b.exchange(t)
	b.client.kept.purge()
	b.issuer.TokenFaults.Set(ended)
	if _, err := b.client.Exchange(t.Context(), b.alice); kindOf(t, err) != KindInvalidGrant {
		t.Errorf("after one: %v", err)
	}
}

func TestSubjectsThatOnlyRoundToTheSameAreNotTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		before, after any
		want          bool
	}{
		"texts": {"a", "a", true}, "numbers": {int64(7), int64(7), true}, "a number and its text": {int64(7), "7", false},
		"numbers too large to tell": {float64(1 << 63), float64(1 << 63), false}, "empty": {"", "", false}, "absent": {nil, nil, false},
		"lists": {[]any{"a"}, []any{"a"}, false}, "booleans": {true, true, false},
	} {
		if got := sameClaim(map[string]any{"x": c.before}, map[string]any{"x": c.after}, "x"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzRefusalsQuoteNothing(f *testing.F) {
	f.Add([]byte(`{"error":"x","claims":"{\"a\":1}","suberror":"consent_required"}`))
	f.Add([]byte(`{"claims":"YQ==","claims":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := refusalDetail(body)
		if len(d.claims) > 2*maxClaims || d.claims != "" && !isBase64(d.claims) {
			t.Errorf("claims %q", d.claims)
		}
	})
}
