package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

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

func originalDestination4(fd uintptr) (netip.AddrPort, error) {
	var address unix.RawSockaddrInet4
	if err := getsockopt(fd, unix.SOL_IP, unsafe.Pointer(&address), unsafe.Sizeof(address)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4(address.Addr), networkOrder(address.Port)), nil
}

func originalDestination6(fd uintptr) (netip.AddrPort, error) {
	var address unix.RawSockaddrInet6
	if err := getsockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&address), unsafe.Sizeof(address)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom16(address.Addr), networkOrder(address.Port)), nil
}

// networkOrder reads a port that the kernel wrote in network order into a field
// that Go reads in the machine's.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

func getsockopt(fd uintptr, level int, value unsafe.Pointer, size uintptr) error {
	length := uint32(size) //nolint:gosec // the size of a socket address
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), soOriginalDestination,
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
