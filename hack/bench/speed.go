package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// busyConnections is how many a busy Pod has.
const busyConnections = 16

// series are the samples of one target, one for each round.
type series struct {
	*target
	alone, busy []sample
}

func column[T any](samples []sample, of func(sample) T) []T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}

func medianOf(s sample) time.Duration    { return s.median }
func p99Of(s sample) time.Duration       { return s.p99 }
func processorOf(s sample) time.Duration { return s.processor }
func throughputOf(s sample) float64      { return s.throughput }

// measureInTurn measures each target in each round, so that a slow moment of the machine
// hits all of them; every other round in the opposite order, so that none
// always follows the same one. Times are short, so that neighbours see the same machine.
func measureInTurn(ctx context.Context, all []*series, rounds int, length time.Duration) error {
	for _, t := range all {
		// What is built once, such as connections and kept decisions, is built here.
		if _, err := t.measure(ctx, busyConnections, time.Second); err != nil {
			return err
		}
	}
	for round := range rounds {
		order := slices.Clone(all)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, t := range order {
			alone, err := t.measure(ctx, 1, length)
			if err != nil {
				return err
			}
			t.alone = append(t.alone, alone)
		}
		for _, t := range order {
			busy, err := t.measure(ctx, busyConnections, length)
			if err != nil {
				return err
			}
			t.busy = append(t.busy, busy)
		}
	}
	return nil
}

func printSpeed(all []*series) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	_, _ = fmt.Fprintf(w, "\t1 connection: median\tp99\tCPU\t%d connections: median\tp99\tCPU\trequests/s\t\n",
		busyConnections)
	for _, t := range all {
		_, _ = fmt.Fprint(w, t.name)
		for _, samples := range [][]sample{t.alone, t.busy} {
			for _, of := range []func(sample) time.Duration{medianOf, p99Of, processorOf} {
				_, _ = fmt.Fprintf(w, "\t%d µs", median(column(samples, of)).Microseconds())
			}
		}
		_, _ = fmt.Fprintf(w, "\t%.0f\t\n", median(column(t.busy, throughputOf)))
	}
	_ = w.Flush()
}

func printRatios(ours, signOnly *series, rounds int) {
	of := func(what func(sample) time.Duration, ours, others []sample) ratio {
		return ratioOf(column(ours, what), column(others, what))
	}
	fmt.Printf("\nto the sign-only proxy, median of %d pairs (its 95 %% interval; half of all pairs):\n", rounds)
	for _, line := range []struct {
		what, reach string
		ratio       ratio
	}{
		{"median, 1 connection", "at most 1.20", of(medianOf, ours.alone, signOnly.alone)},
		{"p99, 1 connection", "at most 1.5", of(p99Of, ours.alone, signOnly.alone)},
		{"CPU, 1 connection", "at most 1.35", of(processorOf, ours.alone, signOnly.alone)},
		{"p99, 16 connections", "at most 1.5", of(p99Of, ours.busy, signOnly.busy)},
		{"CPU, 16 connections", "at most 1.35", of(processorOf, ours.busy, signOnly.busy)},
		{"throughput, 16 connections", "at least 0.85",
			ratioOf(column(ours.busy, throughputOf), column(signOnly.busy, throughputOf))},
	} {
		fmt.Printf("  %-28s %-22s (reach: %s)\n", line.what, line.ratio, line.reach)
	}
}
