package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// linkFaults are what can happen on the way to a server, in the words of the table.
var linkFaults = []struct {
	fault fault
	name  string
}{
	{slow, "is slow"},
	{refusing, "refuses connections"},
	{resetting, "resets connections"},
	{blackHole, "is a black hole"},
	{garbage, "answers garbage"},
	{endless, "answers without end"},
	{cut, "is cut off in the middle"},
	{afterAMinute, "answers after a minute"},
}

const unavailableLater = "503 later"

func scenarios() []*scenario {
	var all []*scenario
	for _, of := range []func(fault, string) *scenario{stsScenario, issuerScenario, upstreamScenario} {
		for _, f := range linkFaults {
			all = append(all, of(f.fault, f.name))
		}
	}
	all = append(all, dnsScenarios()...)
	all = append(all, clockScenarios()...)
	all = append(all, configScenarios()...)
	return append(all, processScenarios()...)
}

// on makes a fault of a link.
func on(which func(s *scene) *link, f fault) func(context.Context, *scene) (func() error, error) {
	return func(_ context.Context, s *scene) (func() error, error) {
		return func() error { return which(s).set(healthy) }, which(s).set(f)
	}
}

func stsScenario(f fault, name string) *scenario {
	c := &scenario{
		name: "STS " + name, coming: []string{unavailableLater},
		fault: on(func(s *scene) *link { return s.toSTS }, f), must: unavailableLater, atMost: 12 * time.Second,
	}
	if f == slow {
		c.must, c.atLeast = "", slowness
	}
	if f == blackHole || f == afterAMinute || f == endless {
		c.length = 13 * time.Second // longer than the sidecar waits
	}
	return c
}

func issuerScenario(f fault, name string) *scenario {
	begin := on(func(s *scene) *link { return s.toIssuer }, f)
	c := &scenario{
		name: "the identity provider " + name + ", and its key is new", coming: []string{unavailableLater},
		length: 8 * time.Second, must: unavailableLater, atMost: 7 * time.Second,
		fault: func(ctx context.Context, s *scene) (func() error, error) {
			s.issuer.AddKey(jose.ES256)
			return begin(ctx, s)
		},
	}
	if f == slow {
		c.must, c.atLeast = "", slowness
	}
	return c
}

func upstreamScenario(f fault, name string) *scenario {
	c := &scenario{
		name: "the upstream " + name, fault: on(func(s *scene) *link { return s.toUpstream }, f),
		known: []string{"502", "504"}, must: "502", atMost: 7 * time.Second,
	}
	switch f {
	case slow:
		c.must, c.atLeast = "", slowness
	case blackHole:
		c.length, c.must = 8*time.Second, "504"
	case endless:
		c.known, c.must = append(c.known, sawNoEnd, sawBroken), sawNoEnd
	case afterAMinute:
		c.length, c.must = aMinute+4*time.Second, ""
		c.atLeast, c.atMost = aMinute, aMinute+5*time.Second
		c.prepare = func(s *scene) error {
			s.headerTimeout = "120s"
			return nil
		}
	}
	c.coming = c.known
	return c
}

func noHeal() error { return nil }

// clockScenarios are about clocks that differ, and about what ends.
func clockScenarios() []*scenario {
	const skew = 4 * time.Minute
	none := func(context.Context, *scene) (func() error, error) { return noHeal, nil }
	ahead := func(by time.Duration) func(s *scene) (known, coming []caller) {
		return func(s *scene) (known, coming []caller) {
			return s.known(knownCallers), s.coming(func() map[string]any {
				at := time.Now().Add(by)
				return map[string]any{"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(time.Hour).Unix()}
			})
		}
	}
	return []*scenario{
		{name: "the identity provider's clock is 20 s ahead", callers: ahead(20 * time.Second), fault: none},
		{
			name: "the identity provider's clock is 10 min ahead", callers: ahead(10 * time.Minute), fault: none,
			coming: []string{"401", sawClosed}, neverServed: true, must: "401",
		},
		{
			name: "the identity provider's clock is 2 h behind", callers: ahead(-2 * time.Hour), fault: none,
			coming: []string{"401", sawClosed}, neverServed: true, must: "401",
		},
		{
			name: "AWS's clock is 10 min ahead", known: []string{"502"}, coming: []string{"502"}, must: "502",
			fault: func(_ context.Context, s *scene) (func() error, error) {
				s.upstream.ahead.Store(true)
				return func() error { s.upstream.ahead.Store(false); return nil }, nil
			},
		},
		// AWS takes no signature where clocks differ by more than 5 min.
		{
			name: "STS's clock is 4 min ahead: credentials end before they seem to", fault: none, length: 15 * time.Second,
			prepare: func(s *scene) error {
				s.sts.Life, s.sts.Ahead = 12*time.Second, skew
				return nil
			},
			effect: func(s *scene) error {
				if s.upstream.expired.Load() == 0 {
					return errors.New("the upstream refused no credential")
				}
				return nil
			},
		},
		{
			name: "STS's clock is 4 min behind: credentials seem to end early", fault: none, length: 15 * time.Second,
			prepare: func(s *scene) error {
				s.sts.Life, s.sts.Ahead = skew+12*time.Second, -skew
				return nil
			},
			effect: func(s *scene) error {
				if asked := s.sts.Asked(); asked < 3*knownCallers {
					return fmt.Errorf("STS was asked %d times only", asked)
				}
				return nil
			},
		},
		{
			// The sidecar takes clocks to differ by up to 30 s.
			name: "tokens end in the middle", fault: none, length: 42 * time.Second,
			known: []string{"401", sawClosed}, must: "401",
			callers: func(s *scene) (known, coming []caller) {
				for i := range knownCallers {
					known = append(known, s.someone(fmt.Sprint("ending-", i), 8*time.Second))
				}
				return known, s.coming(nil)
			},
		},
		{
			name: "credentials end in the middle, before STS said",
			fault: func(_ context.Context, s *scene) (func() error, error) {
				timer := time.AfterFunc(faultTime/2, s.sts.ExpireAll)
				return func() error { timer.Stop(); return nil }, nil
			},
			effect: func(s *scene) error {
				if s.upstream.expired.Load() == 0 {
					return errors.New("the upstream refused no credential")
				}
				return nil
			},
		},
		{
			name: "credentials last for twelve seconds", fault: none, length: 15 * time.Second,
			prepare: func(s *scene) error {
				s.sts.Life = 12 * time.Second
				return nil
			},
			effect: func(s *scene) error {
				// Each of the callers at least, before, in the middle and afterwards.
				if asked := s.sts.Asked(); asked < 3*knownCallers {
					return fmt.Errorf("STS was asked %d times only", asked)
				}
				return nil
			},
		},
	}
}

// configScenarios swap the auth-config a hundred times a second.
func configScenarios() []*scenario {
	swapping := func(broken bool) func(context.Context, *scene) (func() error, error) {
		return func(ctx context.Context, s *scene) (func() error, error) {
			ctx, stop := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- s.swapConfigs(ctx, broken) }()
			return func() error { stop(); return <-done }, nil
		}
	}
	return []*scenario{
		{
			name: "the auth-config changes 100 times a second", fault: swapping(false),
			effect: func(s *scene) error { return s.reloaded("success", 10) },
		},
		{
			name: "the auth-config changes 100 times a second, half of them broken", fault: swapping(true),
			effect: func(s *scene) error { return errors.Join(s.reloaded("success", 5), s.reloaded("refused", 5)) },
		},
	}
}

// swapConfigs replaces files as editors do, until ctx ends; the last one is sound.
func (s *scene) swapConfigs(ctx context.Context, broken bool) error {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	write := func(version int, breakIt bool) error {
		files := s.files(version)
		text := files["tools.cedar"]
		if breakIt {
			text += "permit ("
		}
		next := filepath.Join(filepath.Dir(s.dir), filepath.Base(s.dir)+".next")
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			return fmt.Errorf("swap the auth-config: %w", err)
		}
		if err := os.Rename(next, filepath.Join(s.dir, "tools.cedar")); err != nil {
			return fmt.Errorf("swap the auth-config: %w", err)
		}
		return nil
	}
	for version := 1; ; version++ {
		select {
		case <-ctx.Done():
			return write(0, false)
		case <-ticks.C:
		}
		if err := write(version, broken && version%2 == 0); err != nil {
			return err
		}
	}
}

// processScenarios end the sidecar itself, or keep it from starting.
func processScenarios() []*scenario {
	const latency = 300 * time.Millisecond
	restart := func(end func(s *scene) error) func(context.Context, *scene) (func() error, error) {
		return func(ctx context.Context, s *scene) (func() error, error) {
			s.upstream.latency.Store(int64(latency))
			done := make(chan error, 1)
			time.AfterFunc(faultTime/3, func() {
				err := end(s)
				// As kubelet does it, a moment later.
				time.Sleep(faultTime / 6)
				done <- errors.Join(err, s.start(ctx))
			})
			return func() error { s.upstream.latency.Store(0); return <-done }, nil
		}
	}
	return []*scenario{
		{
			name: "SIGTERM under load", fault: restart(func(s *scene) error { return s.running().Stop() }),
			known: []string{sawRefused}, coming: []string{sawRefused}, must: sawRefused,
		},
		{
			name: "SIGKILL under load", fault: restart(func(s *scene) error { return s.running().Kill() }),
			known: []string{sawRefused, sawClosed}, coming: []string{sawRefused, sawClosed}, must: sawRefused,
		},
		fullDiskScenario(),
	}
}
