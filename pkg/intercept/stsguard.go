package intercept

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// STSGuard refuses the Pod's own connections to AWS STS: who gets a role session there
// gets it past the sidecar. It knows them by the name that the client says, and by the
// addresses that AWS's names resolve to.
type STSGuard struct {
	enabled func() bool
	refused func(by string)
	// own is the host of the endpoint that the sidecar itself uses, if it is not one of
	// AWS's names.
	own    string
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	addresses atomic.Pointer[stsAddresses]
	mu        sync.Mutex
	// resolving is closed when the resolution under way ends; nil without one.
	resolving chan struct{}
}

// stsAddresses are addresses with the time when a name last resolved to each.
type stsAddresses struct {
	all map[netip.Addr]time.Time
	at  time.Time
}

const (
	// stsAddressLife is how long addresses are believed while they are asked for again:
	// AWS's names live 60 seconds. After stsAddressMost a connection waits for that.
	stsAddressLife = time.Minute
	stsAddressMost = 5 * time.Minute
	// stsAddressMemory is how long an address stays one of STS's after a name last
	// resolved to it: AWS's answers take turns.
	stsAddressMemory = 24 * time.Hour
	// stsResolveTime bounds one resolution of all names, stsResolvers how many are asked
	// for at once, and maxSTSAddresses what is kept.
	stsResolveTime  = 5 * time.Second
	stsResolvers    = 16
	maxSTSAddresses = 4096
)

// NewSTSGuard makes a guard. The endpoint is the URL of the sidecar's own STS, or empty;
// refused is told by what a connection was known: "name" or "address".
func NewSTSGuard(enabled func() bool, endpoint string, refused func(by string)) *STSGuard {
	g := &STSGuard{enabled: enabled, refused: refused, lookup: lookupAddresses}
	if u, err := url.Parse(endpoint); err == nil && !IsSTSName(u.Hostname()) {
		g.own = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	}
	return g
}

func lookupAddresses(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// stsName are the names of AWS STS's endpoints in all partitions: global, regional, FIPS,
// dual-stack, and of VPC endpoints.
// https://docs.aws.amazon.com/general/latest/gr/sts.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_region-endpoints.html
var stsName = regexp.MustCompile(`^(?:sts(?:-fips)?\.(?:[a-z0-9-]+\.)?` +
	`(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|api\.aws|api\.amazonwebservices\.(?:com\.cn|eu)` +
	`|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov` +
	`|api\.aws\.ic\.gov|api\.aws\.scloud|api\.cloud-aws\.adc-e\.uk|api\.aws\.hci\.ic\.gov)` +
	`|(?:[a-z0-9-]+\.)+sts(?:-fips)?\.[a-z0-9-]+\.vpce\.[a-z0-9.-]+)$`)

// IsSTSName reports whether a host name is one of AWS STS's.
func IsSTSName(host string) bool {
	return stsName.MatchString(strings.ToLower(strings.TrimSuffix(host, ".")))
}

// denies reports whether a connection is for AWS STS, and says so in the log.
func (g *STSGuard) denies(ctx context.Context, serverName string, to netip.AddrPort) bool {
	if g == nil || !g.enabled() {
		return false
	}
	by := ""
	switch name := strings.ToLower(strings.TrimSuffix(serverName, ".")); {
	case name != "" && (IsSTSName(name) || name == g.own):
		by = "name"
	case g.isSTS(ctx, to.Addr(), name == ""):
		by = "address"
	default:
		return false
	}
	g.refused(by)
	tellOfSTS.Do(func() {
		slog.Warn("a connection of the Pod's own to AWS STS was refused (egress.denySTS)", "by", by, "serverName",
			serverName[:min(len(serverName), 253)], "address", to.String())
	})
	return true
}

var tellOfSTS = rate.Sometimes{First: 10, Interval: time.Second}

// isSTS reports whether the address is one of STS's. It waits until addresses are known
// that are not too old. While none is, it takes every address for one of STS's where no
// name was said: a client that hides where it goes is not given the benefit of the doubt.
func (g *STSGuard) isSTS(ctx context.Context, address netip.Addr, nameless bool) bool {
	known := g.addresses.Load()
	if known == nil || time.Since(known.at) > stsAddressLife {
		done := g.resolve() //nolint:contextcheck // it serves others too, and outlives who began it
		if known == nil || time.Since(known.at) > stsAddressMost {
			select {
			case <-done:
			case <-ctx.Done():
			}
			known = g.addresses.Load()
		}
	}
	if known == nil || len(known.all) == 0 {
		return nameless
	}
	_, isSTS := known.all[plain(address)]
	return isSTS
}

// nat64 is the prefix under which IPv6-only networks have IPv4 addresses (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain gives the IPv4 address that another form stands for.
func plain(address netip.Addr) netip.Addr {
	if !nat64.Contains(address) {
		return address.Unmap()
	}
	bytes := address.As16()
	return netip.AddrFrom4([4]byte(bytes[12:]))
}

// resolve begins to resolve all names, unless that is under way; the channel is closed
// at its end.
func (g *STSGuard) resolve() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.resolving == nil {
		g.resolving = make(chan struct{})
		go g.resolveAll()
	}
	return g.resolving
}

func (g *STSGuard) resolveAll() {
	ctx, cancel := context.WithTimeout(context.Background(), stsResolveTime)
	defer cancel()
	hosts := stsHosts()
	if g.own != "" {
		hosts = append(hosts, g.own)
	}
	now := time.Now()
	next := &stsAddresses{all: map[netip.Addr]time.Time{}, at: now}
	if before := g.addresses.Load(); before != nil {
		for address, seen := range before.all {
			if now.Sub(seen) < stsAddressMemory {
				next.all[address] = seen
			}
		}
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(stsResolvers)
	for _, host := range hosts {
		group.Go(func() error {
			addresses, err := g.lookup(ctx, host)
			mu.Lock()
			defer mu.Unlock()
			for _, address := range addresses {
				if len(next.all) < maxSTSAddresses {
					next.all[plain(address)] = now
				}
			}
			return err
		})
	}
	// Names of partitions that cannot be reached from here do not resolve.
	_ = group.Wait()
	g.addresses.Store(next)
	g.mu.Lock()
	close(g.resolving)
	g.resolving = nil
	g.mu.Unlock()
}
