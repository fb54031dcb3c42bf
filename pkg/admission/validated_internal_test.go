package admission

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-io/countersign/pkg/fairness"
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
