package tokenexchange

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is the client's private key.
type signingKey struct {
	jwk       jose.JSONWebKey
	algorithm jose.SignatureAlgorithm
	// thumbprints are headers that name the key's certificate, where there is one.
	thumbprints map[string]string
}

var errKeyForm = errors.New("is no private key, neither as PEM (PKCS #1, PKCS #8, SEC 1) nor as a JWK")

// parseKey reads a private key as PEM, perhaps with its certificate, or as a JWK, whose
// kid is then sent.
func parseKey(text []byte) (*signingKey, error) {
	key := &signingKey{}
	if text[0] == '{' {
		if err := key.jwk.UnmarshalJSON(text); err != nil || key.jwk.IsPublic() || !key.jwk.Valid() {
			return nil, errKeyForm
		}
	} else if err := key.readPEM(text); err != nil {
		return nil, err
	}
	algorithm, err := algorithmOf(&key.jwk)
	key.algorithm = algorithm
	if algorithm == jose.RS256 && key.thumbprints != nil {
		// Entra ID, which is who finds keys by certificates, wants PS256.
		key.algorithm = jose.PS256
	}
	return key, err
}

func (k *signingKey) readPEM(text []byte) error {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if k.thumbprints == nil {
				k.thumbprints = certificateThumbprints(block.Bytes)
			}
			continue
		}
		if k.jwk.Key != nil {
			return errors.New("holds more than one private key")
		}
		private, err := parsePrivate(block.Bytes)
		if err != nil {
			return err
		}
		k.jwk.Key = private
	}
	if k.jwk.Key == nil {
		return errKeyForm
	}
	return nil
}

func parsePrivate(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errKeyForm
}

// minRSABits is the least that RFC 7518, section 3.3, allows.
const minRSABits = 2048

// algorithmOf is what a JWK says, where that fits, else the usual one of its kind.
func algorithmOf(key *jose.JSONWebKey) (jose.SignatureAlgorithm, error) {
	switch private := key.Key.(type) {
	case *rsa.PrivateKey:
		if private.N.BitLen() < minRSABits {
			return "", errors.New("has fewer than 2048 bits")
		}
		if key.Algorithm != "" {
			return jose.SignatureAlgorithm(key.Algorithm), nil
		}
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		switch private.Curve.Params().BitSize {
		case 256:
			return jose.ES256, nil
		case 384:
			return jose.ES384, nil
		case 521:
			return jose.ES512, nil
		}
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	}
	return "", errors.New("is of a kind that signs no assertion; use RSA, ECDSA or Ed25519")
}
