// Package sigv4 signs one HTTP request with AWS Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/maphash"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Names of headers in their canonical form.
const (
	headerAuthorization = "Authorization"
	headerContentType   = "Content-Type"
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerDate          = "X-Amz-Date"
	headerSecurityToken = "X-Amz-Security-Token" //nolint:gosec // a name, not a secret
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	dateLength = len("20060102")
)

// Scope says for which service and region a signature is good.
type Scope struct {
	Service string
	Region  string
}

// keptKeys bounds the signing keys that a Signer keeps.
const keptKeys = 256

// Signer signs requests; it keeps derived keys and is safe for concurrent use. It makes the
// same signatures as the SDK's signer, which reads and sorts whatever headers a request
// has; this one writes the canonical request in one pass, since what is signed is
// always the same.
type Signer struct {
	seed maphash.Seed
	keys [keptKeys]atomic.Pointer[signingKey]
	// query is the last one: upstreams have one each, if any.
	query atomic.Pointer[query]
}

// query is one with its canonical form.
type query struct{ raw, canonical string }

func (s *Signer) canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	if last := s.query.Load(); last != nil && last.raw == raw {
		return last.canonical
	}
	q := &query{raw, canonicalQuery(raw)}
	s.query.Store(q)
	return q.canonical
}

// NewSigner makes a Signer.
func NewSigner() *Signer { return &Signer{seed: maphash.MakeSeed()} }

// signingKey is good for one day. Of the secret a digest is kept, since a key may be kept
// for longer than its credential.
type signingKey struct {
	accessKeyID string
	secret      [sha256.Size]byte
	date        string
	scope       Scope
	// macs are HMACs with the key, each with what it last worked on.
	macs sync.Pool
}

// mac is an HMAC and the text that is signed with it.
type mac struct {
	hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

func newSigningKey(credential *aws.Credentials, secret [sha256.Size]byte, date string, scope Scope) *signingKey {
	key := hmac.New(sha256.New, []byte("AWS4"+credential.SecretAccessKey))
	_, _ = io.WriteString(key, date) // never fails
	for _, part := range [...]string{scope.Region, scope.Service, scopeEnd} {
		key = hmac.New(sha256.New, key.Sum(nil))
		_, _ = io.WriteString(key, part)
	}
	derived := key.Sum(nil)
	k := &signingKey{accessKeyID: credential.AccessKeyID, secret: secret, date: strings.Clone(date), scope: scope}
	k.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, derived), text: make([]byte, 0, 192)} }
	return k
}

// Sign signs the request with its body, which is not read from the request.
// Signed are host, content-type and the x-amz headers that signing adds, and
// nothing else: any other header may be changed by a hop on the way. Host and
// query of the request become those that were signed. Whatever Authorization or
// x-amz signing headers the request had are replaced.
func (s *Signer) Sign(r *http.Request, body []byte, credential aws.Credentials, scope Scope, at time.Time) {
	var scratch [2048]byte
	payload := sha256.Sum256(body)
	payloadHash := string(hex.AppendEncode(scratch[:0], payload[:]))
	date := formatTime(at)
	r.Host = canonicalHost(r)
	if query := s.canonicalQuery(r.URL.RawQuery); query != r.URL.RawQuery {
		signed := *r.URL
		signed.RawQuery = query
		r.URL = &signed
	}

	request, signedHeaders := appendCanonicalRequest(scratch[:0], r, payloadHash, date, credential.SessionToken)
	requestHash := sha256.Sum256(request)

	key := s.key(&credential, date[:dateLength], scope)
	m, _ := key.macs.Get().(*mac)
	defer key.macs.Put(m)
	m.text = append(append(append(m.text[:0], algorithm...), '\n'), date...)
	m.text = appendScope(append(m.text, '\n'), date, scope)
	m.text = hex.AppendEncode(append(m.text, '\n'), requestHash[:])
	m.Reset()
	_, _ = m.Write(m.text) // never fails
	signature := m.Sum(m.sum[:0])

	authorization := append(scratch[:0], algorithm+" Credential="...)
	authorization = append(append(authorization, credential.AccessKeyID...), '/')
	authorization = appendScope(authorization, date, scope)
	authorization = append(append(authorization, ", SignedHeaders="...), signedHeaders...)
	authorization = hex.AppendEncode(append(authorization, ", Signature="...), signature)

	values := [...]string{string(authorization), payloadHash, date, credential.SessionToken}
	for i, name := range [...]string{headerAuthorization, headerContentSHA256, headerDate, headerSecurityToken} {
		if values[i] == "" {
			delete(r.Header, name)
		} else {
			r.Header[name] = values[i : i+1 : i+1]
		}
	}
}

// formatTime is ISO 8601's basic format: what RFC 3339 has, for which package time is
// quick, without its separators.
func formatTime(at time.Time) string {
	var extended [len(time.RFC3339)]byte
	basic := extended[:0]
	for _, c := range at.UTC().AppendFormat(basic, time.RFC3339) {
		if c != '-' && c != ':' {
			basic = append(basic, c)
		}
	}
	return string(basic)
}

// appendCanonicalRequest writes what is hashed, and says which headers are in it.
func appendCanonicalRequest(
	b []byte, r *http.Request, payloadHash, date, token string,
) (request []byte, signedHeaders string) {
	b = append(append(b, r.Method...), '\n')
	b = append(appendCanonicalPath(b, r.URL), '\n')
	b = append(append(b, r.URL.RawQuery...), '\n')
	contentType, typed := r.Header[headerContentType]
	if typed {
		b = appendHeader(b, "content-type:", contentType...)
	}
	b = appendHeader(b, "host:", r.Host)
	b = appendHeader(b, "x-amz-content-sha256:", payloadHash)
	b = appendHeader(b, "x-amz-date:", date)
	if token != "" {
		b = appendHeader(b, "x-amz-security-token:", token)
	}
	signedHeaders = signedNames(typed, token != "")
	b = append(append(b, '\n'), signedHeaders...)
	return append(append(b, '\n'), payloadHash...), signedHeaders
}

// signedNames are in order.
func signedNames(contentType, token bool) string {
	const always, first, last = "host;x-amz-content-sha256;x-amz-date", "content-type;", ";x-amz-security-token"
	switch {
	case contentType && token:
		return first + always + last
	case contentType:
		return first + always
	case token:
		return always + last
	default:
		return always
	}
}

// appendScope writes the credential scope of a time.
func appendScope(b []byte, date string, scope Scope) []byte {
	b = append(append(b, date[:dateLength]...), '/')
	b = append(append(b, scope.Region...), '/')
	b = append(append(b, scope.Service...), '/')
	return append(b, scopeEnd...)
}

const scopeEnd = "aws4_request"

// key is that of a credential for a day and a scope.
func (s *Signer) key(credential *aws.Credentials, date string, scope Scope) *signingKey {
	var scratch [64]byte
	secret := sha256.Sum256(append(scratch[:0], credential.SecretAccessKey...))
	kept := &s.keys[maphash.String(s.seed, credential.AccessKeyID)%keptKeys]
	if k := kept.Load(); k != nil && k.accessKeyID == credential.AccessKeyID &&
		k.secret == secret && k.date == date && k.scope == scope {
		return k
	}
	k := newSigningKey(credential, secret, date, scope)
	kept.Store(k)
	return k
}
