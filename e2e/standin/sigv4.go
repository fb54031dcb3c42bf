package standin

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxClockSkew is how far x-amz-date may lie from now.
const maxClockSkew = 5 * time.Minute

// Verifier checks SigV4 signatures. It follows AWS's description and shares no
// code with the SDK's signer.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type Verifier struct {
	STS     *STS
	Region  string
	Service string
}

// refusedSignature is an answer in the form of an AWS service.
type refusedSignature struct {
	status  int
	code    string
	message string
}

func refuse(code, format string, args ...any) *refusedSignature {
	return &refusedSignature{status: http.StatusForbidden, code: code, message: fmt.Sprintf(format, args...)}
}

// Code is the error's name at AWS.
func (e *refusedSignature) Code() string { return e.code }

func (e *refusedSignature) write(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-Errortype", e.code)
	w.Header().Set("X-Amzn-Requestid", randomHex(8))
	writeJSON(w, e.status, map[string]string{"__type": e.code, "message": e.message})
}

// authorization is a taken apart Authorization header.
type authorization struct {
	accessKeyID   string
	date          string
	region        string
	service       string
	signedHeaders []string
	signature     string
}

func parseAuthorization(value string) (*authorization, bool) {
	rest, ok := strings.CutPrefix(value, "AWS4-HMAC-SHA256 ")
	if !ok {
		return nil, false
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || fields["SignedHeaders"] == "" || fields["Signature"] == "" {
		return nil, false
	}
	return &authorization{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"), signature: fields["Signature"],
	}, true
}

// Verify checks the signature of a request and gives the role session that
// signed it. The body is read and put back.
func (v *Verifier) Verify(r *http.Request) (RoleSession, *refusedSignature) {
	auth, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return RoleSession{}, refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	if auth.region != v.Region || auth.service != v.Service {
		return RoleSession{}, refuse(
			"InvalidSignatureException",
			"Credential should be scoped to %s/%s",
			v.Region,
			v.Service,
		)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != auth.date {
		return RoleSession{}, refuse("InvalidSignatureException", "X-Amz-Date does not fit the credential scope")
	}
	if time.Since(at).Abs() > maxClockSkew {
		return RoleSession{}, refuse("InvalidSignatureException", "Signature expired or not yet current")
	}
	if missing := unsigned(r, auth.signedHeaders); missing != "" {
		return RoleSession{}, refuse("InvalidSignatureException", "'%s' must be a signed header", missing)
	}
	session, ok := v.STS.session(auth.accessKeyID)
	if !ok || subtle.ConstantTimeCompare([]byte(session.token), []byte(r.Header.Get("X-Amz-Security-Token"))) != 1 {
		return RoleSession{}, refuse(
			"UnrecognizedClientException",
			"The security token included in the request is invalid.",
		)
	}
	if time.Now().After(session.Expires) {
		return RoleSession{}, refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return RoleSession{}, refuse("IncompleteSignatureException", "The body cannot be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if payload := hexSum(body); payload != r.Header.Get("X-Amz-Content-Sha256") {
		return RoleSession{}, refuse("InvalidSignatureException", "The payload does not have the hash that was signed")
	}
	want := signature(session.secret, auth, at, canonicalRequest(r, auth.signedHeaders, hexSum(body)))
	if !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return RoleSession{}, refuse(
			"InvalidSignatureException",
			"The request signature we calculated does not match the signature you provided.",
		)
	}
	return session, nil
}

// unsigned names a header that has to be signed and is not.
func unsigned(r *http.Request, signed []string) string {
	must := []string{"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") || lower == "content-type" {
			must = append(must, lower)
		}
	}
	for _, name := range must {
		if !slices.Contains(signed, name) {
			return name
		}
	}
	return ""
}

func canonicalRequest(r *http.Request, signed []string, payload string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, canonicalPath(r.URL.EscapedPath()), canonicalQuery(r.URL.Query()))
	for _, name := range signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host}
		}
		for i := range values {
			values[i] = strings.Join(strings.Fields(values[i]), " ")
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(values, ","))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), payload)
	return b.String()
}

// canonicalPath encodes the path as it was sent once more, as every service but
// S3 does.
func canonicalPath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		segments[i] = encode(segment)
	}
	return strings.Join(segments, "/")
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, encode(name)+"="+encode(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// encode is AWS's UriEncode.
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func signature(secret string, auth *authorization, at time.Time, canonical string) string {
	scope := strings.Join([]string{auth.date, auth.region, auth.service, "aws4_request"}, "/")
	toSign := strings.Join(
		[]string{"AWS4-HMAC-SHA256", at.Format("20060102T150405Z"), scope, hexSum([]byte(canonical))},
		"\n",
	)
	key := []byte("AWS4" + secret)
	for _, part := range []string{auth.date, auth.region, auth.service, "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
