package intercept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of redirected connections that are open at once: those whose target
// is not known yet, and those that are passed on, with those of silent
// clients. Of the former the oldest makes room for a new one: clients that send
// an incomplete hello cannot keep others out. The latter cannot keep a client for an upstream out
// that speaks in time.
const (
	maxUndecided = 1024
	maxPassedOn  = 8192
)

// Redirected accepts connections that firewall rules sent here. Those for an
// upstream come out of Accept, as *tls.Conn; all others are passed on to where
// they were going.
type Redirected struct {
	// isUpstream reports whether a connection for this host, in lower case, and
	// port is to be terminated.
	isUpstream func(host string, port int) bool
	config     *tls.Config
	// guard refuses the Pod's own connections to AWS STS; it may be nil.
	guard *STSGuard
	// destination finds where a connection was going.
	destination func(*net.TCPConn) (netip.AddrPort, error)
	listeners   []net.Listener
	own         map[netip.AddrPort]bool
	accepted    chan net.Conn
	undecided   *undecided
	passedOn    chan struct{}
	ctx         context.Context //nolint:containedctx // the listener's own life
	cancel      context.CancelFunc
	closing     sync.Once
}

// ListenRedirected listens on addresses that firewall rules redirect to.
func ListenRedirected(
	ctx context.Context,
	addresses []string,
	authority *Authority,
	isUpstream func(host string, port int) bool,
	guard *STSGuard,
) (*Redirected, error) {
	return listenRedirected(ctx, addresses, authority, isUpstream, guard, originalDestination)
}

func listenRedirected(
	ctx context.Context,
	addresses []string,
	authority *Authority,
	isUpstream func(host string, port int) bool,
	guard *STSGuard,
	destination func(*net.TCPConn) (netip.AddrPort, error),
) (*Redirected, error) {
	r := &Redirected{
		isUpstream: isUpstream, config: newTLSConfig(authority), guard: guard, destination: destination,
		own: map[netip.AddrPort]bool{},
		accepted: make(
			chan net.Conn,
		), undecided: newUndecided(maxUndecided), passedOn: make(chan struct{}, maxPassedOn),
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, address := range addresses {
		listener, err := listen(ctx, address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--redirect-listen: %w", err), r.Close())
		}
		if listener == nil {
			continue
		}
		r.listeners = append(r.listeners, listener)
		r.own[addrPort(listener.Addr())] = true
	}
	if len(r.listeners) == 0 {
		return nil, errors.Join(errors.New("--redirect-listen: there is no address to listen on"), r.Close())
	}
	for _, listener := range r.listeners {
		go r.serve(listener) //nolint:contextcheck // it outlives the call, until Close
	}
	return r, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	parsed := tcp.AddrPort()
	return netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port())
}

// acceptPause keeps an Accept that fails from taking a whole core.
const acceptPause = 50 * time.Millisecond

func (r *Redirected) serve(listener net.Listener) {
	for {
		accepted, err := listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			tellOfRefusal.Do(func() { slog.Warn("a redirected connection could not be accepted", "error", err) })
			time.Sleep(acceptPause)
			continue
		}
		client, ok := accepted.(*net.TCPConn)
		if !ok {
			_ = accepted.Close()
			continue
		}
		go r.handle(client, r.undecided.add(client))
	}
}

func (r *Redirected) handle(client *net.TCPConn, decided func() bool) {
	to, err := r.destination(client)
	if err != nil || r.own[to] || to == addrPort(client.LocalAddr()) {
		// Somebody connected here directly: there is nowhere to pass it on to.
		decided()
		slog.Debug("a connection that was not redirected was refused", "error", err)
		reset(client)
		return
	}
	said := readHello(client, silence)
	if !decided() {
		return
	}
	if r.isFor(said, to) {
		r.terminate(client, said, to)
		return
	}
	if r.guard.denies(r.ctx, said.serverName, to) {
		reset(client)
		return
	}
	select {
	case r.passedOn <- struct{}{}:
		defer func() { <-r.passedOn }()
		r.passOn(client, said, to)
	default:
		tellOfRefusal.Do(func() {
			slog.Warn("a foreign connection was refused: too many are open", "most", maxPassedOn)
		})
		reset(client)
	}
}

// tellOfRefusal keeps a flood of connections from becoming one of log lines.
var tellOfRefusal = rate.Sometimes{First: 10, Interval: time.Second}

func (r *Redirected) isFor(said hello, to netip.AddrPort) bool {
	return said.serverName != "" && r.isUpstream(strings.ToLower(said.serverName), int(to.Port()))
}

func (r *Redirected) terminate(client *net.TCPConn, said hello, to netip.AddrPort) {
	terminated := tls.Server(&conn{Conn: client, read: said.read, port: int(to.Port())}, r.config)
	select {
	case r.accepted <- terminated:
	case <-r.ctx.Done():
		reset(client)
	}
}

// passOn connects a client to where it was going.
func (r *Redirected) passOn(client *net.TCPConn, said hello, to netip.AddrPort) {
	if said.silent {
		r.passOnSilent(client, to)
		return
	}
	server := dial(r.ctx, to)
	if server == nil || said.broken {
		resetAll(client, server)
		return
	}
	splice(client, server, said.read)
}

// passOnSilent passes on a client that has said nothing yet. It may wait for its
// server, or be slow: until the server speaks it can still turn out to be for an
// upstream.
func (r *Redirected) passOnSilent(client *net.TCPConn, to netip.AddrPort) {
	dialing, stopDialing := context.WithCancel(r.ctx)
	defer stopDialing()
	listening, stopListening := context.WithCancel(dialing)
	defer stopListening()
	heard := &interruptible{TCPConn: client}
	answers := make(chan answer, 1)
	go func() {
		answer := firstAnswer(dialing, listening, to)
		heard.interrupt()
		answers <- answer
	}()
	said := readHello(heard, 0)
	isUpstreams := r.isFor(said, to)
	isSTS := !isUpstreams && said.serverName != "" && r.guard.denies(r.ctx, said.serverName, to)
	if isUpstreams || isSTS || said.broken {
		stopDialing()
	}
	stopListening()
	answer := <-answers
	switch {
	case isUpstreams && len(answer.read) == 0 && !answer.broken:
		resetAll(answer.server)
		heard.resume()
		r.terminate(client, said, to)
	case isSTS || said.broken || answer.broken || answer.server == nil:
		// A peer that broke off is not one that came to its end.
		resetAll(client, answer.server)
	default:
		heard.resume()
		if _, err := client.Write(answer.read); err != nil {
			resetAll(client, answer.server)
			return
		}
		splice(client, answer.server, said.read)
	}
}

// Accept gives the next connection for an upstream.
func (r *Redirected) Accept() (net.Conn, error) {
	select {
	case c := <-r.accepted:
		return c, nil
	case <-r.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Addr is the first address that is listened on.
func (r *Redirected) Addr() net.Addr { return r.listeners[0].Addr() }

// Close stops listening. Connections that were passed on go on until the process
// ends.
func (r *Redirected) Close() error {
	var err error
	r.closing.Do(func() {
		r.cancel()
		err = closeAll(r.listeners)
	})
	return err
}
