package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer plays a company's DNS: it knows the MCP server under a name that ends
// in a search domain. Over UDP all its answers are cut off, so that clients must
// ask again over TCP (RFC 7766 section 5).
type nameServer struct {
	domain string

	mu    sync.Mutex
	asked map[string]int
}

const (
	searchDomain = "corp.example"
	// shortName is a client's that tries the search domain first, if ndots is 2.
	shortName = "aws-mcp.internal"
)

// wrongAddress is where the short name leads without the search domain: to nobody
// (RFC 5737).
var wrongAddress = netip.MustParseAddr("198.51.100.1")

// serve ends when one of both networks fails.
func (s *nameServer) serve(address string) error {
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer func() { _ = packets.Close() }()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	failed := make(chan error, 2)
	go func() { failed <- s.serveUDP(packets) }()
	go func() { failed <- s.serveTCP(listener) }()
	return <-failed
}

func (s *nameServer) serveUDP(packets net.PacketConn) error {
	buffer := make([]byte, 4096)
	for {
		n, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if answer, err := s.answer("udp", buffer[:n]); err == nil {
			_, _ = packets.WriteTo(answer, from)
		}
	}
}

func (s *nameServer) serveTCP(listener net.Listener) error {
	for {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_ = s.serveConn(c)
		}()
	}
}

// serveConn answers questions that come with their length before them (RFC 1035
// section 4.2.2).
func (s *nameServer) serveConn(c net.Conn) error {
	for {
		var size uint16
		if err := binary.Read(c, binary.BigEndian, &size); err != nil {
			return err
		}
		question := make([]byte, size)
		if _, err := io.ReadFull(c, question); err != nil {
			return err
		}
		answer, err := s.answer("tcp", question)
		if err != nil {
			return err
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return err
		}
	}
}

func (s *nameServer) answer(network string, message []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked[network+" "+question.Name.String()]++
	s.mu.Unlock()
	answer := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID:                 header.ID,
			Response:           true,
			RecursionDesired:   header.RecursionDesired,
			RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{question},
	}
	if network == "udp" {
		answer.Truncated = true
		return answer.Pack()
	}
	addresses, err := s.addresses(question)
	switch {
	case errors.Is(err, errNoName):
		answer.RCode = dnsmessage.RCodeNameError
	case err != nil:
		slog.Warn("no answer", "error", err)
		answer.RCode = dnsmessage.RCodeServerFailure
	}
	for _, address := range addresses {
		answer.Answers = append(answer.Answers, record(question, address))
	}
	return answer.Pack()
}

var errNoName = errors.New("no such name")

// addresses are those of the question's type; a name may have none.
func (s *nameServer) addresses(question dnsmessage.Question) ([]netip.Addr, error) {
	all, err := s.lookUp(strings.ToLower(strings.TrimSuffix(question.Name.String(), ".")))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return recordType(a) != question.Type }), nil
}

func recordType(address netip.Addr) dnsmessage.Type {
	if address.Unmap().Is4() {
		return dnsmessage.TypeA
	}
	return dnsmessage.TypeAAAA
}

func (s *nameServer) lookUp(name string) ([]netip.Addr, error) {
	switch {
	case name == shortName:
		return []netip.Addr{wrongAddress}, nil
	case name == shortName+"."+searchDomain:
		name = "aws-mcp." + s.domain
	case !strings.HasSuffix(name, "."+s.domain):
		return nil, errNoName
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name+".")
	if notFound := (*net.DNSError)(nil); errors.As(err, &notFound) && notFound.IsNotFound {
		return nil, errNoName
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return all, nil
}

func record(question dnsmessage.Question, address netip.Addr) dnsmessage.Resource {
	header := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 5}
	if address = address.Unmap(); address.Is4() {
		return dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}}
	}
	return dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}}
}

// seen counts questions, by network and name.
func (s *nameServer) seen() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}
