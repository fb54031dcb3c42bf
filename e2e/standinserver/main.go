// Command standinserver plays the parts of an identity provider, AWS STS and an MCP
// server on AWS inside a cluster, over HTTPS under the names of their Services.
// A plain port gives tests tokens, the CA and what was seen.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/pkg/intercept"
)

const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

func main() {
	domain := flag.String("domain", "standins.svc.cluster.local", "what comes behind issuer, sts and aws-mcp")
	clusterIssuer := flag.String(
		"cluster-issuer",
		"https://kubernetes.default.svc.cluster.local",
		"issuer of service-account tokens",
	)
	flag.Parse()
	if err := run(*domain, *clusterIssuer); err != nil {
		fmt.Fprintln(os.Stderr, "standinserver:", err)
		os.Exit(1)
	}
}

func run(domain, clusterIssuer string) error {
	hosts := map[string]http.Handler{}
	name := func(label string) string { return label + "." + domain }
	names := []string{
		name("issuer"), name("sts"), name("aws-mcp"), name("foreign"), "second.standins.svc", shortName, name("op"),
	}
	dir, err := os.MkdirTemp("", "ca-")
	if err != nil {
		return err
	}
	authority, err := intercept.OpenAuthority(dir, names)
	if err != nil {
		return err
	}
	issuer := standin.NewIssuerAt("https://" + name("issuer"))
	sts := standin.NewUnservedSTS()
	// The stand-in need not go through the network to trust itself.
	sts.Trust(issuer.URL, "countersign", &http.Client{Transport: handlerTransport{issuer.Handler()}})
	clusterClient, err := newClusterClient()
	if err != nil {
		return err
	}
	sts.Trust(clusterIssuer, "sts.amazonaws.com", clusterClient)
	aws := standin.NewUnservedMCPServer(standin.MCPOptions{STS: sts, AWSOnly: true})
	hosts[names[0]], hosts[names[1]], hosts[names[2]] = issuer.Handler(), sts.Handler(), aws.Handler()
	hosts[names[3]], hosts[names[4]] = http.HandlerFunc(serveForeign), http.HandlerFunc(serveSecondWebhook)
	hosts[names[5]] = aws.Handler()
	hosts[names[6]] = opProxy()
	dns := &nameServer{domain: domain, asked: map[string]int{}}

	admin := http.NewServeMux()
	admin.HandleFunc("GET /ca.pem", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authority.PEM()) })
	admin.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		var claims map[string]any
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&claims); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(issuer.Token(claims)))
	})
	admin.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).
			Encode(map[string]any{
				"verified": aws.Verified.Load(), "refused": aws.Refused.Load(),
				"granted": sts.Granted(), "asked": dns.seen(), "instances": aws.Account.Instances("eu-west-1"),
			})
	})
	admin.HandleFunc("POST /plant", func(w http.ResponseWriter, _ *http.Request) {
		if err := aws.Plant("statistics", standin.PlantedStatistics); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	(&exchangeAdmin{issuer: issuer, sts: sts, clusterIssuer: clusterIssuer, clusterClient: clusterClient, opIssuer: "https://" + names[6]}).
		register(
			admin,
		)
	failed := make(chan error, 3)
	go func() { failed <- dns.serve(":5353") }()
	go func() {
		failed <- (&http.Server{Addr: ":8080", Handler: admin, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
	}()
	go func() {
		server := &http.Server{
			Addr: ":8443", ReadHeaderTimeout: 10 * time.Second,
			TLSConfig: &tls.Config{
				MinVersion: tls.VersionTLS12,
				GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					if hello.ServerName == "" {
						// A client that says no name gets one of the certificates.
						hello.ServerName = name("sts")
					}
					return authority.GetCertificate(hello)
				},
			},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
				handler, ok := hosts[host]
				if !ok {
					http.NotFound(w, r)
					return
				}
				handler.ServeHTTP(w, r)
			}),
		}
		failed <- server.ListenAndServeTLS("", "")
	}()
	slog.Info("serving", "names", names)
	return <-failed
}

// serveForeign is a server that is none of Countersign's business; it gives as
// many MiB as it is asked for, no faster than a network of that many MiB a second
// would.
func serveForeign(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("mib"))
	if size == 0 {
		_, _ = w.Write([]byte("foreign"))
		return
	}
	pace, _ := strconv.Atoi(r.FormValue("pace"))
	const blocksPerMiB = 8
	block := make([]byte, 1<<20/blocksPerMiB)
	begun := time.Now()
	for n := range min(size, 4096) * blocksPerMiB {
		if pace > 0 {
			time.Sleep(time.Until(begun.Add(time.Duration(n) * time.Second / time.Duration(pace*blocksPerMiB))))
		}
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// handlerTransport answers requests with a handler in this process.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := newRecorder()
	t.handler.ServeHTTP(recorder, r)
	return recorder.response(r), nil
}
