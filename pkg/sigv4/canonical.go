package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// canonicalHost is the request's host, without a port that its scheme has anyway: net/http
// sends what is signed.
func canonicalHost(r *http.Request) string {
	host := cmp.Or(r.Host, r.URL.Host)
	port := ":443"
	if strings.EqualFold(r.URL.Scheme, "http") {
		port = ":80"
	}
	bare, found := strings.CutSuffix(host, port)
	if !found || strings.Contains(bare, ":") && !strings.HasSuffix(bare, "]") {
		return host
	}
	return bare
}

// canonicalQuery sorts the parameters as they are encoded; what cannot be read is left out,
// as by url.Values.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	values, _ := url.ParseQuery(raw)
	var parameters [][2]string
	for name, all := range values {
		for _, value := range all {
			parameters = append(parameters, [2]string{
				string(appendEscaped(nil, name, false)), string(appendEscaped(nil, value, false)),
			})
		}
	}
	slices.SortFunc(parameters, func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	var query []byte
	for i, p := range parameters {
		if i > 0 {
			query = append(query, '&')
		}
		query = append(append(append(query, p[0]...), '='), p[1]...)
	}
	return string(query)
}

// appendCanonicalPath encodes the path a second time, as all services but S3 want it.
func appendCanonicalPath(b []byte, u *url.URL) []byte {
	path := u.EscapedPath()
	if path == "" {
		return append(b, '/')
	}
	return appendEscaped(b, path, true)
}

// appendEscaped encodes all but RFC 3986's unreserved characters.
func appendEscaped(b []byte, s string, keepSlash bool) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendHeader writes one line of the canonical headers: values without space around
// them, and with one where there are several in a row.
func appendHeader(b []byte, name string, values ...string) []byte {
	b = append(b, name...)
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		value = strings.TrimSpace(value)
		if !strings.Contains(value, "  ") {
			b = append(b, value...)
			continue
		}
		for j := range len(value) {
			if value[j] != ' ' || value[j-1] != ' ' {
				b = append(b, value[j])
			}
		}
	}
	return append(b, '\n')
}
