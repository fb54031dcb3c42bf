// Package check looks at everything that must hold for callers to be served as themselves,
// from the cluster's version to what AWS's server offers, and says of what does not hold what
// to do.
package check

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// State says how a fact stands.
type State string

// The states.
const (
	OK State = "ok"
	// Warn is for what works and is probably not meant.
	Warn State = "warning"
	Fail State = "failed"
	// Unknown is for what could not be looked at: by want of a right, or because it needs
	// something that was not given.
	Unknown State = "unknown"
)

// Fact is one thing that was looked at.
type Fact struct {
	// Group is what it belongs to: a heading.
	Group string `json:"group"`
	Name  string `json:"name"`
	State State  `json:"state"`
	// Detail says what was seen, Advice what to do about it.
	Detail string `json:"detail,omitempty"`
	Advice string `json:"advice,omitempty"`
}

// lookTime bounds one look at something.
const lookTime = 15 * time.Second

// maxClockSkew is how far this machine's clock may be from others' before tokens and
// signatures fail: AWS takes signatures of up to five minutes, the sidecar tokens of 30
// seconds.
const maxClockSkew = 30 * time.Second

// Report takes facts as they become known.
type Report struct {
	Facts []Fact
	// Tell is called with each fact; it may be nil.
	Tell  func(Fact)
	group string
}

// Group begins another heading.
func (r *Report) Group(name string) { r.group = name }

func (r *Report) add(state State, name, detail, advice string) {
	fact := Fact{Group: r.group, Name: name, State: state, Detail: detail, Advice: advice}
	r.Facts = append(r.Facts, fact)
	if r.Tell != nil {
		r.Tell(fact)
	}
}

// OK notes what holds.
func (r *Report) OK(name, format string, args ...any) {
	r.add(OK, name, fmt.Sprintf(format, args...), "")
}

// Warn notes what works and is probably not meant.
func (r *Report) Warn(name, detail, advice string) { r.add(Warn, name, detail, advice) }

// Fail notes what does not hold.
func (r *Report) Fail(name, detail, advice string) { r.add(Fail, name, detail, advice) }

// Unknown notes what could not be looked at.
func (r *Report) Unknown(name string, err error) { r.add(Unknown, name, err.Error(), "") }

// Failed reports whether something does not hold.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Facts, func(f Fact) bool { return f.State == Fail })
}

// ExitCode is that of the program: 1 where something does not hold, 2 where nothing at
// all could be looked at, else 0.
func (r *Report) ExitCode() int {
	known := func(f Fact) bool { return f.State != Unknown }
	switch {
	case r.Failed():
		return 1
	case !slices.ContainsFunc(r.Facts, known):
		return 2
	}
	return 0
}

func withTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, lookTime)
}
