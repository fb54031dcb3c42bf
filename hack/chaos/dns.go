package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"golang.org/x/net/dns/dnsmessage"
)

// upstreamName is looked up for each call.
const upstreamName = "upstream.chaos.test"

// dnsFault is what a name server does.
type dnsFault int32

const (
	dnsHealthy dnsFault = iota
	dnsSlow
	dnsSilent
	dnsGarbage
	dnsServFail
	dnsNoSuchName
)

// nameServer knows one name.
type nameServer struct {
	connection net.PacketConn
	fault      atomic.Int32
}

// newNameServer serves on port 53, since resolv.conf has no ports, of a loopback address
// that nobody else is likely to use.
func newNameServer(host byte) (*nameServer, error) {
	connection, err := net.ListenPacket("udp", fmt.Sprintf("127.0.53.%d:53", host))
	if err != nil {
		return nil, fmt.Errorf("serve names: %w", err)
	}
	n := &nameServer{connection: connection}
	go n.serve()
	return n, nil
}

func (n *nameServer) serve() {
	buffer := make([]byte, 1500)
	for {
		length, from, err := n.connection.ReadFrom(buffer)
		if err != nil {
			return
		}
		query := append([]byte(nil), buffer[:length]...)
		go n.answer(query, from)
	}
}

func (n *nameServer) answer(query []byte, from net.Addr) {
	var message dnsmessage.Message
	if message.Unpack(query) != nil || len(message.Questions) != 1 {
		return
	}
	message.Response, message.RecursionAvailable = true, true
	message.Additionals = nil
	question := message.Questions[0]
	switch dnsFault(n.fault.Load()) {
	case dnsSilent:
		return
	case dnsSlow:
		time.Sleep(600 * time.Millisecond)
	case dnsGarbage:
		_, _ = rand.Read(query)
		_, _ = n.connection.WriteTo(query, from)
		return
	case dnsServFail:
		message.RCode = dnsmessage.RCodeServerFailure
	case dnsNoSuchName:
		message.RCode = dnsmessage.RCodeNameError
	}
	if message.RCode == dnsmessage.RCodeSuccess && question.Type == dnsmessage.TypeA {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	if answer, err := message.Pack(); err == nil {
		_, _ = n.connection.WriteTo(answer, from)
	}
}

func dnsScenarios() []*scenario {
	var all []*scenario
	for i, f := range []struct {
		fault dnsFault
		name  string
	}{
		{dnsSlow, "is slow"}, {dnsSilent, "is silent"}, {dnsGarbage, "answers garbage"},
		{dnsServFail, "fails"}, {dnsNoSuchName, "forgets the name"},
	} {
		var server *nameServer
		must, atLeast := "502", time.Duration(0)
		if f.fault == dnsSlow {
			must, atLeast = "", 600*time.Millisecond
		}
		all = append(all, &scenario{
			must: must, atLeast: atLeast,
			name: "DNS " + f.name, known: []string{"502", "504"}, coming: []string{"502", "504"},
			needs: func() string {
				if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
					return "no process can be given a name server of its own here: " + err.Error()
				}
				return ""
			},
			prepare: func(s *scene) (err error) {
				if server, err = newNameServer(byte(10 + i)); err != nil {
					return err
				}
				return s.byName(server.connection.LocalAddr().String())
			},
			fault: func(context.Context, *scene) (func() error, error) {
				server.fault.Store(int32(f.fault))
				return func() error { server.fault.Store(int32(dnsHealthy)); return nil }, nil
			},
		})
	}
	return all
}

// byName has the sidecar look the upstream's name up for each call, with TLS.
func (s *scene) byName(server string) error {
	certificate, key, err := newCertificate(upstreamName)
	if err != nil {
		return err
	}
	s.ca = string(certificate)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	upstream := httptest.NewUnstartedServer(s.upstream)
	upstream.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	upstream.StartTLS()
	upstream.Config.SetKeepAlivesEnabled(false)
	s.servers = append(s.servers, upstream)
	s.toUpstream.target = upstream.Listener.Addr().String()
	_, port, err := net.SplitHostPort(s.toUpstream.address)
	if err != nil {
		return fmt.Errorf("take the link's address apart: %w", err)
	}
	s.upstreamURL = "https://" + net.JoinHostPort(upstreamName, port) + s.path
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return fmt.Errorf("take the server's address apart: %w", err)
	}
	resolv := filepath.Join(s.dir, ".resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+host+"\noptions timeout:1 attempts:2\n"), 0o600); err != nil {
		return fmt.Errorf("write resolv.conf: %w", err)
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	script := fmt.Sprintf(
		"#!/bin/sh\nexec %s -m sh -c 'mount --bind %s /etc/resolv.conf && exec \"$0\" \"$@\"' %s \"$@\"\n",
		unshare,
		resolv,
		s.command,
	)
	s.command = filepath.Join(s.dir, ".sidecar")
	return os.WriteFile(s.command, []byte(script), 0o700)
}

// newCertificate is a server's that signs itself.
func newCertificate(name string) (certificate, key []byte, err error) {
	certificate, key, err = standin.SelfSigned(x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make a server's certificate: %w", err)
	}
	return certificate, key, nil
}
