package proxy

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/mcp"
)

// maxErrorBody bounds what is read of an upstream's error.
const maxErrorBody = 256 << 10

// relayError passes an error of the upstream on: its JSON-RPC message where it
// has one that repeats nothing of what the request was signed with, else one of
// ours. Error pages like to repeat the request.
func (c *call) relayError(answer *http.Response) *failure {
	replaced := upstreamStatus(answer.StatusCode)
	replaced.header = http.Header{}
	for name, values := range answer.Header {
		if (returned[name] || strings.HasPrefix(name, "Mcp-")) && name != headerSession &&
			!c.repeatsSecret(strings.Join(values, "\n")) {
			replaced.header[name] = values
		}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody+1))
	if err != nil || len(body) > maxErrorBody || !mcp.IsMessage(body) || c.repeatsSecretInJSON(body) {
		return replaced
	}
	filtered, err := mcp.FilterMessage(body, c.answers())
	if err != nil {
		return replaced
	}
	for name, values := range replaced.header {
		c.w.Header()[name] = values
	}
	c.w.Header().Set("Content-Type", typeJSON)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(filtered)))
	extendWrite(c.w)
	c.begin(answer.StatusCode)
	_, _ = c.w.Write(filtered) // the client may be gone
	return nil
}

// signedWith are the parts of the request that nobody else may see.
type signedWith struct {
	// authorization is the header's last part, the signature.
	signature string
	token     string
	// callerToken went to STS, never up; a test of the upstream could still know it.
	callerToken string
}

func signedWithOf(header http.Header, callerToken string) signedWith {
	_, signature, _ := strings.Cut(header.Get("Authorization"), "Signature=")
	return signedWith{signature: signature, token: header.Get("X-Amz-Security-Token"), callerToken: callerToken}
}

// repeatsSecret looks for what the request was signed with, as it is and in the
// ways in which error pages write it.
func (c *call) repeatsSecret(text string) bool {
	forms := []string{text, html.UnescapeString(text)}
	if decoded, err := url.QueryUnescape(strings.ReplaceAll(text, "+", "%2B")); err == nil {
		forms = append(forms, decoded)
	} else {
		forms = append(forms, percentDecoded(text))
	}
	for _, form := range forms {
		for _, secret := range []string{c.signed.signature, c.signed.token, c.signed.callerToken} {
			if secret != "" && strings.Contains(form, secret) {
				return true
			}
		}
	}
	return false
}

// percentDecoded decodes what is encoded rightly and leaves the rest.
func percentDecoded(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// repeatsSecretInJSON looks into every string of a message, names included.
func (c *call) repeatsSecretInJSON(body []byte) bool {
	if c.repeatsSecret(string(body)) {
		return true
	}
	decoder := jsontext.NewDecoder(
		bytes.NewReader(body),
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true),
	)
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return err != io.EOF //nolint:errorlint // the decoder gives EOF itself; what cannot be read is not passed
		}
		if token.Kind() == '"' && c.repeatsSecret(token.String()) {
			return true
		}
	}
}
