package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// soakCallers call as fast as they are answered, on a connection each.
	soakCallers = 12
	// checkEvery is how many requests the upstream passes for each one that it checks, so
	// that checking leaves the processors to what is soaked.
	checkEvery = 8
	// tokenLife is how long a caller uses a token, before he comes with another.
	tokenLife = 20 * time.Second
	// soakStep is how often the soak looks at itself.
	soakStep = time.Second
	// restartTime is how long a restart may keep callers from a connection.
	restartTime = 5 * time.Second
)

// soakEvents happen again and again; restarts in the first fifth alone, so that one
// process serves long enough to show whether its memory stays.
var soakEvents = []struct {
	name  string
	every time.Duration
	do    func(s *scene, n int) error
}{
	{"reload", 5 * time.Second, func(s *scene, n int) error {
		return os.WriteFile(filepath.Join(s.dir, "tools.cedar"), []byte(s.files(n)["tools.cedar"]), 0o600)
	}},
	{"rotation of the identity provider's key", 23 * time.Second, func(s *scene, _ int) error {
		s.issuer.AddKey(jose.ES256)
		return nil
	}},
	{"end of all credentials", 47 * time.Second, func(s *scene, _ int) error {
		s.sts.ExpireAll()
		return nil
	}},
}

// soaking is a soak under way.
type soaking struct {
	*scene
	begun time.Time

	mu    sync.Mutex
	tally *tally
	total map[string]int

	memory, median, p99 []point
	restarts            []float64
}

func soak(ctx context.Context, o options) error {
	scene, err := newScene(o)
	if err != nil {
		return err
	}
	scene.upstream.checkEvery.Store(checkEvery)
	s := &soaking{scene: scene, begun: time.Now(), tally: newTally(), total: map[string]int{}}
	if err := s.start(ctx); err != nil {
		return err
	}
	err = s.run(ctx, o.soak)
	return errors.Join(err, s.draw(o.plot), s.stop())
}

func (s *soaking) run(ctx context.Context, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var all sync.WaitGroup
	for n := range soakCallers {
		all.Go(func() { s.keepBusy(ctx, n) })
	}
	var failures error
	events := make([]int, len(soakEvents))
	restarts, minutes := []time.Duration{length / 10, length / 5}, 0
	for tick := time.NewTicker(soakStep); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		}
		passed := time.Since(s.begun)
		for i, event := range soakEvents {
			if n := int(passed / event.every); n > events[i] {
				events[i] = n
				failures = errors.Join(failures, event.do(s.scene, n))
			}
		}
		if len(restarts) > 0 && passed > restarts[0] {
			restarts = restarts[1:]
			s.restarts = append(s.restarts, passed.Seconds())
			failures = errors.Join(failures, s.running().Stop(), s.start(context.WithoutCancel(ctx)))
		}
		failures = errors.Join(failures, s.sample())
		if minute := int(passed / time.Minute); minute > minutes {
			minutes = minute
			fmt.Fprintf(os.Stderr, "%v of %v: %d requests\n",
				passed.Round(time.Second), length, s.upstream.requests.Load())
		}
	}
	all.Wait()
	return errors.Join(failures, s.sample(), s.report())
}

// keepBusy is one caller after the other on one connection: each comes with a new token
// after tokenLife.
func (s *soaking) keepBusy(ctx context.Context, n int) {
	var c caller
	var since time.Time
	for ctx.Err() == nil {
		if time.Since(since) > tokenLife {
			since = time.Now()
			c = s.someone(fmt.Sprintf("soaking-%d", n), time.Hour)
		}
		begun := time.Now()
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clientTimeout)
		saw := s.call(callCtx, c)
		cancel()
		s.mu.Lock()
		s.tally.add(saw, time.Since(begun))
		s.mu.Unlock()
		if saw != sawServed {
			time.Sleep(pause)
		}
	}
}

// sample closes the tally of the last second.
func (s *soaking) sample() error {
	resident, err := memoryField(s.running().PID, "VmRSS")
	if err != nil {
		return err
	}
	s.mu.Lock()
	done := s.tally
	s.tally = newTally()
	s.mu.Unlock()
	at := time.Since(s.begun).Seconds()
	done.mu.Lock()
	defer done.mu.Unlock()
	for saw, count := range done.counts {
		s.total[saw] += count
	}
	restarted := len(s.restarts) > 0 && at-s.restarts[len(s.restarts)-1] < restartTime.Seconds()
	if done.counts[sawRefused] > 0 && !restarted {
		return fmt.Errorf("no connection at %.0f s, and no restart was under way", at)
	}
	s.memory = append(s.memory, point{at, float64(resident)})
	if len(done.times) > 0 {
		slices.Sort(done.times)
		s.median = append(s.median, point{at, milliseconds(done.times[len(done.times)/2])})
		s.p99 = append(s.p99, point{at, milliseconds(done.times[len(done.times)*99/100])})
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memoryGrowth bounds by how much more may be resident at the end than after the last
// restart, once the heap has its size, in MiB.
const memoryGrowth = 12

func (s *soaking) report() error {
	whole := newTally()
	whole.counts = s.total
	fmt.Printf(
		"%s; %d requests reached the upstream, of which 1 in %d was checked: %d unsigned, %d signed as somebody else\n",
		whole,
		s.upstream.requests.Load(),
		checkEvery,
		s.upstream.unsigned.Load(),
		s.upstream.asAnother.Load(),
	)
	var failures error
	if s.total[sawServed] == 0 {
		failures = errors.New("nobody was served")
	}
	// The table of faults has what SIGTERM under load shows.
	if all := whole.unexpected([]string{sawServed, sawRefused}); len(all) > 0 {
		failures = errors.Join(failures, fmt.Errorf("callers saw %v", all))
	}
	if s.upstream.unsigned.Load()+s.upstream.asAnother.Load() > 0 {
		failures = errors.Join(failures, fmt.Errorf("%v", s.upstream.problems))
	}
	last := s.begun
	if len(s.restarts) > 0 {
		last = s.begun.Add(time.Duration(s.restarts[len(s.restarts)-1] * float64(time.Second)))
	}
	settled := last.Add(time.Since(last) / 5).Sub(s.begun).Seconds()
	var early, late []float64
	for i, p := range s.memory {
		switch {
		case p.x > settled && len(early) < 20:
			early = append(early, p.y)
		case i >= len(s.memory)-20:
			late = append(late, p.y)
		}
	}
	if len(early) == 0 || len(late) == 0 {
		return errors.Join(failures, errors.New("the soak is too short to say whether memory stays"))
	}
	before, after := slices.Max(early), slices.Max(late)
	fmt.Printf("resident: %.0f MiB at %.0f s, %.0f MiB at the end\n", before, settled, after)
	if after > before+memoryGrowth || after > memoryLimit {
		failures = errors.Join(failures, errors.New("memory grows"))
	}
	return failures
}

func (s *soaking) draw(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("draw the plot: %w", err)
	}
	text := plot("Restarts are marked.", s.restarts, []panel{
		{title: "resident memory, MiB", lines: []line{{name: "resident", points: s.memory}}},
		{title: "latency of a second's calls, ms", lines: []line{
			{name: "p99", points: s.p99}, {name: "median", points: s.median},
		}},
	})
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("draw the plot: %w", err)
	}
	fmt.Println("plot:", path)
	return nil
}
