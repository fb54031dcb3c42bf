package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// apiServerAway is how long nobody answers at the API server: longer than a leader's lease.
const apiServerAway = 25 * time.Second

// away stops the API server for a while. The webhook, asked directly, must go on with what
// it has seen, and nobody must have to start it again.
func (b *bench) away(ctx context.Context, second *replica) error {
	review, err := admissionReview()
	if err != nil {
		return err
	}
	if err := b.plane.Pause(); err != nil {
		return err
	}
	resumed := false
	defer func() {
		if !resumed {
			_ = b.plane.Resume()
		}
	}()
	rounds, answered := 0, 0
	var failure error
	for end := time.Now().Add(apiServerAway); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		rounds++
		var failures []error
		for _, r := range []*replica{b.first, second} {
			if err := b.sendTo(ctx, r, review, 1, 1); err != nil {
				failures = append(failures, err)
				continue
			}
			answered++
		}
		if len(failures) == 2 {
			failure = errors.Join(failures...)
		}
	}
	resumed = true
	if err := b.plane.Resume(); err != nil {
		return err
	}
	begun := time.Now()
	for {
		made := pod(namespaceWith, true)
		if err = b.admin.Create(ctx, made); err == nil {
			if len(made.Spec.InitContainers) != 1 {
				return errors.New("a Pod was admitted bare after the API server came back")
			}
			break
		}
		if time.Since(begun) > time.Minute {
			return fmt.Errorf("no Pod is admitted a minute after the API server came back: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Printf("the API server away for %v: of %d admissions asked of each of two replicas %d answered (the leader "+
		"ends with its lease, and is started again by kubelet); a Pod was admitted %.1f s after it was back\n",
		apiServerAway, rounds, answered, time.Since(begun).Seconds())
	if failure != nil {
		return fmt.Errorf("nobody answered while the API server was away: %w", failure)
	}
	return nil
}
