package zitadel

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// keyBits is the size of the signing keys.
const keyBits = 2048

// signingKey is a key the provider signs with; its public half is a verificationKey.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// verificationKey is what the provider publishes of a signing key.
type verificationKey struct {
	signingKey
}

func (k verificationKey) Key() any                           { return &k.private.PublicKey }
func (k verificationKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k verificationKey) Use() string                        { return "sig" }

// keyring holds the signing keys: the newest signs, all are published.
type keyring struct {
	mu   sync.RWMutex
	keys []signingKey // oldest first, never empty
	made int          // counts the keys ever made, which names them
}

func newKeyring() (*keyring, error) {
	k := &keyring{}
	if _, err := k.rotate(false); err != nil {
		return nil, err
	}
	return k, nil
}

// rotate makes a key that signs from now on and returns its id. The older keys stay published, unless they are to be
// forgotten, as after a key was stolen: no token signed so far can be verified then.
func (k *keyring) rotate(forget bool) (string, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", fmt.Errorf("generating a signing key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if forget {
		k.keys = nil
	}
	k.made++
	next := signingKey{id: fmt.Sprintf("key-%d", k.made), private: private}
	k.keys = append(k.keys, next)
	return next.id, nil
}

func (k *keyring) current() signingKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[len(k.keys)-1]
}

func (k *keyring) published() []op.Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	keys := make([]op.Key, 0, len(k.keys))
	for _, key := range k.keys {
		keys = append(keys, verificationKey{key})
	}
	return keys
}
