package intercept

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scene is a listener whose connections were, by their own account, going to a
// server of the test's.
type scene struct {
	authority  *Authority
	redirected *Redirected
	server     *net.TCPListener
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return newSceneGoing(t, func(_, server netip.AddrPort) netip.AddrPort { return server })
}

// newSceneGoing lets connections have been going elsewhere than to the server.
func newSceneGoing(t *testing.T, destination func(listener, server netip.AddrPort) netip.AddrPort) *scene {
	t.Helper()
	server, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s := &scene{authority: open(t, t.TempDir(), upstreams), server: server}
	to := addrPort(server.Addr())
	isUpstream := func(host string, port int) bool { return host == upstreams[0] && port == int(to.Port()) }
	original := func(c *net.TCPConn) (netip.AddrPort, error) { return destination(addrPort(c.LocalAddr()), to), nil }
	if s.redirected, err = listenRedirected(t.Context(), []string{"127.0.0.1:0"}, s.authority, isUpstream, nil, original); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.redirected.Close() })
	return s
}

func (s *scene) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.redirected.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func (s *scene) accept(t *testing.T) *net.TCPConn {
	t.Helper()
	_ = s.server.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := s.server.AcceptTCP()
	if err != nil {
		t.Fatalf("the connection was not passed on: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// acceptUpstreams waits for a connection that is to be terminated.
func (s *scene) acceptUpstreams(t *testing.T) net.Conn {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := s.redirected.Accept(); err == nil {
			accepted <- c
		}
	}()
	select {
	case c := <-accepted:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("no connection for an upstream came")
		return nil
	}
}

func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func TestAConnectionForAnUpstreamIsTerminated(t *testing.T) {
	s := newScene(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority.PEM())
	client := s.dial(t)
	go func() {
		c := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: strings.ToUpper(upstreams[0]), NextProtos: []string{"h2", "http/1.1"}})
		_, _ = io.WriteString(c, "hello")
	}()
	accepted := s.acceptUpstreams(t)
	if port, ok := Port(accepted); !ok || port != int(addrPort(s.server.Addr()).Port()) {
		t.Errorf("its port is %d", port)
	}
	if got := read(t, accepted, 5); got != "hello" {
		t.Errorf("read %q", got)
	}
	if state := accepted.(*tls.Conn).ConnectionState(); state.NegotiatedProtocol != "h2" {
		t.Errorf("negotiated %q", state.NegotiatedProtocol)
	}
}

func TestAForeignTLSConnectionPassesUntouched(t *testing.T) {
	s := newScene(t)
	foreign := open(t, t.TempDir(), []string{"example.com"})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(foreign.PEM())
	client := s.dial(t)
	done := make(chan error, 1)
	go func() {
		server := tls.Server(s.accept(t), &tls.Config{GetCertificate: foreign.GetCertificate})
		_, err := io.WriteString(server, "world")
		done <- err
	}()
	c := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	if got := read(t, c, 5); got != "world" {
		t.Errorf("read %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotForAnUpstreamIsPassedOn(t *testing.T) {
	hello := func(name string) string {
		var b bytes.Buffer
		_ = tls.Client(&written{&b}, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		return b.String()
	}
	for name, sent := range map[string]string{
		"plain HTTP":                "GET / HTTP/1.1\r\n\r\n",
		"a byte like a TLS record":  "\x16",
		"TLS without a name":        hello(""),
		"TLS that is broken":        "\x16\x03\x01\x00\x05aaaaa",
		"a name that is almost one": hello("x." + upstreams[0]),
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			client := s.dial(t)
			write(t, client, sent)
			if err := client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			server := s.accept(t)
			got, err := io.ReadAll(server)
			if err != nil || string(got) != sent {
				t.Errorf("passed on %q, %v", got, err)
			}
			// The other direction is still open.
			write(t, server, "answer")
			if err := server.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(client); err != nil || string(answer) != "answer" {
				t.Errorf("answered %q, %v", answer, err)
			}
		})
	}
}

func TestAClientThatWaitsForItsServerIsPassedOn(t *testing.T) {
	s := newScene(t)
	client := s.dial(t)
	server := s.accept(t)
	write(t, server, "220 welcome")
	if got := read(t, client, 11); got != "220 welcome" {
		t.Errorf("read %q", got)
	}
	write(t, client, "EHLO")
	if got := read(t, server, 4); got != "EHLO" {
		t.Errorf("read %q", got)
	}
}

func TestASlowClientForAnUpstreamIsTerminatedAllTheSame(t *testing.T) {
	s := newScene(t)
	client := s.dial(t)
	// It has said nothing for so long that its server was called.
	server := s.accept(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority.PEM())
	go func() {
		c := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: upstreams[0]})
		_, _ = io.WriteString(c, "my token")
	}()
	accepted := s.acceptUpstreams(t)
	if got := read(t, accepted, 8); got != "my token" {
		t.Errorf("read %q", got)
	}
	_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := server.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the server was told something")
	}
}

func TestASlowForeignClientIsPassedOnWhole(t *testing.T) {
	s := newScene(t)
	for name, text := range map[string]string{"that does not speak TLS": "GET / HTTP/1.1\r\n\r\n", "that says half a word of TLS and ends": "\x16\x03\x01"} {
		client := s.dial(t)
		server := s.accept(t)
		write(t, client, text)
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, server, len(text)); got != text {
			t.Errorf("a client %s: read %q", name, got)
		}
		write(t, server, "bye")
		if got := read(t, client, 3); got != "bye" {
			t.Errorf("a client %s: it read %q", name, got)
		}
	}
}

func TestAnInterruptedReaderCannotGoOnWaiting(t *testing.T) {
	s := newScene(t)
	client := s.dial(t)
	heard := &interruptible{TCPConn: client}
	heard.interrupt()
	// As a reader does that has the first byte of a ClientHello.
	_ = heard.SetReadDeadline(time.Now().Add(helloTimeout))
	begun := time.Now()
	if _, err := heard.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) > helloTimeout/2 {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	heard.resume()
	write(t, s.accept(t), "x")
	if got := read(t, client, 1); got != "x" {
		t.Errorf("read %q", got)
	}
}

func TestAPeerThatBreaksOffBeforeAWordIsSeenToBreakOff(t *testing.T) {
	for name, ends := range map[string]func(client, server *net.TCPConn) (broken, other *net.TCPConn){
		"the server": func(client, server *net.TCPConn) (broken, other *net.TCPConn) { return server, client },
		"the client": func(client, server *net.TCPConn) (broken, other *net.TCPConn) { return client, server },
	} {
		s := newScene(t)
		client := s.dial(t)
		broken, other := ends(client, s.accept(t))
		// Both sides of the way are there once the one between knows of it too.
		time.Sleep(100 * time.Millisecond)
		reset(broken)
		_ = other.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s broke off: the other saw %v", name, err)
		}
	}
}

func TestHalfAWordKeepsNobodyOut(t *testing.T) {
	s := newScene(t)
	for range maxUndecided + 50 {
		write(t, s.dial(t), "\x16")
	}
	client := s.dial(t)
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: upstreams[0], InsecureSkipVerify: true}).Handshake()
	}()
	s.acceptUpstreams(t)
	if n := s.redirected.undecided.count(); n > maxUndecided {
		t.Errorf("%d are undecided", n)
	}
}

func TestAServerThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	s := newScene(t)
	client := s.dial(t)
	write(t, client, "hello")
	server := s.accept(t)
	read(t, server, 5)
	reset(server)
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the client saw %v, not a reset", err)
	}
}

func TestAPeerThatDoesNotReadHoldsTheOtherBack(t *testing.T) {
	s := newScene(t)
	client := s.dial(t)
	write(t, client, "x")
	s.accept(t)
	_ = client.SetWriteDeadline(time.Now().Add(time.Second))
	block, total := make([]byte, 1<<20), 0
	for total < 256<<20 {
		n, err := client.Write(block)
		total += n
		if err != nil {
			return
		}
	}
	t.Error("256 MiB went into somewhere though nobody reads them")
}

func TestAConnectionThatWasNotRedirectedIsRefused(t *testing.T) {
	s := newSceneGoing(t, func(listener, _ netip.AddrPort) netip.AddrPort { return listener })
	client, err := net.Dial("tcp", s.redirected.Addr().String())
	if err != nil {
		return // reset already
	}
	defer func() { _ = client.Close() }()
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("it was served")
	}
}

func TestAWildcardListenerDoesNotCallItself(t *testing.T) {
	own := func(c *net.TCPConn) (netip.AddrPort, error) { return addrPort(c.LocalAddr()), nil }
	r, err := listenRedirected(t.Context(), []string{"0.0.0.0:0"}, open(t, t.TempDir(), upstreams), func(string, int) bool { return false }, nil, own)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, port, err := net.SplitHostPort(r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return // reset already
	}
	defer func() { _ = client.Close() }()
	_, _ = client.Write([]byte("x"))
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	var timeout net.Error
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("it was passed on: %v", err)
	}
	if passed := len(r.passedOn); passed != 0 {
		t.Errorf("%d connections to itself", passed)
	}
}

func TestConnectionsThatArePassedOnTakeNoUpstreamsPlace(t *testing.T) {
	s := newScene(t)
	for range 20 {
		client := s.dial(t)
		write(t, client, "x")
		s.accept(t)
	}
	// Each is decided, so that none counts against those that are to come.
	for end := time.Now().Add(10 * time.Second); s.redirected.undecided.count() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are undecided", s.redirected.undecided.count())
		}
	}
	if passed := len(s.redirected.passedOn); passed != 20 {
		t.Errorf("%d are passed on", passed)
	}
}

func TestTLSListenersRefuseOtherHosts(t *testing.T) {
	a := open(t, t.TempDir(), upstreams)
	listeners, err := ListenTLS(context.Background(), []string{"127.0.0.1:0"}, a)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeAll(listeners) }()
	go func() {
		for {
			c, err := listeners[0].Accept()
			if err != nil {
				return
			}
			go func() { _ = c.(*tls.Conn).Handshake() }()
		}
	}()
	for host, want := range map[string]bool{upstreams[0]: true, upstreams[1]: true, "example.com": false} {
		c, err := tls.Dial("tcp", listeners[0].Addr().String(), &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

func FuzzReadHello(f *testing.F) {
	var b bytes.Buffer
	_ = tls.Client(&written{&b}, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}).Handshake()
	f.Add(b.Bytes())
	f.Add([]byte("\x16\x03\x01\x00\x00"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, server := net.Pipe()
		go func() {
			_, _ = client.Write(sent)
			_ = client.Close()
		}()
		read := readHello(server, silence).read
		rest, _ := io.ReadAll(server)
		if got := append(read, rest...); !bytes.Equal(got, sent) {
			t.Errorf("of %q came %q", sent, got)
		}
	})
}

// written is a connection that keeps what is written to it.
type written struct{ b *bytes.Buffer }

func (w *written) Write(b []byte) (int, error)    { return w.b.Write(b) }
func (*written) Read([]byte) (int, error)         { return 0, io.EOF }
func (*written) Close() error                     { return nil }
func (*written) LocalAddr() net.Addr              { return nil }
func (*written) RemoteAddr() net.Addr             { return nil }
func (*written) SetDeadline(time.Time) error      { return nil }
func (*written) SetReadDeadline(time.Time) error  { return nil }
func (*written) SetWriteDeadline(time.Time) error { return nil }
