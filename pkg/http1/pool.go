package http1

import (
	"net"
	"slices"
	"sync"
	"time"
)

// server is what a connection leads to.
type server struct {
	secure bool
	// host is a URL's, with its port where it has one.
	host string
}

func (s server) address() string {
	if _, port, err := net.SplitHostPort(s.host); err == nil && port != "" {
		return s.host
	}
	port := "80"
	if s.secure {
		port = "443"
	}
	return net.JoinHostPort(s.name(), port)
}

// name is the host without its port, and an IPv6 address without its brackets.
func (s server) name() string {
	if name, _, err := net.SplitHostPort(s.host); err == nil {
		return name
	}
	if n := len(s.host); n > 2 && s.host[0] == '[' && s.host[n-1] == ']' {
		return s.host[1 : n-1]
	}
	return s.host
}

// pool has the connections that are idle. The zero value has none.
type pool struct {
	mu sync.Mutex
	// idle has each server's, the one used last at the end.
	idle   map[server][]*conn
	count  int
	closed bool
	// sweeps is set while connections wait for their time to be up.
	sweeps bool
}

// take gives the connection that was used last, which is the most likely one to be open.
func (p *pool) take(s server) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle[s]
	if len(all) == 0 {
		return nil
	}
	last := len(all) - 1
	c := all[last]
	all[last] = nil
	p.idle[s] = all[:last]
	p.count--
	return c
}

// isIdleFor reports whether the connection has been idle for so long, by a clock that goes on while the
// machine sleeps.
func (c *conn) isIdleFor(now time.Time, long time.Duration) bool {
	return now.Round(0).Sub(c.idleSince.Round(0)) >= long
}

// put reports whether the connection is kept. Where there are too many in all, that which is idle
// longest makes room.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limits := c.transport
	if p.closed || len(p.idle[c.server]) >= limits.MaxIdlePerServer || limits.MaxIdle <= 0 {
		return false
	}
	if p.count >= limits.MaxIdle {
		p.dropOldest()
	}
	if p.idle == nil {
		p.idle = map[server][]*conn{}
	}
	c.idleSince = time.Now()
	p.idle[c.server] = append(p.idle[c.server], c)
	p.count++
	if !p.sweeps {
		p.sweeps = true
		time.AfterFunc(limits.IdleTimeout/sweepsInTimeout, func() { p.sweep(limits.IdleTimeout) })
	}
	return true
}

func (p *pool) dropOldest() {
	var oldest *conn
	for _, all := range p.idle {
		if len(all) > 0 && (oldest == nil || all[0].idleSince.Before(oldest.idleSince)) {
			oldest = all[0]
		}
	}
	p.idle[oldest.server] = slices.Delete(p.idle[oldest.server], 0, 1)
	p.count--
	oldest.abandon()
}

// sweepsInTimeout is how often in the time that connections are kept it is looked for those whose server has
// closed them: until then they take a descriptor.
const sweepsInTimeout = 10

// sweep closes connections whose time is up, or that their server closed, and comes again while there
// are others.
func (p *pool) sweep(timeout time.Duration) {
	ended, more := p.takeEnded(time.Now(), timeout)
	for _, c := range ended {
		c.abandon()
	}
	if more {
		time.AfterFunc(timeout/sweepsInTimeout, func() { p.sweep(timeout) })
	}
}

// takeEnded takes those out that are of no use any more, and reports whether there are others.
func (p *pool) takeEnded(now time.Time, timeout time.Duration) (ended []*conn, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, all := range p.idle {
		kept := make([]*conn, 0, len(all))
		for _, c := range all {
			if c.isIdleFor(now, timeout) || !c.isSilent() {
				ended = append(ended, c)
			} else {
				kept = append(kept, c)
			}
		}
		if p.idle[s] = kept; len(kept) == 0 {
			delete(p.idle, s)
		}
	}
	p.count -= len(ended)
	p.sweeps = p.count > 0
	return ended, p.sweeps
}

// close closes all, and those that come back later.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.count, p.closed = nil, 0, true
	p.mu.Unlock()
	for _, all := range idle {
		for _, c := range all {
			c.abandon()
		}
	}
}
