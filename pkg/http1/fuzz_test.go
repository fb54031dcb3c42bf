package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

// wire is a connection whose server sends what it is told to, and closes.
func wire(answer []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			_ = server.SetDeadline(time.Now().Add(patience))
			if _, _, ok := readRequest(bufio.NewReader(server)); ok {
				_, _ = server.Write(answer)
			}
		}()
		return client, nil
	}
}

type reading struct {
	failed bool
	status int
	header http.Header
	body   string
	broken bool
}

func readingOf(answer *http.Response, err error) reading {
	if err != nil {
		return reading{failed: true}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return reading{status: answer.StatusCode, header: answer.Header, body: string(text), broken: err != nil}
}

func FuzzAnswersAreReadAsNetHTTPReadsThem(f *testing.F) {
	for _, answer := range []string{
		helloAnswer,
		"HTTP/1.1 100 Continue\r\n\r\n" + helloAnswer,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\nhello", "HTTP/1.1 304 Not Modified\r\n\r\n",
		"HTTP/1.1 200 OK\nA: b\n\nhello", "HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nConnection: close\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", "",
	} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if strings.Contains(string(answer), " 101") || strings.Count(string(answer), "HTTP/1.1 1") > 3 {
			t.Skip("other protocols and many informational answers are read otherwise, on purpose")
		}
		ours := &http1.Transport{DialContext: wire(answer), MaxHeaderBytes: 64 << 10}
		theirs := &http.Transport{DialContext: wire(answer), MaxResponseHeaderBytes: 64 << 10, DisableCompression: true}
		defer theirs.CloseIdleConnections()
		r := newRequest(t.Context(), t, http.MethodPost, "http://server.example/")
		got := readingOf(ours.Send(r, nil, patience))
		want := readingOf(theirs.RoundTrip(r))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n ours   %+v\n theirs %+v", answer, got, want)
		}
	})
}

func FuzzRequestsAreWrittenAsNetHTTPWritesThem(f *testing.F) {
	f.Add("Accept", "application/json", "Mcp-Session-Id", "abc", "/mcp", "a=b", "{}")
	f.Add("A", " b ", "A", "c", "", "", "")
	f.Add("User-Agent", "", "X-Amz-Date", "20260101T000000Z", "/a%2Fb/ü", "", "x")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, path, query, body string) {
		if name1 != name2 && strings.EqualFold(name1, name2) {
			t.Skip("a map has no order")
		}
		r := newRequest(t.Context(), t, http.MethodPost, "http://server.example/")
		r.URL.Path, r.URL.RawQuery = "/"+path, query
		r.Header[name1] = append(r.Header[name1], value1)
		r.Header[name2] = append(r.Header[name2], value2)
		sent := make(chan []byte, 1)
		ours := &http1.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer func() { _ = server.Close() }()
				_ = server.SetDeadline(time.Now().Add(patience))
				b := make([]byte, 64<<10)
				n, _ := server.Read(b)
				sent <- b[:n]
			}()
			return client, nil
		}, MaxHeaderBytes: 1 << 10}
		_, err := ours.Send(r, []byte(body), patience)
		var got []byte
		select {
		case got = <-sent:
		default:
			if err == nil {
				t.Fatal("no request, and no error")
			}
			return // refused
		}
		var want strings.Builder
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if body == "" {
			r.Body = http.NoBody
		}
		if len(r.Header["User-Agent"]) == 0 {
			r.Header["User-Agent"] = []string{""}
		}
		if err := r.Write(&want); err != nil {
			t.Fatalf("net/http would not write %q: %v", got, err)
		}
		if a, b := parts(t, string(got)), parts(t, want.String()); !slices.Equal(a, b) {
			t.Errorf("ours\n%q\nnet/http's\n%q", a, b)
		}
	})
}

// parts are the request line, the header's lines in order, and the body.
func parts(t *testing.T, request string) []string {
	t.Helper()
	head, body, ok := strings.Cut(request, "\r\n\r\n")
	if !ok {
		t.Fatalf("%q has no end of a header", request)
	}
	first, header, _ := strings.Cut(head, "\r\n")
	fields, err := textproto.NewReader(bufio.NewReader(strings.NewReader(header + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	lines := []string{first, body}
	for name, values := range fields {
		lines = append(lines, fmt.Sprintf("%s: %q", name, values))
	}
	slices.Sort(lines)
	return lines
}
