package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
)

var token = identity.NewToken

func caller(raw string) *identity.Caller { return &identity.Caller{Token: token(raw)} }

// own shows STS the caller's own token.
type own struct{}

func (own) WebIdentityToken(_ context.Context, c *identity.Caller) (WebIdentityToken, error) {
	return c.Token, nil
}

func (own) TokenRefused(*identity.Caller, WebIdentityToken) bool { return false }

// testSource is what the requests of a test get credentials from.
type testSource struct {
	own
	*fakeSTS
}

func from(sts *fakeSTS) Source { return testSource{fakeSTS: sts} }

// fakeSTS counts exchanges and does what a test wants.
type fakeSTS struct {
	count atomic.Int64
	next  func(n int64) (aws.Credentials, error)
}

func (f *fakeSTS) Exchange(context.Context, string, *RoleSession) (aws.Credentials, error) {
	return f.next(f.count.Add(1))
}

type results struct {
	mu  sync.Mutex
	all []string
}

func (r *results) Exchanged(result string, _ time.Duration, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

func (*results) Evicted(string) {}

// clock is the time of a test.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_000_000, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func testCache(next func(n int64) (aws.Credentials, error)) (*Cache, *fakeSTS, *clock) {
	sts, c := &fakeSTS{next: next}, &clock{}
	cache := NewCache(&results{})
	cache.now = c.now
	return cache, sts, c
}

func credential(id string, expires time.Time) aws.Credentials {
	return aws.Credentials{AccessKeyID: id, SecretAccessKey: "s", SessionToken: "t", Expires: expires, CanExpire: true}
}

var session = &RoleSession{Name: "alice", Duration: time.Hour, Region: "us-east-1"}

func TestManyWhoAskAtOnceShareOneExchange(t *testing.T) {
	release := make(chan struct{})
	cache, sts, c := testCache(nil)
	sts.next = func(int64) (aws.Credentials, error) {
		<-release
		return credential("A", c.now().Add(time.Hour)), nil
	}
	key := KeyOf(token("t"), session)
	// The first who asks goes away at once; the exchange goes on.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cache.Get(gone, from(sts), key, caller("t"), session); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); err != nil || got.AccessKeyID != "A" {
				t.Errorf("%v, %v", got.AccessKeyID, err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(release)
	all.Wait()
	if sts.count.Load() != 1 {
		t.Errorf("%d exchanges", sts.count.Load())
	}
}

func TestACredentialIsRenewedAheadOfItsEnd(t *testing.T) {
	cache, sts, c := testCache(nil)
	sts.next = func(n int64) (aws.Credentials, error) {
		return credential(string(rune('A'+n-1)), c.now().Add(time.Hour)), nil
	}
	key := KeyOf(token("t"), session)
	get := func() string {
		got, err := cache.Get(t.Context(), from(sts), key, caller("t"), session)
		if err != nil {
			t.Fatal(err)
		}
		return got.AccessKeyID
	}
	if get() != "A" {
		t.Fatal("first")
	}
	c.advance(54 * time.Minute)
	if get() != "A" || sts.count.Load() != 1 {
		t.Error("renewed too early")
	}
	c.advance(2 * time.Minute)
	if get() != "A" {
		t.Error("a renewal in the background was waited for")
	}
	deadline := time.Now().Add(5 * time.Second)
	for get() != "B" {
		if time.Now().After(deadline) {
			t.Fatal("not renewed in the background")
		}
		time.Sleep(time.Millisecond)
	}
	if sts.count.Load() != 2 {
		t.Errorf("%d exchanges", sts.count.Load())
	}
}

func TestARenewalThatFailsLeavesTheCredentialInUse(t *testing.T) {
	cache, sts, c := testCache(nil)
	sts.next = func(n int64) (aws.Credentials, error) {
		if n > 1 {
			return aws.Credentials{}, &Error{Kind: KindUnavailable, cause: errors.New("x")}
		}
		return credential("A", c.now().Add(time.Hour)), nil
	}
	key := KeyOf(token("t"), session)
	for _, wait := range []time.Duration{0, 56 * time.Minute, time.Second, time.Second} {
		c.advance(wait)
		if got, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); err != nil || got.AccessKeyID != "A" {
			t.Errorf("%v, %v", got.AccessKeyID, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if sts.count.Load() != 2 {
		t.Errorf("%d exchanges; a failed renewal was repeated at once", sts.count.Load())
	}
	c.advance(4 * time.Minute)
	if _, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); err == nil {
		t.Error("an expired credential is in use")
	}
	asked := sts.count.Load()
	c.advance(time.Millisecond)
	if _, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); err == nil || sts.count.Load() != asked+1 {
		t.Error("an STS that was throttling is not asked again")
	}
}

func TestRefusalsAreRememberedAndThrottlingIsNot(t *testing.T) {
	for kind, want := range map[Kind]int64{KindAccessDenied: 1, KindInvalidToken: 1, KindUnavailable: 3, KindOther: 3} {
		cache, sts, c := testCache(func(int64) (aws.Credentials, error) {
			return aws.Credentials{}, &Error{Kind: kind, cause: errors.New("x")}
		})
		key := KeyOf(token("t"), session)
		for range 3 {
			c.advance(time.Millisecond)
			var failed *Error
			if _, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); !errors.As(err, &failed) || failed.Kind != kind {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if sts.count.Load() != want {
			t.Errorf("%s: %d exchanges, want %d", kind, sts.count.Load(), want)
		}
		c.advance(5 * time.Second)
		cache.Get(t.Context(), from(sts), key, caller("t"), session)
		if sts.count.Load() != want+1 {
			t.Errorf("%s: still remembered after 5 s", kind)
		}
	}
}

func TestARefusedCredentialIsReplacedOnceIn30Seconds(t *testing.T) {
	cache, sts, c := testCache(nil)
	sts.next = func(n int64) (aws.Credentials, error) {
		return credential(string(rune('A'+n-1)), c.now().Add(time.Hour)), nil
	}
	key := KeyOf(token("t"), session)
	first, _ := cache.Get(t.Context(), from(sts), key, caller("t"), session)
	second, err := cache.Renew(t.Context(), from(sts), key, caller("t"), session, first)
	if err != nil || second.AccessKeyID != "B" {
		t.Fatalf("%v, %v", second.AccessKeyID, err)
	}
	// Somebody else was refused the old one too.
	if got, err := cache.Renew(t.Context(), from(sts), key, caller("t"), session, first); err != nil || got.AccessKeyID != "B" {
		t.Errorf("%v, %v", got.AccessKeyID, err)
	}
	if _, err := cache.Renew(t.Context(), from(sts), key, caller("t"), session, second); !errors.Is(err, ErrRenewedRecently) {
		t.Errorf("%v", err)
	}
	c.advance(31 * time.Second)
	if got, err := cache.Renew(t.Context(), from(sts), key, caller("t"), session, second); err != nil || got.AccessKeyID != "C" {
		t.Errorf("%v, %v", got.AccessKeyID, err)
	}
	if sts.count.Load() != 3 {
		t.Errorf("%d exchanges", sts.count.Load())
	}
}

func TestARenewalThatJoinsAFailingRefreshGivesNotTheRefusedCredential(t *testing.T) {
	release := make(chan struct{})
	cache, sts, c := testCache(nil)
	sts.next = func(n int64) (aws.Credentials, error) {
		if n == 1 {
			return credential("A", c.now().Add(time.Hour)), nil
		}
		<-release
		return aws.Credentials{}, &Error{Kind: KindUnavailable, cause: errors.New("x")}
	}
	key := KeyOf(token("t"), session)
	first, _ := cache.Get(t.Context(), from(sts), key, caller("t"), session)
	c.advance(56 * time.Minute)
	if _, err := cache.Get(t.Context(), from(sts), key, caller("t"), session); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if got, err := cache.Renew(t.Context(), from(sts), key, caller("t"), session, first); err == nil {
		t.Errorf("%v", got.AccessKeyID)
	}
}

func TestEveryInputMakesAnotherKey(t *testing.T) {
	role, _ := authconfig.ParseRoleARN("arn:aws:iam::123456789012:role/R")
	seen := map[Key]string{}
	for name, c := range map[string]struct {
		token   string
		session RoleSession
	}{
		"nothing":     {"t", RoleSession{}},
		"token":       {"u", RoleSession{}},
		"role":        {"t", RoleSession{Role: role}},
		"name":        {"t", RoleSession{Name: "a"}},
		"duration":    {"t", RoleSession{Duration: time.Hour}},
		"policy":      {"t", RoleSession{Policy: "a"}},
		"policy ARN":  {"t", RoleSession{PolicyARNs: []string{"a"}}},
		"policy ARNs": {"t", RoleSession{PolicyARNs: []string{"a", "b"}}},
		"joined ARNs": {"t", RoleSession{PolicyARNs: []string{"ab"}}},
		"region":      {"t", RoleSession{Region: "a"}},
		"exchange":    {"t", RoleSession{Exchange: "a"}},
	} {
		key := KeyOf(token(c.token), &c.session)
		if other, taken := seen[key]; taken {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[key] = name
	}
}

func TestSessionPolicy(t *testing.T) {
	const own = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`
	arns := []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
	for name, c := range map[string]struct {
		guardrail    authconfig.Guardrail
		own          string
		arns         []string
		allows, deny int
	}{
		"no guardrail, nothing":           {authconfig.GuardrailNone, "", nil, 0, 0},
		"no guardrail, own":               {authconfig.GuardrailNone, own, nil, 1, 0},
		"guardrail alone allows the role": {authconfig.GuardrailMCPOnly, "", nil, 1, 1},
		"guardrail beside managed ones":   {authconfig.GuardrailMCPOnly, "", arns, 0, 1},
		"guardrail in the own one":        {authconfig.GuardrailMCPOnly, own, nil, 1, 1},
		"all three":                       {authconfig.GuardrailMCPOnly, own, arns, 1, 1},
		"a list of statements":            {authconfig.GuardrailMCPOnly, `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`, nil, 1, 1},
		"an empty list of statements":     {authconfig.GuardrailMCPOnly, `{"Statement":[]}`, nil, 0, 1},
	} {
		got, err := SessionPolicy(c.guardrail, c.own, c.arns)
		if err != nil || got != "" && !json.Valid([]byte(got)) {
			t.Errorf("%s: %v, %s", name, err, got)
		}
		if strings.Count(got, `"Allow"`) != c.allows || strings.Count(got, DenyOutsideMCP) != c.deny {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, own := range map[string]string{"no statement": `{"Version":"2012-10-17"}`, "an unknown member": `{"Statements":[]}`, "statements that are text": `{"Statement":["x"]}`, "too long": `{"Statement":[{"Effect":"Allow","Action":"` + strings.Repeat("x", 2000) + `","Resource":"*"}]}`} {
		for _, guardrail := range []authconfig.Guardrail{authconfig.GuardrailMCPOnly, authconfig.GuardrailNone} {
			if got, err := SessionPolicy(guardrail, own, nil); err == nil {
				t.Errorf("%s, %s: %s", name, guardrail, got)
			}
		}
	}
}

func TestErrorsOfSTSAreClassed(t *testing.T) {
	issuer := standin.NewIssuer()
	defer issuer.Close()
	fake := standin.NewSTS(issuer.URL, "aud")
	defer fake.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", fake.URL)
	sts := NewSTS(http.DefaultClient)
	for _, c := range []struct {
		status  int
		code    string
		message string
		want    Kind
		asked   int
	}{
		{403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", KindAccessDenied, 1},
		{400, "InvalidIdentityToken", "Incorrect token audience", KindIdentityProvider, 1},
		{400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://idp.example.com", KindIdentityProvider, 1},
		{400, "InvalidIdentityToken", "Token is expired: Current date/time 1 must be before the expiration date/time 0", KindInvalidToken, 1},
		{400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider", KindUnavailable, 1},
		{400, "ExpiredTokenException", "Token expired", KindInvalidToken, 1},
		{400, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider, please reference", KindUnavailable, 1},
		{400, "IDPCommunicationError", "x", KindUnavailable, 2},
		{400, "Throttling", "Rate exceeded", KindUnavailable, 1},
		{429, "TooManyRequestsException", "x", KindUnavailable, 1},
		{500, "InternalFailure", "x", KindUnavailable, 2},
		{503, "ServiceUnavailable", "x", KindUnavailable, 2},
		{400, "MalformedPolicyDocument", "x", KindOther, 1},
		{403, "RegionDisabledException", "x", KindOther, 1},
		{400, "IDPRejectedClaim", "x", KindOther, 1},
	} {
		before := fake.Asked()
		fake.Faults.Set(standin.Fault{Status: c.status, Code: c.code, Message: c.message})
		_, err := sts.Exchange(t.Context(), "secret-token", session)
		var failed *Error
		if !errors.As(err, &failed) || failed.Kind != c.want {
			t.Errorf("%s: %v, want %s", c.code, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%s: the error tells the token", c.code)
		}
		if asked := fake.Asked() - before; asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", c.code, asked, c.asked)
		}
	}
	fake.Close()
	var failed *Error
	if _, err := sts.Exchange(t.Context(), "x", session); !errors.As(err, &failed) || failed.Kind != KindUnavailable {
		t.Errorf("unreachable: %v", err)
	}
}

func TestEndpointVariables(t *testing.T) {
	for want, set := range map[string]map[string]string{
		"https://sts": {"AWS_ENDPOINT_URL_STS": "https://sts", "AWS_ENDPOINT_URL": "https://all"},
		"https://all": {"AWS_ENDPOINT_URL": "https://all"},
		"":            {"AWS_ENDPOINT_URL_STS": "https://sts", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
	} {
		if got := ConfiguredEndpoint(func(name string) string { return set[name] }); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAnAnswerOfSTSWithoutAnEndIsNotReadToIt(t *testing.T) {
	var sent atomic.Int64
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>`)
		for r.Context().Err() == nil && sent.Load() < 1<<30 {
			n, err := w.Write(bytes.Repeat([]byte("x"), 1<<16))
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	}))
	defer endless.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", endless.URL)
	role, _ := authconfig.ParseRoleARN("arn:aws:iam::123456789012:role/R")
	_, err := NewSTS(http.DefaultClient).Exchange(t.Context(), "t", &RoleSession{Role: role, Name: "a", Duration: time.Hour, Region: "us-east-1"})
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != KindUnavailable {
		t.Errorf("%v", err)
	}
	// What is on its way in the system's buffers counts, twice for the one retry.
	if got := sent.Load(); got > 64<<20 {
		t.Errorf("%d MiB were taken", got>>20)
	}
}
