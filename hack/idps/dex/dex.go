// Package dex runs Dex on loopback, with what it knows in memory, and its signing key
// rotated at once.
package dex

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
)

// tokenExchangeGrant is off in a Dex of this version unless AllowedGrantTypes is empty or names it.
const tokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// Client is one that may exchange tokens at Dex. Dex knows no policy of grant types or audiences per client.
type Client struct {
	ID, Secret string
	// Trusts are the ids of the clients that may ask for tokens with this client's id as their audience, by the scope
	// audience:server:client_id:ID.
	Trusts []string
}

// Config is what a test chooses of its Dex.
type Config struct {
	Issuer        string // the URL Dex is reached at
	Upstream      string // the issuer of the subject tokens; it must answer discovery when Dex starts
	ConnectorID   string // what a request names as connector_id
	TokenLifetime time.Duration
	Clients       []Client
	Logger        *slog.Logger
}

// Dex is one whose signing key can be rotated at once. Dex itself looks only every thirty seconds whether its key
// is due, and caches the key until then, so a rotation is a second server over the same storage.
type Dex struct {
	config  Config
	storage storage.Storage
	current atomic.Pointer[server.Server]

	mu   sync.Mutex         // guards stop, and so lets one rotation run at a time
	stop context.CancelFunc // ends the background work of the current server
}

// New starts a Dex; it is served by its ServeHTTP.
func New(ctx context.Context, config Config) (*Dex, error) {
	connector, err := oidcConnector(config)
	if err != nil {
		return nil, err
	}
	store := memory.New(config.Logger)
	if err := store.CreateConnector(ctx, connector); err != nil {
		return nil, fmt.Errorf("storing the connector: %w", err)
	}
	for _, c := range config.Clients {
		stored := storage.Client{ID: c.ID, Secret: c.Secret, Name: c.ID, TrustedPeers: slices.Clone(c.Trusts)}
		if err := store.CreateClient(ctx, stored); err != nil {
			return nil, fmt.Errorf("storing the client %s: %w", c.ID, err)
		}
	}
	d := &Dex{config: config, storage: store}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d, d.restart(ctx)
}

// oidcConnector trusts the upstream issuer's tokens, whatever their audience: Dex checks none in a token exchange.
func oidcConnector(config Config) (storage.Connector, error) {
	settings, err := json.Marshal(map[string]any{
		"issuer":       config.Upstream,
		"clientID":     "dex",
		"clientSecret": "unused: no one logs in here",
		"redirectURI":  config.Issuer + "/callback",
		// With email, Dex refuses a token without the claims email and email_verified.
		"scopes": []string{"profile", "email"},
		// Dex refuses a token without the claim it takes the user's name from, which is "name" unless told otherwise,
		// and a workload's token has no name.
		"userNameKey": "sub",
	})
	if err != nil {
		return storage.Connector{}, fmt.Errorf("encoding the connector: %w", err)
	}
	return storage.Connector{ID: config.ConnectorID, Type: "oidc", Name: config.ConnectorID, Config: settings}, nil
}

// restart puts a new server in the place of the current one. Dex makes a signing key at its start when none is in
// the storage or when the one there is due. Only one restart may run at a time.
func (d *Dex) restart(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	next, err := server.NewServer(ctx, server.Config{
		Issuer:            d.config.Issuer,
		Storage:           d.storage,
		AllowedGrantTypes: []string{tokenExchangeGrant},
		IDTokensValidFor:  d.config.TokenLifetime,
		Logger:            d.config.Logger,
	})
	if err != nil {
		stop()
		return fmt.Errorf("starting dex: %w", err)
	}
	d.current.Store(next)
	if d.stop != nil {
		d.stop()
	}
	d.stop = stop
	return nil
}

// Rotate makes Dex sign with a new key. The old one stays published for as long as a token lives.
func (d *Dex) Rotate(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := func(keys storage.Keys) (storage.Keys, error) {
		keys.NextRotation = time.Time{}
		return keys, nil
	}
	if err := d.storage.UpdateKeys(due); err != nil {
		return fmt.Errorf("making the key due: %w", err)
	}
	return d.restart(ctx)
}

// ServeHTTP serves the current server.
func (d *Dex) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.current.Load().ServeHTTP(w, r) }

// Close ends Dex's background work.
func (d *Dex) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
}
