package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	knownCallers, comingCallers = 6, 3
	// maxRecovery is how long callers may go without being served once a fault is over.
	maxRecovery = 15 * time.Second
	// faultTime is how long a fault lasts where a scenario does not say.
	faultTime = 6 * time.Second
)

// scenario is one fault with what callers may see of it.
type scenario struct {
	name string
	// needs says why the scenario cannot be run here, if so.
	needs func() string
	// prepare changes the scene before the sidecar starts.
	prepare func(s *scene) error
	// callers are those who were served before, and those who come anew; default known and
	// coming.
	callers func(s *scene) (known, coming []caller)
	// fault begins it; heal ends it.
	fault  func(ctx context.Context, s *scene) (heal func() error, err error)
	length time.Duration
	// known and coming are what callers may see, beside being served; must is what some of
	// them see, if the fault is one.
	known, coming []string
	must          string
	// atLeast and atMost bound the longest that a caller waits.
	atLeast, atMost time.Duration
	// effect looks for what callers do not see of the fault.
	effect func(s *scene) error
	// neverServed is set where coming callers must not be.
	neverServed bool
}

// result is one row of the table.
type result struct {
	name                string
	skipped             string
	known, coming       *tally
	recovered           time.Duration
	before, after       resources
	requests            int64
	unsigned, asAnother int64
	problems            []string
}

func (r *result) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// run plays the scenario with a sidecar of its own.
func (c *scenario) run(ctx context.Context, o options) *result {
	r := &result{name: c.name, known: newTally(), coming: newTally()}
	if c.needs != nil {
		if r.skipped = c.needs(); r.skipped != "" {
			return r
		}
	}
	if err := c.play(ctx, o, r); err != nil {
		r.problem("%v", err)
	}
	return r
}

func (c *scenario) play(ctx context.Context, o options, r *result) error {
	s, err := newScene(o)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.stop(); err != nil {
			r.problem("the sidecar ended: %v", err)
		}
	}()
	if c.prepare != nil {
		if err := c.prepare(s); err != nil {
			return err
		}
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	known, coming := s.known(knownCallers), s.coming(nil)
	if c.callers != nil {
		known, coming = c.callers(s)
	}
	after := slices.Concat(s.known(knownCallers), s.coming(nil))
	if _, err := s.untilServed(ctx, slices.Concat(known, after)); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if r.before, err = s.settled(); err != nil {
		return err
	}
	if err := c.disturb(ctx, s, r, known, coming, after); err != nil {
		return err
	}
	if r.after, err = s.comeBack(r.before); err != nil {
		r.problem("left behind: %v", err)
	}
	c.judge(s, r)
	return nil
}

// disturb has callers call while the fault lasts, and measures how long those after it
// wait to be served.
func (c *scenario) disturb(
	ctx context.Context, s *scene, r *result, known, coming, after []caller,
) error {
	length := c.length
	if length == 0 {
		length = faultTime
	}
	heal, err := c.fault(ctx, s)
	if err != nil {
		return err
	}
	calling, stop := context.WithTimeout(ctx, length)
	defer stop()
	waitKnown := s.keepCalling(calling, known, r.known)
	waitComing := s.keepCalling(calling, coming, r.coming)
	<-calling.Done()
	if err := heal(); err != nil {
		return err
	}
	if r.recovered, err = s.untilServed(ctx, after); err != nil {
		r.problem("%v", err)
	}
	waitKnown()
	waitComing()
	return nil
}

func (c *scenario) judge(s *scene, r *result) {
	r.requests = s.upstream.requests.Load()
	r.unsigned, r.asAnother = s.upstream.unsigned.Load(), s.upstream.asAnother.Load()
	if r.unsigned+r.asAnother > 0 {
		r.problem("%v", s.upstream.problems)
	}
	served := []string{sawServed}
	if all := r.known.unexpected(slices.Concat(served, c.known)); len(all) > 0 {
		r.problem("known callers saw %s", strings.Join(all, ", "))
	}
	if c.neverServed {
		served = nil
	}
	if all := r.coming.unexpected(slices.Concat(served, c.coming)); len(all) > 0 {
		r.problem("new callers saw %s", strings.Join(all, ", "))
	}
	if r.known.total() == 0 || r.coming.total() == 0 {
		r.problem("nobody called")
	}
	if c.must != "" && r.known.count(c.must)+r.coming.count(c.must) == 0 {
		r.problem("nobody saw %s: was there a fault?", c.must)
	}
	longest := max(r.known.longest, r.coming.longest)
	if longest < c.atLeast || c.atMost > 0 && longest > c.atMost {
		r.problem("the longest wait was %v, not from %v to %v", longest, c.atLeast, c.atMost)
	}
	if r.recovered > maxRecovery {
		r.problem("callers were served again after %v", r.recovered)
	}
	if c.effect != nil {
		if err := c.effect(s); err != nil {
			r.problem("%v", err)
		}
	}
	if r.after.peak > memoryLimit {
		r.problem("%d MiB were resident", r.after.peak)
	}
}

func printTable(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(
		w,
		"fault\tknown callers saw\tnew callers saw\tlongest\twell again\tgoroutines\tdescriptors\tMiB, peak",
	)
	for _, r := range results {
		if r.skipped != "" {
			_, _ = fmt.Fprintf(w, "%s\tnot run: %s\t\t\t\t\t\t\n", r.name, r.skipped)
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%.1f s\t%.1f s\t%d, then %d\t%d, then %d\t%d\n",
			r.name, r.known, r.coming, max(r.known.longest, r.coming.longest).Seconds(), r.recovered.Seconds(),
			r.before.goroutines, r.after.goroutines, r.before.descriptors, r.after.descriptors, r.after.peak)
	}
	_ = w.Flush()
}
