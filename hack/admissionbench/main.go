// Command admissionbench measures the real webhook binary behind a real
// kube-apiserver: how long an admission takes, what it adds to creating a Pod,
// and how much memory thousands of auth-configs take.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/countersign-io/countersign/e2e/controlplane"
)

func main() {
	webhook := flag.String("webhook", "bin/webhook", "the webhook binary")
	creates := flag.Int("creates", 1000, "Pods made dry, with and without the webhook each")
	requests := flag.Int("requests", 20_000, "admission requests sent to the webhook directly")
	configs := flag.Int("configs", 5000, "labelled ConfigMaps of 4 KiB")
	pods := flag.Int("pods", 5000, "Pods that are created while a replica is killed and other things break")
	onlyLoad := flag.Bool("only-load", false, "do nothing else than that")
	flag.Parse()
	log.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	measure := func(ctx context.Context, b *bench) error {
		if !*onlyLoad {
			if err := measureAll(ctx, b, *creates, *requests, *configs); err != nil {
				return err
			}
		}
		return underLoad(ctx, b, *pods)
	}
	if err := run(ctx, *webhook, measure); err != nil {
		fmt.Fprintln(os.Stderr, "admissionbench:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, binary string, measure func(context.Context, *bench) error) error {
	plane, err := controlplane.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = plane.Stop() }()
	b, err := newBench(ctx, plane, binary)
	if err != nil {
		return err
	}
	defer b.stop(ctx)
	if err := b.start(ctx); err != nil {
		return err
	}
	return measure(ctx, b)
}

// underLoad prints what came of creating Pods while things broke; it fails where one that
// asked was admitted bare.
func underLoad(ctx context.Context, b *bench, pods int) error {
	if _, err := b.measureAdmission(ctx, loadWorkers, loadWorkers); err != nil {
		return err
	}
	r, err := b.load(ctx, pods)
	if err != nil {
		return err
	}
	fmt.Printf("%d Pods created with a replica killed, certificates rotated, the auth-config broken and taken away: "+
		"%d bare; refused meanwhile: %d since a replica was gone, %d since the auth-config was, %d else; "+
		"admission p99 %.3f ms at the replica that stayed   (reach: none bare, less than 5)\n",
		r.created, r.bare, r.unreachable.Load(), r.noConfig.Load(), r.others.Load(), r.admission.p99*1e3)
	switch {
	case r.bare > 0 || r.created < int64(pods):
		return errors.New("a Pod that asked was admitted bare, or not at all")
	case r.others.Load() > 0:
		return fmt.Errorf("refused: %s", r.surprise)
	}
	return nil
}

func measureAll(ctx context.Context, b *bench, creates, requests, configs int) error {
	idle, err := b.residentMiB()
	if err != nil {
		return err
	}
	admission, err := b.measureAdmission(ctx, requests, 50)
	if err != nil {
		return err
	}
	with, without, err := b.measureCreates(ctx, creates)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, configs); err != nil {
		return err
	}
	filled, err := b.residentMiB()
	if err != nil {
		return err
	}
	// A replica that starts with all of them there, and admits.
	b.stop(ctx)
	if err := b.start(ctx); err != nil {
		return err
	}
	if _, err := b.measureAdmission(ctx, requests/4, 50); err != nil {
		return err
	}
	restarted, err := b.residentMiB()
	if err != nil {
		return err
	}
	fmt.Printf(
		"server side, 50 at once           median %.3f ms, p99 %.3f ms of %d admissions   (reach: less than 1 and 5)\n",
		admission.median*1e3,
		admission.p99*1e3,
		admission.count,
	)
	fmt.Printf("dry-run creates, %4d each         median %v with, %v without the webhook: ratio %.2f\n",
		creates, with.Round(time.Microsecond), without.Round(time.Microsecond), float64(with)/float64(without))
	fmt.Printf(
		"resident memory of the webhook    %.1f MiB idle; with %d auth-configs of 4 KiB %.1f MiB after they were "+
			"applied, %.1f MiB after a restart and admissions   (reach: at most 100)\n",
		idle,
		configs,
		filled,
		restarted,
	)
	return nil
}
