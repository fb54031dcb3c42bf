package standin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an OpenID Connect issuer that signs whatever claims it is asked to.
type Issuer struct {
	// URL is the issuer, set by NewIssuer.
	URL string
	// Faults apply to discovery and keys.
	Faults faults
	// TokenFaults apply to the token endpoint.
	TokenFaults faults
	// KeyFetches counts requests for the keys.
	KeyFetches atomic.Int64

	server *httptest.Server
	mu     sync.Mutex
	keys   []jose.JSONWebKey
	made   int

	exchanges exchanges
}

// NewIssuer serves on a loopback port with one RS256 key.
func NewIssuer() *Issuer {
	i := NewIssuerAt("")
	i.server = httptest.NewServer(i.Handler())
	i.URL = i.server.URL
	return i
}

// NewIssuerAt is an issuer with one RS256 key whose Handler is served somewhere
// else, at the URL.
func NewIssuerAt(url string) *Issuer {
	i := &Issuer{URL: url}
	i.AddKey(jose.RS256)
	return i
}

// Handler serves discovery and keys.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("POST /token", i.serveToken)
	return mux
}

// Close stops serving.
func (i *Issuer) Close() { i.server.Close() }

// AddKey makes a key that signs from now on. Older ones stay published.
func (i *Issuer) AddKey(algorithm jose.SignatureAlgorithm) {
	var private any
	var err error
	switch algorithm {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err) // no randomness
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.keys = append(
		i.keys,
		jose.JSONWebKey{Key: private, KeyID: fmt.Sprintf("key-%d", i.made), Algorithm: string(algorithm), Use: "sig"},
	)
}

// DropKeys forgets all keys but the newest.
func (i *Issuer) DropKeys() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// PublicKeys are the keys that the issuer publishes.
func (i *Issuer) PublicKeys() []jose.JSONWebKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := make([]jose.JSONWebKey, len(i.keys))
	for n := range i.keys {
		keys[n] = i.keys[n].Public()
	}
	return keys
}

// Token signs claims with the newest key. iss, iat and exp (an hour) are added
// where they are missing; a claim that is nil is left out.
func (i *Issuer) Token(claims map[string]any) string {
	i.mu.Lock()
	key := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	return i.Sign(key, claims)
}

// Sign is Token with a key of the caller's choice.
func (i *Issuer) Sign(key jose.JSONWebKey, claims map[string]any) string {
	all := map[string]any{"iss": i.URL, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err) // a claim that is no JSON
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		panic(err) // an algorithm that does not fit the key
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err) // no randomness
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err) // one signature always serializes
	}
	return token
}

func (i *Issuer) discovery(w http.ResponseWriter, r *http.Request) {
	if fault, fails := i.Faults.next(r); fails {
		http.Error(w, fault.Message, fault.Status)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize",
		"token_endpoint":           i.URL + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	})
}

func (i *Issuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	i.KeyFetches.Add(1)
	if fault, fails := i.Faults.next(r); fails {
		http.Error(w, fault.Message, fault.Status)
		return
	}
	i.mu.Lock()
	set := jose.JSONWebKeySet{}
	for _, key := range i.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	i.mu.Unlock()
	writeJSON(w, http.StatusOK, set)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
