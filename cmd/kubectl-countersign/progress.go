package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/countersign-io/countersign/pkg/commands"
)

// progress shows how far long work is, on a terminal only.
type progress struct {
	to    io.Writer
	what  string
	total int
	mu    sync.Mutex
	done  int
}

// minShown is how much work is worth a line.
const minShown = 3

func newProgress(to io.Writer, what string, total int) *progress {
	if !commands.IsTerminal(to) || total < minShown {
		to = io.Discard
	}
	return &progress{to: to, what: what, total: total}
}

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	_, _ = fmt.Fprintf(p.to, "\r%s: %d of %d", p.what, p.done, p.total)
}

// end takes the line away.
func (p *progress) end() { _, _ = fmt.Fprint(p.to, "\r\x1b[K") }
