package admission

import (
	"context"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/configmap"
)

// maxValidated bounds the versions of auth-configs whose validation is
// remembered. One takes a few KiB: policies and matchers, which take far more,
// are compiled to be validated and not kept.
const maxValidated = 4096

// maxValidating bounds how many auth-configs are validated at once. One can take
// seconds and many MiB if somebody means it to.
const maxValidating = 2

// validatedConfigs validates each version of a ConfigMap once.
type validatedConfigs struct {
	known  *lru.Cache[configVersion, validatedConfig]
	flight singleflight.Group
	slots  chan struct{}
}

type configVersion struct {
	uid, resourceVersion string
}

type validatedConfig struct {
	config *authconfig.Config
	err    error
}

func newValidatedConfigs() (*validatedConfigs, error) {
	known, err := lru.New[configVersion, validatedConfig](maxValidated)
	if err != nil {
		return nil, fmt.Errorf("make cache of auth-configs: %w", err)
	}
	return &validatedConfigs{known: known, slots: make(chan struct{}, maxValidating)}, nil
}

// compile is configmap.Compile when it is this one's turn, or an error that is
// not about the ConfigMap when ctx ends first.
func (c *validatedConfigs) compile(ctx context.Context, cm *corev1.ConfigMap) (*compile.Compiled, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
		return configmap.Compile(cm)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}

var errBusy = errors.New("too many auth-configs are being validated; try again")

// has reports whether the object's version was validated already.
func (c *validatedConfigs) has(cm *corev1.ConfigMap) bool {
	return c.known.Contains(configVersion{string(cm.UID), cm.ResourceVersion})
}

// get validates an object that the API server has stored. The error is an
// authconfig.Errors, or wraps errBusy.
func (c *validatedConfigs) get(ctx context.Context, cm *corev1.ConfigMap) (*authconfig.Config, error) {
	version := configVersion{string(cm.UID), cm.ResourceVersion}
	if known, ok := c.known.Get(version); ok {
		return known.config, known.err
	}
	result, _, _ := c.flight.Do(version.uid+" "+version.resourceVersion, func() (any, error) {
		validated := c.validate(ctx, cm)
		if !errors.Is(validated.err, errBusy) {
			c.known.Add(version, validated)
		}
		return validated, nil
	})
	validated, ok := result.(validatedConfig)
	if !ok {
		return nil, fmt.Errorf("validate %s/%s: unexpected result", cm.Namespace, cm.Name)
	}
	return validated.config, validated.err
}

func (c *validatedConfigs) validate(ctx context.Context, cm *corev1.ConfigMap) validatedConfig {
	compiled, err := c.compile(ctx, cm)
	if err != nil {
		return validatedConfig{err: err}
	}
	// Injection needs none of the texts; they would be kept twice.
	config := *compiled.Config
	config.PolicyFiles, config.Entities, config.Tools, config.CA = nil, nil, nil, nil
	return validatedConfig{config: &config}
}
