package identity

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
)

func TestATokenHasOneSpelling(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	// With a length that leaves unused bits in the last character.
	var parts []string
	for pad := ""; len(parts) == 0 || len(parts[1])%4 == 0; pad += "x" {
		parts = strings.Split(issuer.Token(claims(map[string]any{"pad": pad})), ".")
	}
	if _, err := b.Authenticate(t.Context(), header(strings.Join(parts, "."))); err != nil {
		t.Fatal(err)
	}
	other := func(part string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		at := strings.IndexByte(alphabet, part[len(part)-1])
		return part[:len(part)-1] + alphabet[at+1:at+2]
	}
	for name, token := range map[string]string{
		"padding":                      parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"padding in the middle":        parts[0] + "." + parts[1] + strings.Repeat("=", 4-len(parts[1])%4) + "." + parts[2],
		"unused bits":                  parts[0] + "." + other(parts[1]) + "." + parts[2],
		"unused bits of the signature": parts[0] + "." + parts[1] + "." + other(parts[2]),
		"the standard alphabet": parts[0] + "." + strings.ReplaceAll(parts[1], "_", "/") + "." + strings.Map(func(c rune) rune {
			return map[rune]rune{'_': '/', '-': '+'}[c]
		}, "_-"),
	} {
		var bad *TokenError
		if _, err := b.Authenticate(t.Context(), header(token)); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzSpelling: what is read decodes to what was written, in one way only.
func FuzzSpelling(f *testing.F) {
	f.Add("eyJhIjoxfQ")
	f.Add("eyJhIjoxfR==")
	f.Fuzz(func(t *testing.T, part string) {
		text, err := decodePart(part)
		if err == nil && base64.RawURLEncoding.EncodeToString(text) != part {
			t.Fatalf("%q is another spelling of %q", part, text)
		}
	})
}

func TestTokensAsLongAsSTSTakesThem(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	token := issuer.Token(claims(map[string]any{"pad": strings.Repeat("x", 14_300)}))
	if len(token) < 19_000 || len(token) > MaxTokenBytes {
		t.Fatalf("the test's token has %d bytes", len(token))
	}
	if _, err := b.Authenticate(t.Context(), header(token)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsOddBesideAKeyIsPassedOver(t *testing.T) {
	issuer := standin.NewIssuerAt("")
	public := issuer.PublicKeys()[0]
	good, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, odd := range map[string]string{
		"a certificate that is none":    `"x5c":[""]`,
		"a certificate that is broken":  `"x5c":["MIIBAA=="]`,
		"a curve of an RSA key":         `"crv":""`,
		"a thumbprint that is none":     `"x5t":"!"`,
		"a URL of certificates":         `"x5u":"not a url"`,
		"members of the future":         `"key_ops":7,"ext":"x"`,
		"a private part that is no key": `"d":"!"`,
	} {
		t.Run(name, func(t *testing.T) {
			document := `{"keys":[{"kty":"oct","k":"x"},{"kty":"OKP","kty":"OKP"},{"kty":"RSA","n":"\ud800"},{"kty":"` + "\xff" + `"},` + string(good[:len(good)-1]) + "," + odd + `}]}`
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }))
			defer server.Close()
			b := bearer(t, issuer, func(c *authconfig.OIDC) { c.Issuer, c.JWKSURL = "https://idp.example.com", server.URL })
			if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(map[string]any{"iss": "https://idp.example.com"})))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestANewKeyIsWaitedForBehindAForgedOne(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(nil)))); err != nil {
		t.Fatal(err)
	}
	forger := standin.NewIssuerAt(issuer.URL)
	forger.AddKey(jose.ES256)
	forger.AddKey(jose.ES256)
	var bad *TokenError
	if _, err := b.Authenticate(t.Context(), header(forger.Token(claims(nil)))); !errors.As(err, &bad) {
		t.Fatalf("the first forged one: %v", err)
	}
	// The issuer rotates a moment later; the next fetch is 3 s away.
	issuer.AddKey(jose.ES256)
	b.verifier.keys.mu.Lock()
	b.verifier.keys.demanded = time.Now().Add(3*time.Second - unknownKeyPause)
	b.verifier.keys.mu.Unlock()
	begun := time.Now()
	if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(map[string]any{"jti": 1})))); err != nil || time.Since(begun) < 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	// And where it is further away than anybody waits: come back later.
	forger.AddKey(jose.ES256)
	begun = time.Now()
	if _, err := b.Authenticate(t.Context(), header(forger.Token(claims(map[string]any{"jti": 2})))); !errors.Is(err, ErrUnavailable) || time.Since(begun) > unknownKeyWait+time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
}

func TestClaimsThatNobodyReadsRefuseNoToken(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	for name, odd := range map[string]map[string]any{
		"a claim left out, without a source": {"_claim_names": map[string]any{"groups": "src1"}},
		"names of claims that are a string":  {"_claim_names": "x"},
		"a claim left out of nowhere":        {"_claim_names": map[string]any{"groups": nil}},
		"a source that is a string":          {"_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": "x"}},
		"a nonce that is a number":           {"nonce": 5},
		"a hash that is a number":            {"at_hash": 5},
	} {
		if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(odd)))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneOfSeveralAudiencesIsEnough(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, func(c *authconfig.OIDC) { c.Audiences = []string{"first", "second"} })
	for audience, ok := range map[any]bool{"first": true, "second": true, "third": false} {
		_, err := b.Authenticate(t.Context(), header(issuer.Token(claims(map[string]any{"aud": audience}))))
		if (err == nil) != ok {
			t.Errorf("%v: %v", audience, err)
		}
	}
}

func TestWhatATokenLacksIsSaidAsItIs(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	for name, c := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"a sub that is a number":  {map[string]any{"sub": 7}, "sub is a number"},
		"a sub that is a list":    {map[string]any{"sub": []string{"a"}}, "sub is not a string"},
		"an empty sub":            {map[string]any{"sub": ""}, "sub is empty"},
		"no audience, as Cognito": {map[string]any{"aud": nil, "client_id": "aud"}, "the token has no aud, and AWS STS takes no token without one"},
	} {
		var bad *TokenError
		if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(c.claims)))); !errors.As(err, &bad) || !strings.Contains(bad.Description, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":[""]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, ok := parseKey(jsontext.Value(text))
		if !ok {
			return
		}
		if _, err := printOf(&key); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	})
}
