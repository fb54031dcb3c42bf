package identity

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotJWT = errors.New("the token is not a JWT of three Base64 parts")

// unverified is what a token says of itself before its signature is checked.
type unverified struct {
	algorithm string
	claims    map[string]any
}

// readUnverified takes a JWT in compact form apart. Duplicate names are errors:
// two readers of the token could choose different ones.
func readUnverified(raw string) (*unverified, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	if _, err := decodePart(parts[2]); err != nil {
		return nil, err
	}
	header, err := decodeObject(parts[0])
	if err != nil {
		return nil, err
	}
	claims, err := decodeObject(parts[1])
	if err != nil {
		return nil, err
	}
	algorithm, _ := header["alg"].(string)
	return &unverified{algorithm: algorithm, claims: claims}, nil
}

// errSpelling is for a token that could be written in another way and be the
// same: each way would be exchanged and remembered anew.
var errSpelling = errors.New("the token's Base64 is not written in the one canonical way")

// decodePart takes Base64 without padding, line ends and unused bits that are set.
func decodePart(encoded string) ([]byte, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return nil, errNotJWT
	}
	if base64.RawURLEncoding.EncodeToString(text) != encoded {
		return nil, errSpelling
	}
	return text, nil
}

func decodeObject(encoded string) (map[string]any, error) {
	text, err := decodePart(encoded)
	if err != nil {
		return nil, err
	}
	return readObject(text)
}

func readObject(text []byte) (map[string]any, error) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text))
	value, err := readClaim(decoder, 0)
	if err != nil {
		return nil, errNotJWT
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errNotJWT
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errNotJWT
	}
	return object, nil
}

const maxClaimDepth = 32

// readClaim keeps integers exact: user numbers do not all fit a float64.
func readClaim(d *jsontext.Decoder, depth int) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("read claim: %w", err)
	}
	if depth > maxClaimDepth {
		return nil, errNotJWT
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case 't', 'f':
		return token.Bool(), nil
	case '0':
		if integer, err := strconv.ParseInt(token.String(), 10, 64); err == nil {
			return integer, nil
		}
		number, err := strconv.ParseFloat(token.String(), 64)
		if err != nil {
			return token.String(), nil //nolint:nilerr // a number too large for any type stays text
		}
		return number, nil
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			member, err := readClaim(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, member)
		}
		_, err := d.ReadToken()
		return list, wrapClaim(err)
	case '{':
		object := map[string]any{}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, fmt.Errorf("read claim: %w", err)
			}
			key := name.String()
			if object[key], err = readClaim(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.ReadToken()
		return object, wrapClaim(err)
	}
	return nil, nil
}

func wrapClaim(err error) error {
	if err != nil {
		return fmt.Errorf("read claim: %w", err)
	}
	return nil
}

// timeClaim reads a NumericDate (RFC 7519, section 2).
func timeClaim(claims map[string]any, name string) (t time.Time, present, ok bool) {
	value, present := claims[name]
	if !present {
		return time.Time{}, false, true
	}
	switch seconds := value.(type) {
	case int64:
		return time.Unix(seconds, 0), true, true
	case float64:
		if seconds < -1e11 || seconds > 1e11 {
			return time.Time{}, true, false
		}
		return time.UnixMilli(int64(seconds * 1000)), true, true
	}
	return time.Time{}, true, false
}

func stringClaim(claims map[string]any, name string) string {
	text, _ := claims[name].(string)
	return text
}

// stringsClaim reads a claim that is a string or an array of strings.
func stringsClaim(claims map[string]any, name string) []string {
	switch value := claims[name].(type) {
	case string:
		return []string{value}
	case []any:
		var texts []string
		for _, member := range value {
			if text, ok := member.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// scopes reads the scope claim (RFC 8693, section 4.2) or scp, which some
// issuers use, as a list or as words.
func scopes(claims map[string]any) []string {
	var all []string
	for _, name := range []string{"scope", "scp"} {
		for _, text := range stringsClaim(claims, name) {
			all = append(all, strings.Fields(text)...)
		}
	}
	return all
}

// Unverified is what a token says of itself. It is for explanations only;
// nothing may be decided on it.
func Unverified(raw string) (*Caller, error) {
	said, err := readUnverified(raw)
	if err != nil {
		return nil, err
	}
	return userWith(said.claims, NewToken(raw)), nil
}

func userWith(claims map[string]any, token Token) *Caller {
	expiry, _, _ := timeClaim(claims, "exp")
	return &Caller{
		Issuer: stringClaim(claims, "iss"), Subject: stringClaim(claims, "sub"), Scopes: scopes(claims),
		Claims: claims, Actor: actorClaim(claims), Expiry: expiry, Token: token,
	}
}

// UserWithClaims is the caller whose token would have these claims, a JSON object. It is for
// explanations only.
func UserWithClaims(text []byte) (*Caller, error) {
	claims, err := parseClaims(text)
	if err != nil {
		return nil, err
	}
	caller := userWith(claims, Token{})
	if caller.Subject == "" {
		return nil, errNoSubject
	}
	return caller, nil
}

// WorkloadWithClaims is the same for a service-account token; what says no time of expiry
// does not expire.
func WorkloadWithClaims(text []byte) (*Caller, error) {
	claims, err := parseClaims(text)
	if err != nil {
		return nil, err
	}
	if claims["exp"] == nil {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
	}
	return workloadWith(claims, Token{})
}

// errNoSubject says what no caller can be without.
var errNoSubject = errors.New("the claims have no sub, which is a text")

func parseClaims(text []byte) (map[string]any, error) {
	if len(text) > MaxTokenBytes {
		return nil, fmt.Errorf("the claims are longer than %d bytes", MaxTokenBytes)
	}
	claims, err := readObject(text)
	if err != nil {
		return nil, errors.New("the claims are not one JSON object")
	}
	return claims, nil
}
