package proxy

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Bounds of what is remembered of callers.
const (
	maxOwned          = 10_000
	maxOwnedPerCaller = 256
	// maxOwnedID bounds a task id, in bytes.
	maxOwnedID = 512
)

// owner is a caller across tokens.
type owner struct {
	issuer  string
	subject string
}

// ownedID is a task id; ids are the upstream's own.
type ownedID struct {
	upstream string
	id       string
}

// ownership remembers which caller the upstream gave an id. It is bounded in
// all and for each caller, least recently used out first, so that no caller can
// crowd out the others.
type ownership struct {
	mu       sync.Mutex
	owners   *simplelru.LRU[ownedID, owner]
	byCaller map[owner]*simplelru.LRU[ownedID, struct{}]
	// evicted is told of each task that is forgotten for want of room.
	evicted func()
}

func newOwnership(evicted func()) *ownership {
	o := &ownership{byCaller: map[owner]*simplelru.LRU[ownedID, struct{}]{}, evicted: evicted}
	owners, err := simplelru.NewLRU(maxOwned, func(id ownedID, by owner) { o.forgetOf(by, id) })
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	o.owners = owners
	return o
}

func (o *ownership) forgetOf(by owner, id ownedID) {
	if mine := o.byCaller[by]; mine != nil {
		mine.Remove(id)
		if mine.Len() == 0 {
			delete(o.byCaller, by)
		}
	}
}

// claim gives id to the caller, unless another caller holds it.
func (o *ownership) claim(id ownedID, by owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if holder, held := o.owners.Get(id); held {
		if mine := o.byCaller[by]; mine != nil && holder == by {
			mine.Get(id)
		}
		return
	}
	mine := o.byCaller[by]
	if mine == nil {
		var err error
		if mine, err = simplelru.NewLRU[ownedID, struct{}](maxOwnedPerCaller, nil); err != nil {
			panic(err) // only for a size that is not positive
		}
		o.byCaller[by] = mine
	}
	if mine.Len() == maxOwnedPerCaller {
		if oldest, _, ok := mine.GetOldest(); ok {
			o.owners.Remove(oldest)
			o.evicted()
		}
	}
	mine.Add(id, struct{}{})
	if o.owners.Add(id, by) {
		o.evicted()
	}
}

// holds reports whether the caller holds id.
func (o *ownership) holds(id ownedID, by owner) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	holder, held := o.owners.Get(id)
	if !held || holder != by {
		return false
	}
	if mine := o.byCaller[by]; mine != nil {
		mine.Get(id)
	}
	return true
}
