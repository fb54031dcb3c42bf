package adminport

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// page is whole by itself: it loads nothing but answers of this port.
//
//go:embed page.html
var page []byte

// pageHeaders keep the page from loading, sending or being shown anywhere else.
// https://www.w3.org/TR/CSP3/
var pageHeaders = map[string]string{
	"Content-Security-Policy": fmt.Sprintf(
		"default-src 'none'; connect-src 'self'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'; "+
			"frame-ancestors 'none'; require-trusted-types-for 'script'",
		hashOf("<script>", "</script>"),
		hashOf("<style>", "</style>"),
	),
	"Content-Type":                 "text/html; charset=utf-8",
	"Cache-Control":                "no-store",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

// hashOf names the one inline element between two tags of the page as CSP does.
func hashOf(begin, end string) string {
	_, rest, _ := strings.Cut(string(page), begin)
	text, _, _ := strings.Cut(rest, end)
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// servePage gives the page, which holds nothing: without the token it asks for it, since a
// browser that opens an address sends none.
func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	for name, value := range pageHeaders {
		w.Header().Set(name, value)
	}
	if !h.options.Token.admits(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = w.Write(page)
}
