package liveconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/countersign-io/countersign/pkg/atomicfile"
	"github.com/countersign-io/countersign/pkg/authconfig"
)

// rendered is what of an auth-config was rendered into the Pod. It is kept
// beside the CA's key, for a container that starts again.
type rendered struct {
	Hosts          []string                  `json:"hosts"`
	Ports          []int                     `json:"ports"`
	Source         authconfig.IdentitySource `json:"source"`
	ServiceAccount authconfig.ServiceAccount `json:"serviceAccount"`
	// Exchange is nil where no credential for one is mounted.
	Exchange *renderedExchange `json:"exchange,omitempty"`
	DenySTS  bool              `json:"denySTS,omitzero"`
}

// renderedExchange is what of an exchange made a volume, and to whom the credential in it
// goes: who may change the auth-config of a running Pod must not have it sent elsewhere.
type renderedExchange struct {
	Issuer         string                          `json:"issuer"`
	TokenEndpoint  string                          `json:"tokenEndpoint"`
	ClientID       string                          `json:"clientID"`
	Authentication authconfig.ClientAuthentication `json:"authentication"`
	Secret         authconfig.SecretRef            `json:"secret"`
	// Audience is that of the service-account token, empty without one.
	Audience string                   `json:"audience"`
	Actor    authconfig.ExchangeActor `json:"actor"`
}

const fileRendered = "rendered.json"

func renderedOf(config *authconfig.Config) rendered {
	r := rendered{
		Hosts:  slices.Sorted(slices.Values(config.Hosts())),
		Ports:  config.Ports(),
		Source: config.Identity.Source, DenySTS: config.Egress.DenySTS,
	}
	if r.Source == authconfig.SourceServiceAccount {
		r.ServiceAccount = config.Identity.ServiceAccount
	} else if e := config.Identity.OIDC.Exchange; e != nil {
		r.Exchange = &renderedExchange{
			Issuer: e.Issuer, TokenEndpoint: e.TokenEndpoint, ClientID: e.Client.ID,
			Authentication: e.Client.Authentication, Secret: e.Client.SecretRef, Actor: e.Actor,
		}
		if e.UsesServiceAccount() {
			r.Exchange.Audience = e.Client.Audience
		}
	}
	return r
}

// CheckRendered compares the auth-config with the one that this Pod was first
// started with, in what no restart can change; the note of it is kept in dir. A change would otherwise send the
// app's calls past the sidecar, or to nowhere.
func CheckRendered(dir string, config *authconfig.Config) error {
	now := renderedOf(config)
	text, err := json.Marshal(now, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("note what was rendered: %w", err)
	}
	path := filepath.Join(dir, fileRendered)
	before, err := os.ReadFile(path) //nolint:gosec // the operator names the directory
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := atomicfile.Write(path, text, 0o600); err != nil {
			return fmt.Errorf("note what was rendered: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("read what was rendered: %w", err)
	case !bytes.Equal(before, text):
		return fmt.Errorf(
			"the auth-config has changed in what was rendered into this Pod (upstream hosts and ports, "+
				"identity.source, identity.serviceAccount, the credential of identity.oidc.exchange, egress.denySTS): "+
				"it was %s and is %s; a new Pod is needed",
			before,
			text,
		)
	}
	return nil
}
