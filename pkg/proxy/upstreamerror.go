package proxy

import (
	"bytes"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"regexp"
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
			name != headerAgentCoreSession &&
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

// signedWith has what of the request nobody else may see.
type signedWith struct {
	// header is the signed one.
	header http.Header
	// callerToken went to STS, never up; a test of the upstream could still know it.
	callerToken string
}

// secrets are the signature, which is the last part of its header, and the tokens.
func (s *signedWith) secrets() []string {
	_, signature, _ := strings.Cut(headerValue(s.header, "Authorization"), "Signature=")
	return []string{signature, headerValue(s.header, "X-Amz-Security-Token"), s.callerToken}
}

// Bounds of the search for secrets in an upstream's error.
const (
	// secretRun is how many consecutive letters and digits of a secret count as a leak.
	secretRun = 16
	// maxEncodings is how many encodings may lie over each other.
	maxEncodings = 4
)

// repeatsSecret looks for what the request was signed with, whole or a part of it,
// as it is and in the ways in which error pages write it.
func (c *call) repeatsSecret(text string) bool {
	runs := c.signed.runs()
	for range maxEncodings {
		if holdsRun(text, runs) {
			return true
		}
		decoded := unicodeEscape.ReplaceAllStringFunc(percentDecoded(html.UnescapeString(text)), unescaped)
		if decoded == text {
			return false
		}
		text = decoded
	}
	return holdsRun(text, runs)
}

var unicodeEscape = regexp.MustCompile(`\\u00[0-9a-fA-F]{2}`)

func unescaped(escape string) string {
	c, _ := strconv.ParseUint(escape[len(`\u00`):], 16, 8) // the expression has only two digits of base 16
	return string(rune(c))
}

// runs are all runs of the secrets, as they are and in base64.
func (s *signedWith) runs() map[string]struct{} {
	runs := map[string]struct{}{}
	for _, secret := range s.secrets() {
		if secret == "" {
			continue
		}
		forms := []string{secret}
		for shift := range 3 {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift)+secret)))
		}
		for n, form := range forms {
			text := lettersAndDigits(form)
			if n > 0 && len(text) > 2*secretRun {
				text = text[4 : len(text)-4] // what the shift and the end have made
			}
			for at := 0; at == 0 || at+secretRun <= len(text); at++ {
				runs[text[at:min(at+secretRun, len(text))]] = struct{}{}
			}
		}
	}
	return runs
}

func holdsRun(text string, runs map[string]struct{}) bool {
	text = lettersAndDigits(text)
	for at := 0; at+secretRun <= len(text); at++ {
		if _, ok := runs[text[at:at+secretRun]]; ok {
			return true
		}
	}
	return false
}

// lettersAndDigits drops all else, and case: a + that became a space, a line break
// or a backslash hides nothing.
func lettersAndDigits(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, text)
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
