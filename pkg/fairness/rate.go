package fairness

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxRates bounds the callers whose rate is remembered; one that is forgotten begins
// with a full bucket.
const maxRates = 10_000

// Rates bound how many requests a second each caller sends.
type Rates struct {
	buckets *lru.Cache[string, *rate.Limiter]
	evicted func()
}

// NewRates makes one in which nobody has sent anything. It tells evicted of each caller
// who is forgotten for want of room.
func NewRates(evicted func()) *Rates {
	buckets, err := lru.New[string, *rate.Limiter](maxRates)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Rates{buckets, evicted}
}

// Allow reports whether the caller may send a request now; else wait says after how
// long the next may come. perSecond is how many a second, and how many at once; 0 is
// for any number.
func (r *Rates) Allow(name string, perSecond int) (wait time.Duration, ok bool) {
	if perSecond <= 0 {
		return 0, true
	}
	bucket, known := r.buckets.Get(name)
	if !known {
		bucket = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		first, taken, evicted := r.buckets.PeekOrAdd(name, bucket)
		if taken {
			bucket = first
		}
		if evicted {
			r.evicted()
		}
	}
	if bucket.Burst() != perSecond {
		bucket.SetLimit(rate.Limit(perSecond))
		bucket.SetBurst(perSecond)
	}
	if bucket.Allow() {
		return 0, true
	}
	// What is missing of one request.
	missing := 1 - bucket.Tokens()
	return max(time.Duration(missing/float64(perSecond)*float64(time.Second)), time.Millisecond), false
}
