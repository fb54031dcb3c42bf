package fairness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneCallersFloodTakesNothingFromAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places Places
		limits := Limits{Most: 64, Shared: true, Wait: time.Second}
		const work = 100 * time.Millisecond
		request := func(name string) (time.Duration, error) {
			begun := time.Now()
			if err := places.Take(t.Context(), name, limits); err != nil {
				return 0, err
			}
			waited := time.Since(begun)
			time.Sleep(work)
			places.Release(name)
			return waited, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 500 {
			flood.Go(func() {
				for ctx.Err() == nil {
					if _, err := request("mallory"); err != nil {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
		time.Sleep(time.Second)
		for n := range 100 {
			// One at a time finds the eighth that is free.
			if waited, err := request("alice"); err != nil || waited > 0 {
				t.Fatalf("alice's request %d waits %v: %v", n, waited, err)
			}
		}
		// Many at once get their share.
		var bobs sync.WaitGroup
		for range 30 {
			bobs.Go(func() {
				if waited, err := request("bob"); err != nil || waited > 3*work {
					t.Errorf("bob's request waits %v: %v", waited, err)
				}
			})
		}
		bobs.Wait()
		cancel()
		flood.Wait()
		if taken, callers := places.Taken(); taken != 0 || callers != 0 || len(places.callers) != 0 || places.waiting != 0 {
			t.Errorf("%d places are taken by %d callers, %d are known", taken, callers, len(places.callers))
		}
	})
}

func TestManyCallersHaveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places Places
		limits := Limits{Most: 8, Shared: true, Wait: time.Minute}
		var mu sync.Mutex
		served := map[string]int{}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for n := range 16 {
			name := fmt.Sprint("caller-", n)
			// The first eight ask with ten times as many requests at once.
			for range map[bool]int{true: 20, false: 2}[n < 8] {
				all.Go(func() {
					for ctx.Err() == nil && places.Take(ctx, name, limits) == nil {
						time.Sleep(10 * time.Millisecond)
						mu.Lock()
						served[name]++
						mu.Unlock()
						places.Release(name)
					}
				})
			}
		}
		all.Wait()
		least, most := served["caller-0"], served["caller-0"]
		for _, count := range served {
			least, most = min(least, count), max(most, count)
		}
		if len(served) != 16 || most > 2*least {
			t.Errorf("between %d and %d requests a caller", least, most)
		}
	})
}

func TestPlacesAreBounded(t *testing.T) {
	var places Places
	take := func(name string, l Limits) error { return places.Take(t.Context(), name, l) }
	l := Limits{Most: 16, PerCaller: 3, Shared: true}
	for n := range 5 {
		if err := take("alice", l); (err == nil) != (n < 3) {
			t.Errorf("alice's place %d: %v", n, err)
		}
	}
	l.PerCaller = 0
	given := 3
	for take("alice", l) == nil {
		given++
	}
	// An eighth stays free, and others have it.
	if given != 14 || take("bob", l) != nil || take("carol", l) != nil || !errors.Is(take("dave", l), ErrNone) {
		t.Errorf("alice has %d places of 16", given)
	}
	// One caller alone, as with a service account, has them all.
	var alone Places
	for n := range 17 {
		if err := alone.Take(t.Context(), "pod", Limits{Most: 16}); (err == nil) != (n < 16) {
			t.Errorf("place %d: %v", n, err)
		}
	}
}

func TestFewPlacesHaveOneForOthersToo(t *testing.T) {
	for _, most := range []int{2, 4, 7, 12} {
		var places Places
		given := 0
		for places.Take(t.Context(), "alice", Limits{Most: most, Shared: true}) == nil {
			given++
		}
		if given != most-1 || places.Take(t.Context(), "bob", Limits{Most: most, Shared: true}) != nil {
			t.Errorf("of %d places one caller has %d", most, given)
		}
	}
}

func TestAWaiterThatLeavesLetsOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places Places
		if err := places.Take(t.Context(), "alice", Limits{Most: 1}); err != nil {
			t.Fatal(err)
		}
		// As after a reload: one waits with the limits from before, under which nothing is free.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = places.Take(ctx, "old", Limits{Most: 1, Shared: true, Wait: time.Hour}) }()
		synctest.Wait()
		l := Limits{Most: 4, Shared: true, Wait: time.Hour}
		if err := places.Take(t.Context(), "bob", l); err != nil {
			t.Fatal(err)
		}
		given := make(chan error, 1)
		go func() { given <- places.Take(t.Context(), "bob", l) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-given:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("bob waits, and a place is free")
			places.Release("alice")
			places.Release("bob")
		}
	})
}

func TestManyAtOnceUseNoMoreThanTheirRate(t *testing.T) {
	rates := NewRates(func() {})
	const perSecond = 50
	begun := time.Now()
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for time.Since(begun) < time.Second {
				if wait, ok := rates.Allow("alice", perSecond); ok {
					allowed.Add(1)
				} else if wait > time.Second/perSecond+time.Millisecond {
					t.Errorf("wait %v", wait)
					return
				}
			}
		})
	}
	all.Wait()
	most := perSecond + int64(time.Since(begun).Seconds()*perSecond) + 1
	if n := allowed.Load(); n < perSecond || n > most {
		t.Errorf("%d of at most %d", n, most)
	}
}

func TestWhoWaitsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places Places
		l := Limits{Most: 1, PerCaller: 1, Shared: true, Wait: time.Hour}
		if err := places.Take(t.Context(), "a", l); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range maxWaitingOfCaller {
			go func() { _ = places.Take(ctx, "a", l) }()
		}
		synctest.Wait()
		if err := places.Take(t.Context(), "a", l); !errors.Is(err, ErrNone) {
			t.Errorf("one more waits: %v", err)
		}
		cancel()
		synctest.Wait()
		places.Release("a")
		if err := places.Take(t.Context(), "b", l); err != nil || places.waiting != 0 {
			t.Errorf("%d wait that are gone; %v", places.waiting, err)
		}
	})
}

func TestWhoGoesAwayWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places Places
		l := Limits{Most: 1, Wait: time.Hour}
		if err := places.Take(t.Context(), "alice", l); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- places.Take(ctx, "bob", l) }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, ErrNone) {
			t.Error(err)
		}
		places.Release("alice")
		if taken, _ := places.Taken(); taken != 0 || places.waiting != 0 {
			t.Errorf("%d taken, %d wait", taken, places.waiting)
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := NewRates(func() {})
		allowed := func(name string, perSecond int) (n int) {
			for range 100 {
				if _, ok := rates.Allow(name, perSecond); ok {
					n++
				}
			}
			return n
		}
		if got := allowed("alice", 0); got != 100 {
			t.Errorf("without a rate: %d", got)
		}
		if got := allowed("alice", 10); got != 10 {
			t.Errorf("at once: %d", got)
		}
		if wait, ok := rates.Allow("alice", 10); ok || wait > 100*time.Millisecond || wait <= 0 {
			t.Errorf("wait %v", wait)
		}
		if got := allowed("bob", 10); got != 10 {
			t.Errorf("another caller: %d", got)
		}
		time.Sleep(500 * time.Millisecond)
		if got := allowed("alice", 10); got != 5 {
			t.Errorf("after half a second: %d", got)
		}
		if got := allowed("bob", 50); got > 50 {
			t.Errorf("with another rate: %d", got)
		}
	})
}

func BenchmarkTakeAndRelease(b *testing.B) {
	var places Places
	limits := Limits{Most: 512, Shared: true, Wait: time.Second}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if places.Take(ctx, "alice", limits) != nil {
			b.Fatal("no place")
		}
		places.Release("alice")
	}
}

func TestACallerWhoseRateIsForgottenIsCounted(t *testing.T) {
	evicted := 0
	rates := NewRates(func() { evicted++ })
	for n := range maxRates + 7 {
		rates.Allow(fmt.Sprint("caller-", n), 5)
	}
	if evicted != 7 {
		t.Errorf("%d were forgotten", evicted)
	}
}
