package admission

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-io/countersign/pkg/fairness"
	corev1 "k8s.io/api/core/v1"
)

func TestNamespacesHaveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var places fairness.Places
		const work = 100 * time.Millisecond
		var mu sync.Mutex
		ended := map[string]time.Duration{}
		begun := time.Now()
		validate := func(name, namespace string) {
			if err := places.Take(t.Context(), namespace, validationPlaces); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(work)
			places.Release(namespace)
			mu.Lock()
			defer mu.Unlock()
			ended[name] = time.Since(begun)
		}
		for n := range 20 {
			go validate(fmt.Sprint("a", n), "hostile-a")
			go validate(fmt.Sprint("b", n), "hostile-b")
		}
		synctest.Wait()
		go validate("theirs", "tenant")
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		// It waits for one validation that is under way, and not for the 38 that came before.
		if ended["theirs"] == 0 || ended["theirs"] > 2*work {
			t.Errorf("another tenant's is validated after %v", ended["theirs"])
		}
		if last := max(ended["a19"], ended["b19"]); last > 22*work {
			t.Errorf("the last is validated after %v", last)
		}
	})
}

func TestMemoryIsGivenBackOnceNothingIsValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		validated, err := newValidatedConfigs()
		if err != nil {
			t.Fatal(err)
		}
		validated.quiet.Stop()
		var given atomic.Int32
		validated.quiet = time.AfterFunc(quietTime, func() { given.Add(1) })
		pause := func(long time.Duration, want int32) {
			t.Helper()
			time.Sleep(long)
			synctest.Wait()
			if given.Load() != want {
				t.Errorf("memory was given back %d times, not %d", given.Load(), want)
			}
		}
		for range 3 {
			_, _ = validated.compile(t.Context(), &corev1.ConfigMap{}) // that it is invalid does not matter
			pause(quietTime*3/4, 0)
		}
		pause(quietTime, 1)
		pause(time.Hour, 1)
	})
}
