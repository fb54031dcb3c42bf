package tokenexchange

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
)

// endpointLife is how long a discovered token endpoint is used before it is asked for
// again; while that fails, the last one stays.
const endpointLife = 5 * time.Minute

// endpoint is where tokens are exchanged: the configured one, or the one that the
// issuer's discovery document has.
type endpoint struct {
	issuer string
	client *http.Client

	mu         sync.Mutex
	configured bool
	location   string
	discovered time.Time
}

func newEndpoint(config *authconfig.Exchange, client *http.Client) *endpoint {
	bounded := *client
	bounded.Transport = identity.LimitAnswers(client.Transport, maxAnswer)
	return &endpoint{
		issuer: config.Issuer, client: &bounded, location: config.TokenEndpoint, configured: config.TokenEndpoint != "",
	}
}

func (e *endpoint) url(ctx context.Context) (string, error) {
	e.mu.Lock()
	location, fresh := e.location, e.configured || time.Since(e.discovered) < endpointLife
	e.mu.Unlock()
	if fresh {
		return location, nil
	}
	found, err := e.discover(ctx)
	if err != nil {
		if location != "" {
			return location, nil
		}
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.location, e.discovered = found, time.Now()
	return found, nil
}

// discover reads OpenID Connect Discovery's document. The library's error may hold the
// whole answer, so that it is not passed on.
func (e *endpoint) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, e.client), e.issuer)
	if err != nil {
		return "", fmt.Errorf("the discovery document of %s cannot be had", e.issuer)
	}
	location := provider.Endpoint().TokenURL
	return location, identity.CheckLocation("token_endpoint", location)
}
