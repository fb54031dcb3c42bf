package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// managedByAWS is an upstream under the name of one of AWS's own servers.
func managedByAWS(t *testing.T, handler http.HandlerFunc) (ca string, dial func(context.Context, string, string) (net.Conn, error)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"aws-mcp.us-east-1.api.aws"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "aws-mcp.us-east-1.api.aws:") {
				address = server.Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
}

func TestAnEmptyListOfAWSIsAskedForOnceMore(t *testing.T) {
	const empty, full = `{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"aws___run_script"}]}}`
	for name, c := range map[string]struct {
		first, second, body string
		asked               int64
		want                string
	}{
		"empty, then full":      {empty, full, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 2, "aws___run_script"},
		"empty twice":           {empty, empty, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 2, `"tools":[]`},
		"full":                  {full, full, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 1, "aws___run_script"},
		"a later page":          {empty, full, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}`, 1, `"tools":[]`},
		"a page of several":     {strings.Replace(empty, "[]", `[],"nextCursor":"x"`, 1), full, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 1, "nextCursor"},
		"another list":          {strings.Replace(empty, "tools", "prompts", 1), full, `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`, 1, `"prompts":[]`},
		"as an event":           {"data: " + empty + "\n\n", "data: " + full + "\n\n", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 2, "aws___run_script"},
		"as an event of others": {"event: ping\ndata: x\n\ndata: " + empty + "\n\n", full, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 2, "aws___run_script"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			ca, dial := managedByAWS(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				answer := c.first
				if asked.Add(1) > 1 {
					answer = c.second
				}
				w.Header().Set("Content-Type", "application/json")
				if !strings.HasPrefix(answer, "{") {
					w.Header().Set("Content-Type", "text/event-stream")
				}
				_, _ = io.WriteString(w, answer)
			})
			b := newBed(t, bedOptions{upstreamURL: "https://aws-mcp.us-east-1.api.aws/mcp", dial: dial, files: map[string]string{"ca.pem": ca}})
			got := b.post(b.token("alice", nil), c.body)
			if got.status != http.StatusOK || !strings.Contains(got.body, c.want) || asked.Load() != c.asked {
				t.Errorf("asked %d times: %d %s", asked.Load(), got.status, got.body)
			}
			if counted := strings.Contains(b.metrics(), `countersign_empty_lists_total{upstream="aws"}`); counted != (c.asked > 1) {
				t.Errorf("counted: %t", counted)
			}
		})
	}
}
