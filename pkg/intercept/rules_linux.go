package intercept

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const tableName = "countersign"

// Apply writes the rules for IPv4 and, where there is IPv6, for it too, in one
// transaction. Rules of an earlier run are replaced. It needs CAP_NET_ADMIN.
func (r *Rules) Apply() error {
	c, err := nftables.New()
	if err != nil {
		return explainRules(err)
	}
	r.add(c, nftables.TableFamilyIPv4)
	// Where IPv6 is off the kernel may know no table for it.
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		r.add(c, nftables.TableFamilyIPv6)
	}
	if err := c.Flush(); err != nil {
		return explainRules(err)
	}
	return nil
}

func explainRules(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf(
			"the firewall rules cannot be written: the capability NET_ADMIN is missing; the namespace must admit "+
				"it (Pod Security level privileged): %w",
			err,
		)
	case errors.Is(err, syscall.EPROTONOSUPPORT),
		errors.Is(err, syscall.EOPNOTSUPP),
		errors.Is(err, syscall.EAFNOSUPPORT),
		errors.Is(err, syscall.ENOENT):
		return fmt.Errorf(
			"the firewall rules cannot be written: the node's kernel lacks nf_tables with NAT (nft_nat, "+
				"nft_redir); use the mode hosts instead: %w",
			err,
		)
	}
	return fmt.Errorf("the firewall rules cannot be written: %w", err)
}

// add queues one family's table:
//
//	chain output { type nat hook output priority dstnat;
//	  oifname "lo" return
//	  meta skuid UID return
//	  ip6 daddr fe80::/10 return (IPv6)
//	  tcp dport { PORTS } redirect to :TO }
func (r *Rules) add(c *nftables.Conn, family nftables.TableFamily) {
	// A table that is added before it is deleted need not have been there.
	c.AddTable(&nftables.Table{Family: family, Name: tableName})
	c.DelTable(&nftables.Table{Family: family, Name: tableName})
	table := c.AddTable(&nftables.Table{Family: family, Name: tableName})
	chain := c.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityNATDest,
	})
	loopback := make([]byte, unix.IFNAMSIZ)
	copy(loopback, "lo")
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: loopback},
		&expr.Verdict{Kind: expr.VerdictReturn},
	}})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(r.UID)},
		&expr.Verdict{Kind: expr.VerdictReturn},
	}})
	if family == nftables.TableFamilyIPv6 {
		// A link-local address means nothing without its link, which is not told with
		// the original destination; no upstream has one.
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			// The destination lies at offset 24 of the IPv6 header.
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 2},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0xff, 0xc0}, Xor: []byte{0, 0}},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0xfe, 0x80}},
			&expr.Verdict{Kind: expr.VerdictReturn},
		}})
	}
	for _, port := range r.Ports {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			// The destination port lies at offset 2 of the TCP header.
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(r.To)},
			&expr.Redir{RegisterProtoMin: 1},
		}})
	}
}
