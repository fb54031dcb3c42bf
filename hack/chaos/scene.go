package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

const audience = "countersign"

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: %q, region: us-east-1, service: aws-mcp}
  identity: {source: bearer, oidc: {issuer: %q, audience: countersign}}
  awsSts:
    region: us-east-1
    roleMappings:
    - {claim: users, roleArn: "arn:aws:iam::123456789012:role/Users", priority: 10}
  limits: {upstreamHeaderTimeout: %s}
`

const policies = `
@id("users-%d") permit (principal in MCP::Group::"users", action == MCP::Action::"echo", resource)
when { context.input has who && context.input.who == principal.sub };
@id("nobody") forbid (principal, action == MCP::Action::"drop", resource);
`

// scene is a sidecar with what it talks to, each behind a link.
type scene struct {
	options

	issuer             *standin.Issuer
	sts                *standin.STS
	upstream           *checkingUpstream
	toIssuer, toSTS    *link
	toUpstream         *link
	upstreamURL, path  string
	dir, headerTimeout string
	// ca is what the sidecar trusts beside the system's roots.
	ca      string
	command string
	flags   []string

	client  *http.Client
	mu      sync.Mutex
	process *standin.Process
	servers []*httptest.Server
	fresh   atomic.Int64
}

func newScene(o options) (*scene, error) {
	s := &scene{options: o, path: "/mcp", headerTimeout: "5s", command: o.sidecar}
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var err error
	for _, l := range []**link{&s.toIssuer, &s.toSTS, &s.toUpstream} {
		if *l, err = newLink(); err != nil {
			return nil, err
		}
	}
	if s.dir, err = os.MkdirTemp("", "countersign-chaos-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	s.issuer = standin.NewIssuerAt("http://" + s.toIssuer.address)
	s.behind(s.toIssuer, s.issuer.Handler())
	s.sts = standin.NewUnservedSTS()
	// STS has a way of its own to the issuer, on which nothing happens.
	s.sts.Trust(s.issuer.URL, audience, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.toIssuer.target)
		},
	}})
	s.behind(s.toSTS, s.sts.Handler())
	s.upstream = &checkingUpstream{
		verifier: &standin.Verifier{STS: s.sts, Region: "us-east-1", Service: "aws-mcp"},
	}
	s.behind(s.toUpstream, s.upstream)
	s.upstreamURL = "http://" + s.toUpstream.address + s.path
	const header = "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
	s.toIssuer.head, s.toIssuer.filler = fmt.Sprintf(header, "application/json")+`{"keys":[`, `{"kty":"RSA"},`
	s.toSTS.head, s.toSTS.filler = fmt.Sprintf(header, "text/xml")+
		`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>`, "xxxxxxxx"
	s.toUpstream.head, s.toUpstream.filler = fmt.Sprintf(header, "application/json")+
		`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`, "xxxxxxxx"
	return s, nil
}

func (s *scene) behind(l *link, handler http.Handler) {
	server := httptest.NewServer(handler)
	s.servers = append(s.servers, server)
	l.target = server.Listener.Addr().String()
}

func (s *scene) files(version int) map[string]string {
	files := map[string]string{
		"auth-config.yaml": fmt.Sprintf(authConfig, s.upstreamURL, s.issuer.URL, s.headerTimeout),
		"tools.cedar":      fmt.Sprintf(policies, version),
	}
	if s.ca != "" {
		files["ca.pem"] = s.ca
	}
	return files
}

func (s *scene) start(ctx context.Context) error {
	p, err := standin.StartSidecarWithFlags(ctx, s.command, s.dir, s.files(0), s.flags,
		"AWS_ENDPOINT_URL_STS=http://"+s.toSTS.address, containerMemory)
	if err != nil {
		return err
	}
	p.ForgetAudit()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

func (s *scene) running() *standin.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *scene) url() string { return s.running().URL }

func (s *scene) stop() error {
	var err error
	if p := s.running(); p != nil {
		err = p.Stop()
	}
	for _, l := range []*link{s.toIssuer, s.toSTS, s.toUpstream} {
		l.stop()
	}
	s.client.CloseIdleConnections()
	for _, server := range s.servers {
		server.CloseClientConnections()
		server.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// known are callers with one token each.
func (s *scene) known(n int) []caller {
	all := make([]caller, n)
	for i := range all {
		all[i] = s.someone(fmt.Sprint("known-", i), time.Hour)
	}
	return all
}

func (s *scene) someone(name string, life time.Duration) caller {
	token := s.tokenFor(name, map[string]any{"exp": time.Now().Add(life).Unix()})
	return caller{name, func() string { return token }}
}

func (s *scene) tokenFor(name string, claims map[string]any) string {
	all := map[string]any{"sub": name, "aud": audience, "groups": []string{"users"}}
	for claim, value := range claims {
		all[claim] = value
	}
	return s.issuer.Token(all)
}

// coming are callers who come with a new token for each call.
func (s *scene) coming(claims func() map[string]any) []caller {
	all := make([]caller, comingCallers)
	for i := range all {
		name := fmt.Sprint("coming-", i)
		all[i] = caller{name, func() string {
			extra := map[string]any{"jti": s.fresh.Add(1)}
			if claims != nil {
				for claim, value := range claims() {
					extra[claim] = value
				}
			}
			return s.tokenFor(name, extra)
		}}
	}
	return all
}
