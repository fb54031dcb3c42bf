package admission

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestNamespacesHaveTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		const work = time.Second
		ended := map[string]time.Duration{}
		begun := time.Now()
		validate := func(name, namespace string) {
			done, err := turns.take(t.Context(), namespace)
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(work)
			ended[name] = time.Since(begun)
			done()
		}
		for n := range 20 {
			go validate(fmt.Sprint("a", n), "hostile-a")
			go validate(fmt.Sprint("b", n), "hostile-b")
		}
		synctest.Wait()
		go validate("theirs", "tenant")
		time.Sleep(time.Minute)
		// It waits for one validation that is under way, and not for the 38 that came before.
		if ended["theirs"] == 0 || ended["theirs"] > 2*work {
			t.Errorf("another tenant's is validated after %v", ended["theirs"])
		}
		if last := max(ended["a19"], ended["b19"]); last > 22*work {
			t.Errorf("the last is validated after %v", last)
		}
	})
}

func TestWhoWaitsForATurnIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		done, err := turns.take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range maxWaitingOfNamespace {
			go func() { _, _ = turns.take(ctx, "a") }()
		}
		synctest.Wait()
		if _, err := turns.take(t.Context(), "a"); !errors.Is(err, errBusy) {
			t.Errorf("one more waits: %v", err)
		}
		cancel()
		synctest.Wait()
		if len(turns.waiting) != 0 {
			t.Errorf("%d wait that are gone", len(turns.waiting))
		}
		done()
		if done, err = turns.take(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		done()
	})
}
