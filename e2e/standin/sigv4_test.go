package standin

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The vectors of AWS's Signature Version 4 test suite.
func TestSignaturesAreThoseOfAWSsTestSuite(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		method, target, body, contentType, want string
	}{
		"get-vanilla":                {"GET", "/", "", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"post-vanilla":               {"POST", "/", "", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"get-vanilla-query":          {"GET", "/?Param2=value2&Param1=value1", "", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"get-vanilla-empty-query":    {"GET", "/?Param1=value1", "", "", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		"post-x-www-form-urlencoded": {"POST", "/", "Param1=value1", "application/x-www-form-urlencoded", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(c.method, "https://example.amazonaws.com"+c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			signed := []string{"host", "x-amz-date"}
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			if c.contentType != "" {
				r.Header.Set("Content-Type", c.contentType)
				signed = append([]string{"content-type"}, signed...)
			}
			auth := &authorization{date: "20150830", region: "us-east-1", service: "service", signedHeaders: signed}
			if got := signature(secret, auth, at, canonicalRequest(r, signed, hexSum([]byte(c.body)))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
