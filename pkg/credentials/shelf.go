package credentials

import (
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxKeptBytes bounds all credentials that are kept, with what it takes to keep them.
	maxKeptBytes = 16 << 20
	// keptOverhead is about what an entry costs beside its credential.
	keptOverhead = 640
	maxEntries   = maxKeptBytes / keptOverhead
	// heavy is from how many shares on a caller loses one for the sake of another.
	heavy = 4
)

// shelf holds entries within maxKeptBytes. Where there is no room, a caller who has more
// than his share loses his own oldest one, else the caller with the most does, if that is
// several shares; where nobody has so many the one longest unused goes. So nobody with
// many tokens costs others their credentials.
type shelf struct {
	mu      sync.Mutex
	entries *simplelru.LRU[Key, *entry]
	bytes   int
	callers map[string]*holding
	// most is who was the largest when he last got more, or when all were looked at;
	// unlooked counts down to when that may be again.
	most     string
	unlooked int
	// evicted is told of each entry that goes for want of room.
	evicted func()
}

// holding is what one caller has on the shelf, the oldest first.
type holding struct {
	bytes int
	keys  []Key
}

func newShelf(evicted func()) *shelf {
	s := &shelf{callers: map[string]*holding{}, evicted: evicted}
	entries, err := simplelru.NewLRU(maxEntries, s.forget)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	s.entries = entries
	return s
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries.Len()
}

// entry gives that of a key, which is the caller's.
func (s *shelf) entry(key Key, caller string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries.Get(key); ok {
		return e
	}
	e := &entry{key: key, caller: caller, size: keptOverhead}
	of := s.callers[caller]
	if of == nil {
		of = &holding{}
		s.callers[caller] = of
	}
	of.keys = append(of.keys, key)
	s.grows(caller, e.size)
	if s.entries.Add(key, e) {
		s.evicted()
	}
	s.makeRoom(e)
	return e
}

// resize counts an entry as long as its credential.
func (s *shelf) resize(e *entry, credential *aws.Credentials) {
	size := keptOverhead + len(credential.AccessKeyID) + len(credential.SecretAccessKey) + len(credential.SessionToken)
	s.mu.Lock()
	defer s.mu.Unlock()
	if current, ok := s.entries.Peek(e.key); !ok || current != e {
		return // forgotten meanwhile
	}
	s.grows(e.caller, size-e.size)
	e.size = size
	s.makeRoom(e)
}

func (s *shelf) remove(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.Remove(key)
}

// makeRoom forgets others for the sake of an entry.
func (s *shelf) makeRoom(e *entry) {
	for ; s.bytes > maxKeptBytes; s.evicted() {
		share := maxKeptBytes / len(s.callers)
		if s.losesOne(e.caller, share, e.key) || s.losesOne(s.most, heavy*share, e.key) {
			continue
		}
		// The one who had the most has it no longer.
		if s.findMost(); !s.losesOne(s.most, heavy*share, e.key) {
			s.entries.RemoveOldest()
		}
	}
}

// findMost looks at all callers, once for as many calls as a sixteenth of their number.
func (s *shelf) findMost() {
	if s.unlooked--; s.unlooked > 0 {
		return
	}
	s.unlooked = len(s.callers) / 16
	bytes := 0
	for caller, of := range s.callers {
		if of.bytes > bytes {
			s.most, bytes = caller, of.bytes
		}
	}
}

// losesOne has a caller who has more than a share lose his oldest that is not spared.
func (s *shelf) losesOne(caller string, share int, spared Key) bool {
	of := s.callers[caller]
	if of == nil || of.bytes <= share {
		return false
	}
	oldest := of.keys[0]
	if oldest == spared {
		if len(of.keys) == 1 {
			return false
		}
		oldest = of.keys[1]
	}
	return s.entries.Remove(oldest)
}

// grows counts so many bytes more of a caller's.
func (s *shelf) grows(caller string, bytes int) {
	s.bytes += bytes
	of := s.callers[caller]
	of.bytes += bytes
	if largest := s.callers[s.most]; largest == nil || of.bytes > largest.bytes {
		s.most = caller
	}
}

// forget is called for each entry that goes.
func (s *shelf) forget(key Key, e *entry) {
	s.bytes -= e.size
	of := s.callers[e.caller]
	of.bytes -= e.size
	if at := slices.Index(of.keys, key); at >= 0 {
		of.keys = slices.Delete(of.keys, at, at+1)
	}
	if len(of.keys) == 0 {
		delete(s.callers, e.caller)
	}
}
