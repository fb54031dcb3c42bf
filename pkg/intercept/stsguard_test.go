package intercept

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAllNamesOfSTSAreKnown(t *testing.T) {
	for _, host := range append(stsHosts(),
		"STS.amazonaws.com.", "sts.xx-new-9.amazonaws.com", "sts.us-iso-east-1.c2s.ic.gov", "sts.us-isob-east-1.sc2s.sgov.gov",
		"sts.eu-isoe-west-1.cloud.adc-e.uk", "sts.us-isof-south-1.csp.hci.ic.gov", "sts-fips.us-gov-west-1.amazonaws.com",
		"vpce-0a1b-2c3d.sts.eu-west-1.vpce.amazonaws.com", "vpce-0a1b-2c3d-eu-west-1a.sts.eu-west-1.vpce.amazonaws.com",
	) {
		if !IsSTSName(host) {
			t.Errorf("%s is not known", host)
		}
	}
	for _, host := range []string{
		"", "sts", "example.com", "sts.example.com", "aws-mcp.us-east-1.api.aws", "mysts.amazonaws.com", "s3.amazonaws.com",
		"sts.amazonaws.com.example.com", "x.sts.amazonaws.com.evil", "sts.global.tokens.example",
	} {
		if IsSTSName(host) {
			t.Errorf("%s is taken for STS", host)
		}
	}
}

// guardedBed passes connections on to a TLS server, unless the guard refuses them.
func guardedBed(t *testing.T, guard *STSGuard) (dial func() net.Conn) {
	t.Helper()
	target := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) }))
	t.Cleanup(target.Close)
	server := netip.MustParseAddrPort(target.Listener.Addr().String())
	authority := open(t, t.TempDir(), []string{"upstream.example.com"})
	r, err := listenRedirected(t.Context(), []string{"127.0.0.1:0"}, authority, func(string, int) bool { return false }, guard,
		func(*net.TCPConn) (netip.AddrPort, error) { return server, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return func() net.Conn {
		c, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// reaches reports whether a TLS client with this server name, which says nothing for a
// while, gets an answer.
func reaches(c net.Conn, serverName string, wait time.Duration) bool {
	time.Sleep(wait)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	client := tls.Client(c, &tls.Config{ServerName: serverName, InsecureSkipVerify: true})
	if _, err := io.WriteString(client, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	answer, _ := io.ReadAll(client)
	return strings.HasSuffix(string(answer), "served")
}

func TestThePodsOwnConnectionsToSTSAreRefused(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	elsewhere := map[string][]netip.Addr{"sts.amazonaws.com": {netip.MustParseAddr("192.0.2.1")}}
	for name, c := range map[string]struct {
		enabled    bool
		serverName string
		addresses  map[string][]netip.Addr
		wait       time.Duration
		reached    bool
		by         string
	}{
		"off":                                 {false, "sts.us-east-1.amazonaws.com", nil, 0, true, ""},
		"by name":                             {true, "sts.us-east-1.amazonaws.com", nil, 0, false, "name"},
		"by name, said late":                  {true, "sts.us-east-1.amazonaws.com", elsewhere, 2 * silence, false, "name"},
		"by the name of the sidecar's own":    {true, "sts.internal.example.com", nil, 0, false, "name"},
		"another name":                        {true, "example.com", nil, 0, true, ""},
		"no name, another address":            {true, "", elsewhere, 0, true, ""},
		"no name, an address of STS":          {true, "", map[string][]netip.Addr{"sts.eu-west-1.amazonaws.com": {loopback}}, 0, false, "address"},
		"no name, an address in another form": {true, "", map[string][]netip.Addr{"sts.eu-west-1.api.aws": {netip.MustParseAddr("::ffff:127.0.0.1")}}, 0, false, "address"},
		"no name, the sidecar's own address":  {true, "", map[string][]netip.Addr{"sts.internal.example.com": {loopback}}, 0, false, "address"},
		"no name, and nothing resolves":       {true, "", nil, 0, false, "address"},
		"silent, an address of STS":           {true, "", map[string][]netip.Addr{"sts.amazonaws.com": {loopback}}, 2 * silence, false, "address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var by atomic.Value
			by.Store("")
			guard := NewSTSGuard(func() bool { return c.enabled }, "https://sts.internal.example.com:8443/", func(how string) { by.Store(how) })
			guard.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
				if found := c.addresses[host]; found != nil {
					return found, nil
				}
				return nil, errors.New("no such host")
			}
			if reached := reaches(guardedBed(t, guard)(), c.serverName, c.wait); reached != c.reached || by.Load() != c.by {
				t.Errorf("reached %v, refused by %q", reached, by.Load())
			}
		})
	}
}

func TestAForeignNameDoesNotHideAnAddressOfSTS(t *testing.T) {
	guard := NewSTSGuard(func() bool { return true }, "", func(string) {})
	guard.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	dial := guardedBed(t, guard)
	// The first one, too.
	for range 2 {
		if reaches(dial(), "example.com", 0) {
			t.Error("a connection to STS with another server name was passed on")
		}
	}
}

func TestAddressesOfSTSAreRemembered(t *testing.T) {
	guard := NewSTSGuard(func() bool { return true }, "", func(string) {})
	answers := make(chan []netip.Addr, 1)
	guard.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "sts.amazonaws.com" {
			return nil, errors.New("no such host")
		}
		if found := <-answers; found != nil {
			return found, nil
		}
		return nil, errors.New("no DNS")
	}
	// AWS's answers take turns, and then there is no DNS.
	for _, found := range [][]netip.Addr{{netip.MustParseAddr("192.0.2.7")}, {netip.MustParseAddr("192.0.2.8")}, nil} {
		answers <- found
		<-guard.resolve()
	}
	for text, want := range map[string]bool{
		"192.0.2.7": true, "192.0.2.8": true, "192.0.2.9": false, "::ffff:192.0.2.7": true, "64:ff9b::c000:207": true,
		"64:ff9b::c000:209": false,
	} {
		if got := guard.isSTS(t.Context(), netip.MustParseAddr(text), true); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
