package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/compile"
	"github.com/countersign-io/countersign/pkg/configmap"
	"github.com/countersign-io/countersign/pkg/fairness"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/residentmemory"
)

// maxValidated bounds the versions of auth-configs whose validation is
// remembered. One takes a few KiB: policies and matchers, which take far more,
// are compiled to be validated and not kept.
const maxValidated = 4096

const (
	// maxValidating bounds how many auth-configs are validated at once, one of a namespace:
	// one can take seconds and many MiB if somebody means it to.
	maxValidating = 2
	// validationWait is how long one waits for its namespace's turn, at the most; the API
	// server has often gone before.
	validationWait = 10 * time.Second
)

// quietTime is for how long nothing was validated when the memory for it is given back: that of the
// programs that read policies and claims, and what a start left behind.
const quietTime = 2 * time.Second

// validationTime bounds one validation. What it validates is bounded, so that this is a
// second line: one that takes longer is refused, and keeps its place until it ends.
const validationTime = 5 * time.Second

var validationPlaces = fairness.Limits{Most: maxValidating, PerCaller: 1, Shared: true, Wait: validationWait}

// validatedConfigs validates each version of a ConfigMap once.
type validatedConfigs struct {
	known *lru.Cache[configVersion, validatedConfig]
	// quiet is run when nothing was validated for quietTime.
	quiet  *time.Timer
	flight singleflight.Group
	// places are given to namespaces in turn, so that what one tenant has validated delays
	// another's by one validation at the most.
	places fairness.Places
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
	return &validatedConfigs{known: known, quiet: time.AfterFunc(quietTime, residentmemory.GiveBack)}, nil
}

// compile is configmap.Compile when it is this one's turn, or an error that is
// not about the ConfigMap when ctx ends first.
func (c *validatedConfigs) compile(ctx context.Context, cm *corev1.ConfigMap) (*compile.Compiled, error) {
	if c.places.Take(ctx, cm.Namespace, validationPlaces) != nil {
		return nil, errBusy
	}
	type result struct {
		config *compile.Compiled
		err    error
	}
	results := make(chan result, 1)
	go func() {
		defer c.quiet.Reset(quietTime)
		defer c.places.Release(cm.Namespace)
		config, err := configmap.Compile(cm)
		results <- result{config, err}
	}()
	timer := time.NewTimer(validationTime)
	defer timer.Stop()
	select {
	case r := <-results:
		return r.config, r.err
	case <-timer.C:
		return nil, authconfig.Errors{{
			Path: authconfig.FileConfig, Message: fmt.Sprintf("takes longer than %v to validate", validationTime),
		}}
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
	return validatedConfig{config: inject.ConfigPart(compiled.Config)}
}
