package proxy

import (
	"fmt"
	"testing"
)

func TestTasksThatAreForgottenAreCounted(t *testing.T) {
	evicted := 0
	o := newOwnership(func() { evicted++ })
	for n := range maxOwnedPerCaller + 3 {
		o.claim(ownedID{id: fmt.Sprint(n)}, owner{subject: "alice"})
	}
	if evicted != 3 {
		t.Errorf("%d of one caller were forgotten", evicted)
	}
	for n := range maxOwned {
		o.claim(ownedID{id: fmt.Sprint("of-", n)}, owner{subject: fmt.Sprint(n)})
	}
	if evicted != 3+maxOwnedPerCaller {
		t.Errorf("%d were forgotten", evicted)
	}
}
