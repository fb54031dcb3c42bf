package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/countersign-io/countersign/e2e/standin"
)

// makeClient makes the sidecar a client of the identity provider, and gives the file with
// its secret.
func (s *story) makeClient(dir string) (string, error) {
	secret := rand.Text()
	s.issuer.AllowExchange(
		standin.ExchangeClient{ID: sidecarClient, Secret: secret, Audiences: []string{awsAudience}},
	)
	path := filepath.Join(dir, ".client-secret")
	if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
		return "", fmt.Errorf("write the client's secret: %w", err)
	}
	return path, nil
}

// hostile has the agent take a person's token to STS itself.
func (s *story) hostile(ctx context.Context, p *person) error {
	head("What the agent holds opens nothing: it takes alice's token to AWS STS itself")
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {"arn:aws:iam::123456789012:role/" + p.role},
		"RoleSessionName": {p.name}, "DurationSeconds": {"900"}, "WebIdentityToken": {p.token},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.sts.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("ask STS: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusOK {
		return errors.New("STS took the agent's own token")
	}
	say("%d from STS: the token is for audience %s, and AWS trusts what the client %s gets",
		answer.StatusCode, audience, sidecarClient)
	exchanged := s.issuer.Exchanges()[0]
	say("the sidecar exchanged it at the identity provider for audience %s; nobody else has that client's secret",
		exchanged.Get("audience"))
	return nil
}
