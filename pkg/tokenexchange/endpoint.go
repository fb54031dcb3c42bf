package tokenexchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/identity"
)

// endpointLife is how long a discovered token endpoint is used before it is asked for
// again; while that fails, the last one stays.
const endpointLife = 5 * time.Minute

const (
	// discoveryTime bounds one discovery, discoveryPause is the least time between a
	// failed one and the next.
	discoveryTime  = 4 * time.Second
	discoveryPause = time.Second
)

// endpoint is where tokens are exchanged: the configured one, or the one that the
// issuer's discovery document has.
type endpoint struct {
	issuer string
	client *http.Client

	mu         sync.Mutex
	configured bool
	location   string
	discovered time.Time
	// asking is closed when the discovery under way ends; nil without one. err is that
	// of the last, and until pause none begins.
	asking chan struct{}
	err    error
	pause  time.Time
}

func newEndpoint(config *authconfig.Exchange, client *http.Client) *endpoint {
	bounded := *client
	bounded.Transport = identity.LimitAnswers(client.Transport, maxAnswer)
	return &endpoint{
		issuer: config.Issuer, client: &bounded, location: config.TokenEndpoint, configured: config.TokenEndpoint != "",
	}
}

// url gives the endpoint. A known one is used while it is asked for again; only the
// first is waited for.
func (e *endpoint) url(ctx context.Context) (string, error) {
	e.mu.Lock()
	location := e.location
	if !e.configured && time.Since(e.discovered) >= endpointLife && e.asking == nil && !time.Now().Before(e.pause) {
		e.asking = make(chan struct{})
		go e.refresh() //nolint:contextcheck,gosec // it outlives who asked first
	}
	asking := e.asking
	e.mu.Unlock()
	if location != "" {
		return location, nil
	}
	if asking != nil {
		select {
		case <-asking:
		case <-ctx.Done():
			return "", errors.New("discovery takes too long")
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.location, e.err
}

// refresh discovers the endpoint once more; a failure leaves the last one.
func (e *endpoint) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), discoveryTime)
	defer cancel()
	found, err := e.discover(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err = err; err == nil {
		e.location, e.discovered = found, time.Now()
	} else {
		e.pause = time.Now().Add(discoveryPause)
	}
	close(e.asking)
	e.asking = nil
}

// discover reads OpenID Connect Discovery's document. The library's error may hold the
// whole answer, so that it is not passed on.
func (e *endpoint) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, e.client), e.issuer)
	var unreachable *url.Error
	switch {
	case errors.As(err, &unreachable):
		// The network's words, not the issuer's.
		return "", fmt.Errorf("the discovery document of %s cannot be had: %w", e.issuer, unreachable.Err)
	case err != nil:
		return "", fmt.Errorf("the discovery document of %s cannot be had", e.issuer)
	}
	location := provider.Endpoint().TokenURL
	return location, identity.CheckLocation(e.issuer, "token_endpoint", location)
}
