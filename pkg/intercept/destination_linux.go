package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// soOriginalDestination is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and
// IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const soOriginalDestination = 80

// originalDestination is where a connection was going before a firewall rule
// sent it here.
func originalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find the original destination: %w", err)
	}
	local := addrPort(c.LocalAddr())
	var destination netip.AddrPort
	var optionErr error
	err = raw.Control(func(fd uintptr) {
		if local.Addr().Is4() {
			destination, optionErr = originalDestination4(fd)
		} else {
			destination, optionErr = originalDestination6(fd)
		}
	})
	if err := errors.Join(err, optionErr); err != nil {
		return netip.AddrPort{}, fmt.Errorf("find the original destination: %w", err)
	}
	return destination, nil
}

// The wrappers of x/sys/unix are for other options whose values are as long as a
// socket address or longer; there is none for this one.
func originalDestination4(fd uintptr) (netip.AddrPort, error) {
	value, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, soOriginalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	// struct sockaddr_in: family, port and address, the latter two in network
	// order.
	raw := value.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), binary.BigEndian.Uint16(raw[2:4])), nil
}

func originalDestination6(fd uintptr) (netip.AddrPort, error) {
	value, err := unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, soOriginalDestination)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom16(value.Addr.Addr), networkOrder(value.Addr.Port)), nil
}

// networkOrder reads a port that the kernel wrote in network order into a field
// that Go reads in the machine's.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
