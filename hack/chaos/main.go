// Command chaos runs the real sidecar binary while what it depends on fails, one fault
// after the other, and prints what callers saw of it, how long until they were served
// again, and what the sidecar was left with. With --soak it runs one sidecar for long
// with reloads, rotations and restarts instead, and draws its memory and latency.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	sidecar  string
	only     string
	parallel int
	soak     time.Duration
	plot     string
}

func main() {
	var o options
	flag.StringVar(&o.sidecar, "sidecar", "bin/sidecar", "the sidecar binary")
	flag.StringVar(&o.only, "only", "", "run only faults whose names match this regular expression")
	flag.IntVar(&o.parallel, "parallel", 3, "how many faults are played at once, each with a sidecar of its own")
	flag.DurationVar(&o.soak, "soak", 0, "soak for so long instead")
	flag.StringVar(&o.plot, "plot", "build/soak.svg", "where the soak's plot goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.sidecar, err = filepath.Abs(o.sidecar); err != nil {
		return fmt.Errorf("find the sidecar: %w", err)
	}
	if o.soak > 0 {
		return soak(ctx, o)
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	results := play(ctx, o, only)
	printTable(os.Stdout, results)
	return verdict(results)
}

// play runs the scenarios side by side; their results are in order.
func play(ctx context.Context, o options, only *regexp.Regexp) []*result {
	var chosen []*scenario
	for _, c := range scenarios() {
		if only.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	results := make([]*result, len(chosen))
	places := make(chan struct{}, max(1, o.parallel))
	var all sync.WaitGroup
	for i, c := range chosen {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			results[i] = c.run(ctx, o)
			fmt.Fprintf(os.Stderr, "%d of %d: %s\n", i+1, len(chosen), c.name)
		})
	}
	all.Wait()
	return results
}

func verdict(results []*result) error {
	var failures error
	var requests, unsigned, asAnother int64
	played := 0
	for _, r := range results {
		requests, unsigned, asAnother = requests+r.requests, unsigned+r.unsigned, asAnother+r.asAnother
		for _, problem := range r.problems {
			failures = errors.Join(failures, fmt.Errorf("%s: %s", r.name, problem))
		}
		if r.skipped == "" {
			played++
		}
	}
	fmt.Printf("\n%d faults, %d requests reached the upstream: %d unsigned, %d signed as somebody else\n",
		played, requests, unsigned, asAnother)
	if played == 0 {
		return errors.Join(failures, errors.New("no fault has that name"))
	}
	return failures
}
