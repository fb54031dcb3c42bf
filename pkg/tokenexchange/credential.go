package tokenexchange

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // x5t is defined with it (RFC 7515, section 4.1.7)
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

const (
	// maxCredential bounds a file with a credential, in bytes.
	maxCredential = 64 << 10
	// assertionLife is how long an assertion lives that we sign: as long as an exchange
	// may take, and a clock may be wrong.
	assertionLife = 2 * time.Minute
)

// authenticate adds how the client proves who it is. The credential is read for each
// exchange: files are replaced when it rotates.
func (c *Client) authenticate(request *clientcredentials.Config) *Error {
	client := &c.config.Client
	credential, err := readCredential(c.files.Credential)
	if err != nil {
		return &Error{Kind: KindMisconfigured, cause: "the client's credential: " + err.Error()}
	}
	request.ClientID, request.AuthStyle = client.ID, oauth2.AuthStyleInParams
	switch client.Authentication {
	case authconfig.ClientSecret:
		request.ClientSecret = string(credential)
		if client.SecretMethod == authconfig.SecretBasic {
			request.AuthStyle = oauth2.AuthStyleInHeader
		}
		return nil
	case authconfig.ClientPrivateKeyJWT:
		signed, err := signAssertion(credential, client, time.Now())
		if err != nil {
			return &Error{Kind: KindMisconfigured, cause: "the client's key: " + err.Error()}
		}
		credential = []byte(signed)
	case authconfig.ClientServiceAccount:
	}
	request.EndpointParams.Set("client_assertion_type", assertionType)
	request.EndpointParams.Set("client_assertion", string(credential))
	return nil
}

func (c *Client) addActor(form url.Values) *Error {
	if c.config.Actor != authconfig.ActorServiceAccount {
		return nil
	}
	token, err := readCredential(c.files.Actor)
	if err != nil {
		return &Error{Kind: KindMisconfigured, cause: "the actor's token: " + err.Error()}
	}
	form.Set("actor_token", string(token))
	form.Set("actor_token_type", tokenTypeJWT)
	return nil
}

// readCredential reads a file without the line end that editors leave.
func readCredential(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("no file is given")
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxCredential+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(text) > maxCredential:
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxCredential)
	}
	trimmed := strings.TrimRight(string(text), "\r\n")
	if trimmed == "" {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return []byte(trimmed), nil
}

// CheckFiles reports whether the files hold what the exchange needs, as far as can be
// told without the identity provider.
func CheckFiles(exchange *authconfig.Exchange, files Files) error {
	text, err := readCredential(files.Credential)
	if err != nil {
		return fmt.Errorf("--exchange-credential: %w", err)
	}
	if exchange.Client.Authentication == authconfig.ClientPrivateKeyJWT {
		if _, err := signAssertion(text, &exchange.Client, time.Now()); err != nil {
			return fmt.Errorf("--exchange-credential: %s %w", files.Credential, err)
		}
	}
	if exchange.Actor == authconfig.ActorServiceAccount {
		if _, err := readCredential(files.Actor); err != nil {
			return fmt.Errorf("--service-account-token, for exchange.actor: %w", err)
		}
	}
	return nil
}

// signAssertion makes the JWT of RFC 7523, section 2.2 and 3.
func signAssertion(credential []byte, client *authconfig.ExchangeClient, now time.Time) (string, error) {
	key, err := parseKey(credential)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range key.thumbprints {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.algorithm, Key: key.jwk}, options)
	if err != nil {
		return "", errors.New("cannot sign")
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	claims, err := json.Marshal(map[string]any{
		"iss": client.ID, "sub": client.ID, "aud": client.Audience, "jti": hex.EncodeToString(id[:]),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("render the assertion: %w", err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", errors.New("cannot sign")
	}
	return signed.CompactSerialize()
}

// certificateThumbprints are how Entra ID finds the key of an assertion.
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials
func certificateThumbprints(der []byte) map[string]string {
	short, long := sha1.Sum(der), sha256.Sum256(der) //nolint:gosec // see the import
	return map[string]string{
		"x5t":      base64.RawURLEncoding.EncodeToString(short[:]),
		"x5t#S256": base64.RawURLEncoding.EncodeToString(long[:]),
	}
}
