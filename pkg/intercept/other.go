//go:build !linux

package intercept

import (
	"errors"
	"net"
	"net/netip"
)

// errNotLinux lets the rest be built and tested elsewhere.
var errNotLinux = errors.New("redirected connections need Linux")

func originalDestination(*net.TCPConn) (netip.AddrPort, error) { return netip.AddrPort{}, errNotLinux }

// Apply fails: the firewall rules are those of Linux.
func (r *Rules) Apply() error { return errNotLinux }
