package proxy

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dates makes the header Date once a second; net/http would make it for each answer.
type dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	header []string
}

// at is the header's value; nobody may change it.
func (d *dates) at(now time.Time) []string {
	second := now.Unix()
	last := d.last.Load()
	if last == nil || last.second != second {
		last = &date{second, []string{now.UTC().Format(http.TimeFormat)}}
		d.last.Store(last)
	}
	return last.header
}
