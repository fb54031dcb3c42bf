package http1_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/http1"
)

func TestTLS(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := newTransport(t)
	transport.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for range 5 {
		mustSay(t, transport, server.URL, "HTTP/1.1")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	stranger := newTransport(t)
	stranger.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	_, _, err := send(t, stranger, server.URL, "{}")
	mustFail(t, err, "certificate")
}

// burst is a connection that can hold what is written, to send it in one segment, or in two where
// first is set, the second after a pause.
type burst struct {
	net.Conn
	holds bool
	held  []byte
	first int
}

const betweenSegments = 100 * time.Millisecond

func (b *burst) send() {
	_ = b.SetWriteDeadline(time.Time{}) // tls.Conn.CloseWrite leaves one that is over
	if b.first > 0 {
		_, _ = b.Conn.Write(b.held[:b.first])
		time.Sleep(betweenSegments)
	}
	_, _ = b.Conn.Write(b.held[b.first:])
	b.held, b.first = nil, 0
}

// Write implements io.Writer.
func (b *burst) Write(p []byte) (int, error) {
	if !b.holds {
		return b.Conn.Write(p)
	}
	b.held = append(b.held, p...)
	return len(p), nil
}

// newTLSServer answers each request as a test says, with the body of the request at hand.
func newTLSServer(
	t *testing.T, version uint16, answer func(c *tls.Conn, held *burst, body string),
) (*rawServer, *http1.Transport) {
	t.Helper()
	identity := httptest.NewUnstartedServer(nil)
	identity.StartTLS()
	defer identity.Close()
	config := &tls.Config{
		Certificates: identity.TLS.Certificates, MinVersion: version, MaxVersion: version, DynamicRecordSizingDisabled: true,
	}
	server := newRawServer(t, func(_ int, c net.Conn) {
		held := &burst{Conn: c}
		secure := tls.Server(held, config)
		reader := bufio.NewReader(secure)
		for {
			held.holds = false
			_, body, ok := readRequest(reader)
			if !ok {
				return
			}
			held.holds = true
			answer(secure, held, body)
			held.send()
		}
	})
	server.url = strings.Replace(server.url, "http:", "https:", 1)
	transport := newTransport(t)
	transport.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	transport.TLS.RootCAs.AddCert(identity.Certificate())
	return server, transport
}

// What came behind an answer may be decrypted already, or lie in a record that was read.
func TestWhatComesBehindAnAnswerIsNotTakenForTheNext(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	long := strings.Repeat("x", 9000)
	longAnswer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)
	for name, c := range map[string]struct {
		records     []string
		closes      bool
		want        string
		connections int32
	}{
		"nothing":                             {[]string{helloAnswer}, false, "hello", 1},
		"in the same record":                  {[]string{helloAnswer + evil}, false, "hello", 3},
		"in a record of its own":              {[]string{helloAnswer, evil}, false, "hello", 3},
		"behind a body longer than a buffer":  {[]string{longAnswer + evil}, false, long, 3},
		"a record behind such a body":         {[]string{longAnswer, evil}, false, long, 3},
		"behind an answer that has no body":   {[]string{"HTTP/1.1 204 No Content\r\n\r\n" + evil}, false, "", 3},
		"the end of the connection's half":    {[]string{helloAnswer}, true, "hello", 3},
		"that end behind a long body":         {[]string{longAnswer}, true, long, 3},
		"a body of its own and then that end": {[]string{longAnswer, evil}, true, long, 3},
	} {
		for version, label := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
			t.Run(name+", "+label, func(t *testing.T) {
				server, transport := newTLSServer(t, version, func(secure *tls.Conn, _ *burst, _ string) {
					for _, record := range c.records {
						_, _ = io.WriteString(secure, record)
					}
					if c.closes {
						_ = secure.CloseWrite()
					}
				})
				for range 3 {
					r := newRequest(t.Context(), t, http.MethodPost, server.url)
					answer, err := transport.Send(r, []byte("{}"), patience)
					if err != nil {
						t.Fatal(err)
					}
					var text []byte
					for buffer := make([]byte, 16<<10); err == nil; {
						var n int
						n, err = answer.Body.Read(buffer)
						text = append(text, buffer[:n]...)
					}
					if _ = answer.Body.Close(); string(text) != c.want {
						t.Fatalf("%.60q", text)
					}
					time.Sleep(5 * time.Millisecond)
				}
				if n := server.connections.Load(); n != c.connections {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// Of a record that is there in part TLS tells nobody, and the rest may come with the next answer.
func TestPartOfARecordBehindAnAnswerEndsItsConnection(t *testing.T) {
	for version, label := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
		for _, part := range []int{1, 3, 5, 20} {
			t.Run(fmt.Sprintf("%d bytes, %s", part, label), func(t *testing.T) {
				server, transport := newTLSServer(t, version, func(secure *tls.Conn, held *burst, body string) {
					_, _ = fmt.Fprintf(secure, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					if body == "first" {
						held.first = len(held.held) + part
						_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
					}
				})
				for _, body := range []string{"first", "second", "third"} {
					if _, text, err := send(t, transport, server.url, body); err != nil || text != body {
						t.Fatalf("%q to %q, %v", text, body, err)
					}
				}
				if n := server.connections.Load(); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}
