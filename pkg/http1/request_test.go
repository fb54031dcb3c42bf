package http1_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign-io/countersign/pkg/http1"
)

func TestARequestIsReadAsItWasGiven(t *testing.T) {
	for name, c := range map[string]struct {
		method, target, host, body string
		header                     http.Header
		want                       http.Header
	}{
		"a POST": {
			method: http.MethodPost, target: "/mcp", body: `{"a":1}`,
			header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"AWS4 x"}},
			want:   http.Header{"Content-Type": {"application/json"}, "Authorization": {"AWS4 x"}, "Content-Length": {"7"}},
		},
		"a POST without a body": {
			method: http.MethodPost, target: "/mcp", want: http.Header{"Content-Length": {"0"}},
		},
		"a GET": {method: http.MethodGet, target: "/mcp", want: http.Header{}},
		"a path that is encoded, and a query": {
			method: http.MethodDelete, target: "/runtimes/arn%3Aaws%3Ax%2Fy/invocations?qualifier=DEFAULT&a=%20",
			want: http.Header{},
		},
		"no path": {method: http.MethodGet, target: "", want: http.Header{}},
		"a host of its own": {
			method: http.MethodGet, target: "/", host: "aws-mcp.us-east-1.api.aws", want: http.Header{},
		},
		"headers of several lines, and space around values": {
			method: http.MethodGet, target: "/", header: http.Header{"Accept": {"a", " b\t"}},
			want: http.Header{"Accept": {"a", "b"}},
		},
		"no User-Agent": {
			method: http.MethodGet, target: "/", header: http.Header{"User-Agent": {""}}, want: http.Header{},
		},
		"the longest body": {
			method: http.MethodPost, target: "/", body: strings.Repeat("x", http1.MaxBody),
			want: http.Header{"Content-Length": {"16384"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			type seen struct {
				*http.Request
				body string
			}
			got := make(chan seen, 1)
			server := newRawServer(t, func(_ int, c net.Conn) {
				r, body, ok := readRequest(bufio.NewReader(c))
				if ok {
					got <- seen{r, body}
				}
				_, _ = c.Write([]byte(helloAnswer))
			})
			base := strings.TrimSuffix(server.url, "/mcp")
			r := newRequest(t.Context(), t, c.method, base+c.target)
			r.Header = c.header
			if c.host != "" {
				r.Host = c.host
			}
			answer, err := newTransport(t).Send(r, []byte(c.body), patience)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			s := <-got
			wantHost, wantTarget := c.host, c.target
			if wantHost == "" {
				wantHost = strings.TrimPrefix(base, "http://")
			}
			if wantTarget == "" {
				wantTarget = "/"
			}
			if s.Method != c.method || s.RequestURI != wantTarget || s.Host != wantHost || s.body != c.body ||
				!reflect.DeepEqual(s.Header, c.want) {
				t.Errorf("%s %s of %s, %v, %d bytes", s.Method, s.RequestURI, s.Host, s.Header, len(s.body))
			}
		})
	}
}

func TestARequestThatCouldBeReadInTwoWaysIsNotSent(t *testing.T) {
	var requests atomic.Int32
	server := newRawServer(t, func(int, net.Conn) { requests.Add(1) })
	for name, c := range map[string]struct {
		change func(*http.Request)
		body   string
		want   string
	}{
		"a line break in a value": {
			change: func(r *http.Request) { r.Header["A"] = []string{"b\r\nEvil: 1"} }, want: `value of header field "A"`,
		},
		"a line break in a name": {
			change: func(r *http.Request) { r.Header["A\r\nB"] = []string{"c"} }, want: "header field name",
		},
		"space in a name": {change: func(r *http.Request) { r.Header["A "] = []string{"c"} }, want: "header field name"},
		"a length of its own": {
			change: func(r *http.Request) { r.Header["Content-Length"] = []string{"3"} }, want: "header field name",
		},
		"chunks": {
			change: func(r *http.Request) { r.Header["Transfer-Encoding"] = []string{"chunked"} }, want: "header field name",
		},
		"chunks, written otherwise": {
			change: func(r *http.Request) { r.Header["transfer-ENCODING"] = []string{"chunked"} }, want: "header field name",
		},
		"a line break in the method": {
			change: func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX: y\r\n\r\nGET" }, want: "invalid method",
		},
		"no method":      {change: func(r *http.Request) { r.Method = "" }, want: "invalid method"},
		"another scheme": {change: func(r *http.Request) { r.URL.Scheme = "ftp" }, want: "invalid URL"},
		"another host":   {change: func(r *http.Request) { r.Header["Host"] = []string{"evil"} }, want: "header field name"},
		"a line break in the host": {
			change: func(r *http.Request) { r.Host = "a\r\nb" }, want: "Host",
		},
		"a line break in the query": {
			change: func(r *http.Request) {
				r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Path: "/", RawQuery: "a\r\nb"}
			},
			want: "invalid URL",
		},
		"space in the query": {
			change: func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, RawQuery: "a b"} },
			want:   "invalid URL",
		},
		"a body that is too long": {body: strings.Repeat("x", http1.MaxBody+1), want: http1.ErrBodyTooLarge.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRequest(t.Context(), t, http.MethodPost, server.url)
			if c.change != nil {
				c.change(r)
			}
			err := failure(t, newTransport(t), r, c.body, patience)
			mustFail(t, err, c.want)
			if c.body != "" && !errors.Is(err, http1.ErrBodyTooLarge) {
				t.Errorf("%v", err)
			}
		})
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
