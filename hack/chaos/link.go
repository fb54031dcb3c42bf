package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// fault is what happens to connections on a link.
type fault int

const (
	healthy fault = iota
	// slow holds every answer back for slowness.
	slow
	// refusing has no listener.
	refusing
	// resetting answers each connection with a reset.
	resetting
	// blackHole takes connections and never says a word.
	blackHole
	// garbage answers with random bytes.
	garbage
	// afterAMinute holds every answer back for longer than anybody should wait.
	afterAMinute
	// endless answers with the beginning of an answer that never ends.
	endless
	// cut closes connections in the middle of answers.
	cut
)

// delays reports whether answers come whole, and late.
func (f fault) delays() bool { return f == slow || f == afterAMinute }

const (
	slowness = 1500 * time.Millisecond
	aMinute  = 61 * time.Second
	// cutAfter is how many bytes of an answer come through: its header, and a part of what
	// follows.
	cutAfter = 180
)

// link is the way to one server, on which faults happen.
type link struct {
	address string
	target  string
	// head begins an endless answer, filler goes on.
	head, filler string

	mu       sync.Mutex
	fault    fault
	listener net.Listener
	open     map[net.Conn]bool
}

// newLink listens on a loopback port; the target is set before it is used.
func newLink() (*link, error) {
	l := &link{open: map[net.Conn]bool{}}
	if err := l.listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.address = l.listener.Addr().String()
	return l, nil
}

func (l *link) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for a link: %w", err)
	}
	l.listener = listener
	go l.accept(listener)
	return nil
}

// set changes what happens, to connections that are open too.
func (l *link) set(f fault) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.delays() || f == healthy && l.fault.delays() {
		// What is open goes on, sooner or later.
		l.fault = f
		return nil
	}
	l.fault = f
	l.closeAllLocked()
	switch {
	case f == refusing && l.listener != nil:
		_ = l.listener.Close()
		l.listener = nil
	case f != refusing && l.listener == nil:
		return l.listen(l.address)
	}
	return nil
}

func (l *link) current() fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// closeAll ends the connections that are open; whoever kept one for later opens another.
func (l *link) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeAllLocked()
}

func (l *link) closeAllLocked() {
	for c := range l.open {
		_ = c.Close()
	}
	clear(l.open)
}

func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeAllLocked()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
}

func (l *link) accept(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		f := l.fault
		l.open[c] = true
		l.mu.Unlock()
		go func() {
			defer func() {
				_ = c.Close()
				l.mu.Lock()
				delete(l.open, c)
				l.mu.Unlock()
			}()
			l.serve(c, f)
		}()
	}
}

func (l *link) serve(c net.Conn, f fault) {
	switch f {
	case resetting:
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case blackHole:
		_, _ = io.Copy(io.Discard, c)
	case garbage:
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.CopyN(c, rand.Reader, 4096)
	case endless:
		l.serveEndless(c)
	default:
		l.relay(c, f)
	}
}

// serveEndless writes until the other side has enough, at some ten megabytes a second.
func (l *link) serveEndless(c net.Conn) {
	_, _ = c.Read(make([]byte, 64<<10))
	if _, err := io.WriteString(c, l.head); err != nil {
		return
	}
	chunk := make([]byte, 0, 64<<10)
	for len(chunk)+len(l.filler) <= cap(chunk) {
		chunk = append(chunk, l.filler...)
	}
	for {
		if _, err := c.Write(chunk); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *link) relay(c net.Conn, f fault) {
	target, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer func() { _ = target.Close() }()
	go func() {
		_, _ = io.Copy(target, c)
		_ = target.Close()
	}()
	buffer := make([]byte, 32<<10)
	for passed := 0; ; {
		n, err := target.Read(buffer)
		switch l.current() {
		case slow:
			time.Sleep(slowness)
		case afterAMinute:
			time.Sleep(aMinute)
		}
		if f == cut {
			n = min(n, cutAfter-passed)
		}
		passed += n
		if _, writeErr := c.Write(buffer[:n]); errors.Join(err, writeErr) != nil || f == cut && passed == cutAfter {
			return
		}
	}
}
