package intercept

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const inNamespace = "COUNTERSIGN_TEST_IN_NETWORK_NAMESPACE"

// inNetworkNamespace runs the test that calls it again, in a process with a network
// of its own; it reports whether this is that process.
func inNetworkNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inNamespace+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	output, err := again.CombinedOutput()
	switch {
	case err != nil && again.ProcessState == nil:
		t.Skipf("skipped: this system lets nobody make a network namespace here: %v", err)
	case err != nil:
		t.Errorf("%v: %s", err, output)
	case strings.Contains(string(output), "--- SKIP"):
		t.Skipf("skipped: %s", output)
	}
	return false
}

// must stops the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// network makes an interface that leads nowhere, with a route to everywhere.
func network(t *testing.T) {
	t.Helper()
	loopback, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(loopback))
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "out"}, PeerName: "nowhere"}
	must(t, netlink.LinkAdd(pair))
	peer, err := netlink.LinkByName("nowhere")
	must(t, err, netlink.LinkSetUp(pair), netlink.LinkSetUp(peer))
	for _, family := range []struct{ address, everywhere string }{{"192.0.2.1/24", "0.0.0.0/0"}, {"2001:db8::1/64", "::/0"}} {
		address, err := netlink.ParseAddr(family.address)
		must(t, err)
		// Else an IPv6 address is not to be used for a second.
		address.Flags = unix.IFA_F_NODAD
		must(t, netlink.AddrAdd(pair, address))
		_, everywhere, err := net.ParseCIDR(family.everywhere)
		must(t, err, netlink.RouteAdd(&netlink.Route{LinkIndex: pair.Attrs().Index, Dst: everywhere}))
	}
}

func listenOn(t *testing.T, address string) *net.TCPListener {
	t.Helper()
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// wentTo connects and tells where the listener, which was not called, learns that
// the connection was going.
func wentTo(t *testing.T, listener *net.TCPListener, address string) string {
	t.Helper()
	client, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = client.Close() }()
	must(t, listener.SetDeadline(time.Now().Add(5*time.Second)))
	accepted, err := listener.AcceptTCP()
	must(t, err)
	defer func() { _ = accepted.Close() }()
	destination, err := originalDestination(accepted)
	must(t, err)
	return destination.String()
}

func ruleCounts(t *testing.T) string {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTables()
	must(t, err)
	var counts []string
	for _, table := range tables {
		chains, err := c.ListChainsOfTableFamily(table.Family)
		must(t, err)
		for _, chain := range chains {
			rules, err := c.GetRules(table, chain)
			must(t, err)
			counts = append(counts, fmt.Sprintf("%s/%s: %d", table.Name, chain.Name, len(rules)))
		}
	}
	return strings.Join(counts, ", ")
}

func TestRulesRedirectBothFamiliesAndTellWhereConnectionsWent(t *testing.T) {
	if !inNetworkNamespace(t) {
		return
	}
	network(t)
	listener4, listener6 := listenOn(t, "127.0.0.1:15381"), listenOn(t, "[::1]:15381")
	earlier := &Rules{To: 1, Ports: []uint16{443, 9443, 10443}, UID: 15337}
	must(t, earlier.Apply())
	rules := &Rules{To: 15381, Ports: []uint16{443, 8443}, UID: 15337}
	must(t, rules.Apply(), rules.Apply())
	// Two for what is left alone, three for IPv6, one for each port: those of earlier
	// runs are gone.
	if got, want := ruleCounts(t), "countersign/output: 4, countersign/output: 5"; got != want {
		t.Errorf("the rules are %s", got)
	}
	for _, to := range []string{"198.51.100.7:443", "198.51.100.7:8443"} {
		if got := wentTo(t, listener4, to); got != to {
			t.Errorf("a connection to %s: %s", to, got)
		}
	}
	for _, to := range []string{"[2001:db8:7::7]:443", "[2001:db8:7::7]:8443"} {
		if got := wentTo(t, listener6, to); got != to {
			t.Errorf("a connection to %s: %s", to, got)
		}
	}
}

func TestRulesLeaveLoopbackOtherPortsAndTheSidecarAlone(t *testing.T) {
	if !inNetworkNamespace(t) {
		return
	}
	network(t)
	redirected, redirected6 := listenOn(t, "127.0.0.1:15381"), listenOn(t, "[::1]:15381")
	must(t, (&Rules{To: 15381, Ports: []uint16{443}, UID: 15337}).Apply())
	reached := func(address string) bool {
		redirected := redirected
		if strings.HasPrefix(address, "[") {
			redirected = redirected6
		}
		client, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return false
		}
		_ = client.Close()
		must(t, redirected.SetDeadline(time.Now().Add(200*time.Millisecond)))
		accepted, err := redirected.AcceptTCP()
		if err != nil {
			return false
		}
		_ = accepted.Close()
		return true
	}
	if !reached("198.51.100.7:443") {
		t.Error("a connection to 443 is not redirected: what follows shows nothing")
	}
	if reached("198.51.100.7:444") {
		t.Error("a connection to another port is redirected")
	}
	if !reached("[2001:db8:7::7]:443") {
		t.Error("a connection to 443 on IPv6 is not redirected: what follows shows nothing")
	}
	listenOn(t, "127.0.0.1:443")
	if reached("127.0.0.1:443") {
		t.Error("a connection to the Pod itself is redirected")
	}
	must(t, (&Rules{To: 15381, Ports: []uint16{443}, UID: uint32(os.Getuid())}).Apply())
	if reached("198.51.100.7:443") {
		t.Error("a connection of the sidecar's own is redirected")
	}
}

// neighbour is another host on the link: a server in a network namespace of its own.
func neighbour(t *testing.T, address string) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(t, err)
	there, err := netns.New()
	must(t, err)
	loopback, err := netlink.LinkByName("lo")
	must(t, err, netlink.LinkSetUp(loopback))
	listener, err := net.Listen("tcp", "[::]:443")
	must(t, err, netns.Set(here))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("neighbour"))
			_ = c.Close()
		}
	}()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "link"}, PeerName: "peer", PeerNamespace: netlink.NsFd(there)}
	must(t, netlink.LinkAdd(pair), netlink.LinkSetUp(pair))
	remote, err := netlink.NewHandleAt(there)
	must(t, err)
	defer remote.Close()
	peer, err := remote.LinkByName("peer")
	must(t, err, remote.LinkSetUp(peer))
	theirs, err := netlink.ParseAddr(address)
	must(t, err)
	ours, err := netlink.ParseAddr("fe80::a1/64")
	must(t, err)
	theirs.Flags, ours.Flags = unix.IFA_F_NODAD, unix.IFA_F_NODAD
	must(t, remote.AddrAdd(peer, theirs), netlink.AddrAdd(pair, ours))
}

func TestRulesLeaveNeighboursOnTheLinkAlone(t *testing.T) {
	if !inNetworkNamespace(t) {
		return
	}
	neighbour(t, "fe80::b1/64")
	must(t, (&Rules{To: 15381, Ports: []uint16{443}, UID: 15337}).Apply())
	client, err := net.DialTimeout("tcp", "[fe80::b1%link]:443", 5*time.Second)
	must(t, err)
	defer func() { _ = client.Close() }()
	if got := read(t, client, 9); got != "neighbour" {
		t.Errorf("read %q", got)
	}
}

func TestRulesWithoutTheRightAreRefusedInAClearSentence(t *testing.T) {
	if !inNetworkNamespace(t) {
		return
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	// Capabilities are a thread's; all that Apply does happens on this one.
	runtime.LockOSThread()
	must(t, unix.Capset(&header, &none[0]))
	err := (&Rules{To: 15381, Ports: []uint16{443}, UID: 15337}).Apply()
	if err == nil || !strings.Contains(err.Error(), "the capability NET_ADMIN is missing") {
		t.Errorf("got %v", err)
	}
}

func TestAKernelWithoutTheModulesIsNamed(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPROTONOSUPPORT, syscall.EOPNOTSUPP, syscall.EAFNOSUPPORT, syscall.ENOENT} {
		err := explainRules(fmt.Errorf("conn.Receive: netlink receive: %w", errno))
		if want := "the node's kernel lacks nf_tables with NAT"; !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
