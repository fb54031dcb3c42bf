package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
)

func bearer(t *testing.T, issuer *standin.Issuer, edit func(*authconfig.OIDC)) *Bearer {
	t.Helper()
	config := authconfig.OIDC{Issuer: issuer.URL, Audiences: []string{"aud"}, ClockSkew: 30 * time.Second}
	if edit != nil {
		edit(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	verifier := NewVerifier(ctx, CallerRules(&config), &http.Client{Transport: &http.Transport{}})
	return NewBearer(verifier, config.RequiredScopes)
}

func newIssuer(t *testing.T) *standin.Issuer {
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	return issuer
}

func header(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func claims(more map[string]any) map[string]any {
	all := map[string]any{"sub": "alice", "aud": "aud"}
	for name, value := range more {
		all[name] = value
	}
	return all
}

func TestATokenThatIsForgottenForAnotherIsCounted(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	evicted := 0
	b.ObserveEvictions(func() { evicted++ })
	for n := range maxVerified - 1 {
		b.verified.Add(strconv.Itoa(n), &verifiedToken{})
	}
	for n, want := range []int{0, 1, 2} {
		if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(map[string]any{"n": n})))); err != nil {
			t.Fatal(err)
		}
		if evicted != want {
			t.Errorf("%d are forgotten after %d more", evicted, n+1)
		}
	}
}

func TestATokenGivesItsCaller(t *testing.T) {
	issuer := newIssuer(t)
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.ES256, jose.ES384} {
		issuer.AddKey(algorithm)
		b := bearer(t, issuer, nil)
		caller, err := b.Authenticate(t.Context(), header(issuer.Token(claims(map[string]any{
			"aud": []string{
				"x",
				"aud",
			},
			"scope":  "a b",
			"scp":    []string{"c"},
			"big":    9007199254740993,
			"float":  1.5,
			"groups": []string{"g"},
		}))))
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if caller.Subject != "alice" || caller.Issuer != issuer.URL || strings.Join(caller.Scopes, " ") != "a b c" {
			t.Errorf("%+v", caller)
		}
		if caller.Claims["big"] != int64(9007199254740993) || caller.Claims["float"] != 1.5 {
			t.Errorf("numbers %v %v", caller.Claims["big"], caller.Claims["float"])
		}
	}
}

func TestATokenNeverPrints(t *testing.T) {
	token := NewToken("secret")
	for _, text := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s", token, token, token, token), token.LogValue().String(), fmt.Sprintf("%+v", Caller{Token: token})} {
		if strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
}

func TestBadTokensAreNamed(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	now := time.Now()
	for name, c := range map[string]struct {
		header http.Header
		want   string
	}{
		"no header":           {http.Header{}, "no Authorization header"},
		"two headers":         {http.Header{"Authorization": {"Bearer a", "Bearer b"}}, "several"},
		"another scheme":      {http.Header{"Authorization": {"Basic abc"}}, "no bearer token"},
		"an empty token":      {http.Header{"Authorization": {"Bearer "}}, "no bearer token"},
		"not a JWT":           {header("a.b"), "not a JWT"},
		"bad Base64":          {header("!.!.!"), "not a JWT"},
		"far too long":        {header(strings.Repeat("a", MaxTokenBytes+1)), "longer than"},
		"expired":             {header(issuer.Token(claims(map[string]any{"exp": now.Add(-31 * time.Second).Unix()}))), "expired"},
		"no exp":              {header(issuer.Token(claims(map[string]any{"exp": nil}))), "no usable exp"},
		"an exp that is text": {header(issuer.Token(claims(map[string]any{"exp": "soon"}))), "no usable exp"},
		"not valid yet":       {header(issuer.Token(claims(map[string]any{"nbf": now.Add(time.Minute).Unix()}))), "nbf"},
		"no sub":              {header(issuer.Token(claims(map[string]any{"sub": nil}))), "no sub"},
		"another audience":    {header(issuer.Token(claims(map[string]any{"aud": "x"}))), "aud"},
		"another issuer":      {header(issuer.Token(claims(map[string]any{"iss": "https://x"}))), "iss"},
		"the algorithm none":  {header("eyJhbGciOiJub25lIn0." + strings.Split(issuer.Token(claims(nil)), ".")[1] + "."), "algorithm"},
		"a symmetric key":     {header("eyJhbGciOiJIUzI1NiJ9." + strings.Split(issuer.Token(claims(nil)), ".")[1] + ".AAAA"), "algorithm"},
		"a changed claim":     {header(changed(issuer.Token(claims(nil)))), "signature is wrong"},
		"PSS, unknown to STS": {header("eyJhbGciOiJQUzI1NiJ9." + strings.Split(issuer.Token(claims(nil)), ".")[1] + ".AAAA"), "algorithm"},
	} {
		var bad *TokenError
		if _, err := b.Authenticate(
			t.Context(),
			c.header,
		); !errors.As(err, &bad) ||
			!strings.Contains(bad.Description, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// changed puts another payload under a good signature.
func changed(token string) string {
	parts := strings.Split(token, ".")
	other := standin.NewIssuer()
	defer other.Close()
	said, _ := readUnverified(token)
	forged := other.Token(map[string]any{"iss": said.claims["iss"], "aud": "aud", "sub": "root"})
	return parts[0] + "." + strings.Split(forged, ".")[1] + "." + parts[2]
}

func TestClockSkewIsTheConfiguredOne(t *testing.T) {
	issuer := newIssuer(t)
	late := issuer.Token(claims(map[string]any{"exp": time.Now().Add(-20 * time.Second).Unix()}))
	if _, err := bearer(t, issuer, nil).Authenticate(t.Context(), header(late)); err != nil {
		t.Errorf("within 30 s: %v", err)
	}
	strict := bearer(t, issuer, func(c *authconfig.OIDC) { c.ClockSkew = 0 })
	if _, err := strict.Authenticate(t.Context(), header(late)); err == nil {
		t.Error("accepted without skew")
	}
}

func TestScopesAreRequired(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, func(c *authconfig.OIDC) { c.RequiredScopes = []string{"a", "b"} })
	var scope *ScopeError
	if _, err := b.Authenticate(
		t.Context(),
		header(issuer.Token(claims(map[string]any{"scope": "a"}))),
	); !errors.As(err, &scope) ||
		scope.Missing != "b" {
		t.Errorf("%v", err)
	}
	if _, err := b.Authenticate(
		t.Context(),
		header(issuer.Token(claims(map[string]any{"scope": "b a"}))),
	); err != nil {
		t.Errorf("%v", err)
	}
}

func TestAnUnreachableIssuerDelaysNobodyWhoWasVerified(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	known := header(issuer.Token(claims(nil)))
	if _, err := b.Authenticate(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	issuer.Faults.Set(standin.Fault{Latency: 30 * time.Second})
	issuer.AddKey(jose.RS256)
	unknown := header(issuer.Token(claims(map[string]any{"sub": "bob"})))
	waiting := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	go func() {
		_, err := b.Authenticate(ctx, unknown)
		waiting <- err
	}()
	begun := time.Now()
	if _, err := b.Authenticate(t.Context(), known); err != nil || time.Since(begun) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	if err := <-waiting; !errors.Is(err, ErrUnavailable) {
		t.Errorf("the others: %v", err)
	}
}

func TestAnIssuerThatIsDownFromTheStart(t *testing.T) {
	issuer := newIssuer(t)
	issuer.Faults.Set(standin.Fault{Status: 500})
	b := bearer(t, issuer, nil)
	token := header(issuer.Token(claims(nil)))
	var bad *TokenError
	if _, err := b.Authenticate(t.Context(), token); !errors.Is(err, ErrUnavailable) || errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}

func TestManyRequestsWithAnUnknownKeyFetchOnce(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	if _, err := b.Authenticate(t.Context(), header(issuer.Token(claims(nil)))); err != nil {
		t.Fatal(err)
	}
	before := issuer.KeyFetches.Load()
	issuer.AddKey(jose.ES256)
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			if _, err := b.Authenticate(
				t.Context(),
				header(issuer.Token(claims(map[string]any{"jti": i}))),
			); err != nil {
				t.Errorf("a new key: %v", err)
			}
		})
	}
	all.Wait()
	if fetched := issuer.KeyFetches.Load() - before; fetched != 1 {
		t.Errorf("%d fetches", fetched)
	}
}

func TestAVerifiedTokenEndsWithItsKey(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	token := header(issuer.Token(claims(nil)))
	if _, err := b.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	issuer.AddKey(jose.RS256)
	issuer.DropKeys()
	// The refresh that comes every five minutes.
	if err := b.verifier.keys.await(t.Context(), b.verifier.keys.begin()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(t.Context(), token); err == nil {
		t.Error("its key is gone and it is accepted")
	}
}

func TestKeysMustComeOverHTTPS(t *testing.T) {
	for location, ok := range map[string]bool{"https://x/keys": true, "http://127.0.0.1/keys": true, "http://x/keys": false, "": false, "file:///etc": false} {
		if err := CheckLocation("http://127.0.0.1", "jwks_uri", location); (err == nil) != ok {
			t.Errorf("%q: %v", location, err)
		}
		if err := CheckLocation(
			"https://idp.example.com",
			"jwks_uri",
			location,
		); (err == nil) != strings.HasPrefix(
			location,
			"https:",
		) {
			t.Errorf("%q for an issuer elsewhere: %v", location, err)
		}
	}
}

func TestTheServiceAccountTokenIsReadAgainWhenItRotates(t *testing.T) {
	issuer := newIssuer(t)
	path := filepath.Join(t.TempDir(), "token")
	write := func(name string) {
		token := issuer.Token(
			map[string]any{"sub": "system:serviceaccount:agents:" + name, "aud": "sts.amazonaws.com"},
		)
		if err := os.WriteFile(path+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	s := NewServiceAccount(path)
	if _, err := s.Authenticate(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a file: %v", err)
	}
	write("one")
	caller, err := s.Authenticate(t.Context(), header("ignored"))
	if err != nil || *caller.Workload != (Workload{"agents", "one"}) {
		t.Fatalf("%+v, %v", caller, err)
	}
	write("two")
	deadline := time.Now().Add(5 * time.Second)
	for caller.Workload.ServiceAccount != "two" {
		if time.Now().After(deadline) {
			t.Fatal("the rotated token is not read")
		}
		time.Sleep(50 * time.Millisecond)
		if caller, err = s.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(tokenFileCheck)
	if _, err := s.Authenticate(t.Context(), nil); err != nil {
		t.Errorf("a file that is gone for a moment: %v", err)
	}
}

func TestMetadataURLPutsTheWellKnownPathBeforeThePath(t *testing.T) {
	for resource, want := range map[string]string{
		"https://mcp.example.com/mcp": "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		"https://mcp.example.com":     "https://mcp.example.com/.well-known/oauth-protected-resource",
		"http://127.0.0.1:15380/":     "http://127.0.0.1:15380/.well-known/oauth-protected-resource",
	} {
		if got := MetadataURL(resource); got != want {
			t.Errorf("%s: %s", resource, got)
		}
	}
}

func TestAChallengeKeepsItsQuotes(t *testing.T) {
	_, challenge := Challenge(&TokenError{Description: "a \"b\"\r\nSet-Cookie: x"}, "https://x/\"y", nil)
	if strings.ContainsAny(challenge, "\r\n") || strings.Count(challenge, `"`) != 6 {
		t.Error(challenge)
	}
}

func FuzzReadUnverified(f *testing.F) {
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxLjVlOSwibiI6WzEsMl19.AAAA")
	f.Fuzz(func(_ *testing.T, token string) {
		if said, err := readUnverified(token); err == nil {
			_ = scopes(said.claims)
			_, _, _ = timeClaim(said.claims, "exp")
		}
	})
}

func TestAKeyThatIsNewRightAfterTheFirstFetchIsAskedForAtOnce(t *testing.T) {
	issuer := newIssuer(t)
	keys := newKeySet(issuer.URL, "", &http.Client{})
	if _, err := keys.verify(t.Context(), issuer.Token(claims(nil))); err != nil {
		t.Fatal(err)
	}
	issuer.AddKey(jose.ES256)
	if _, err := keys.verify(t.Context(), issuer.Token(claims(nil))); err != nil {
		t.Errorf("the first keys counted as an answer: %v", err)
	}
	fetched := issuer.KeyFetches.Load()
	issuer.AddKey(jose.ES256)
	if _, err := keys.verify(
		t.Context(),
		issuer.Token(claims(nil)),
	); err == nil ||
		issuer.KeyFetches.Load() != fetched {
		t.Errorf("a second unknown key within 10 s: %v, %d fetches", err, issuer.KeyFetches.Load()-fetched)
	}
}

func TestCallersDoNotWaitLongForAnIssuerThatIsBack(t *testing.T) {
	for name, fail := range map[string]func(*standin.Issuer, *keySet, string){
		"since before the first keys": func(issuer *standin.Issuer, _ *keySet, _ string) {
			issuer.Faults.Set(standin.Fault{Status: http.StatusBadGateway})
		},
		"while a key was new": func(issuer *standin.Issuer, keys *keySet, known string) {
			if _, err := keys.verify(t.Context(), known); err != nil {
				t.Fatal(err)
			}
			issuer.AddKey(jose.ES256)
			issuer.Faults.Set(standin.Fault{Status: http.StatusBadGateway})
		},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t)
			keys := newKeySet(issuer.URL, "", &http.Client{})
			fail(issuer, keys, issuer.Token(claims(nil)))
			token := issuer.Token(claims(nil))
			if _, err := keys.verify(t.Context(), token); err == nil {
				t.Fatal("verified without the key")
			}
			issuer.Faults.Set(standin.Fault{})
			begun := time.Now()
			for {
				_, err := keys.verify(t.Context(), token)
				if err == nil {
					break
				}
				if time.Since(begun) > 4*time.Second {
					t.Fatalf("after four seconds: %v", err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
}

func TestWhoIsRememberedHasTheClaimsOfHisToken(t *testing.T) {
	issuer := newIssuer(t)
	b := bearer(t, issuer, nil)
	token := header(issuer.Token(claims(map[string]any{"groups": []string{"a", "b"}, "n": 9007199254740993})))
	first, err := b.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if again.Claims != nil {
		t.Error("the claims are kept with the caller")
	}
	if got := again.WithClaims(); len(got.Claims) < 6 || !reflect.DeepEqual(got.Claims, first.Claims) ||
		got.Key() != first.Key() {
		t.Errorf("%v, and %v before", got.Claims, first.Claims)
	}
}
