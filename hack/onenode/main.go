// Command onenode makes the images that a cluster of one node cannot do without:
// the pause container and CoreDNS.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

func main() {
	out := flag.String("out", "system.tar", "the archive")
	coredns := flag.String("coredns", "", "the CoreDNS binary")
	flag.Parse()
	if err := run(*out, *coredns); err != nil {
		fmt.Fprintln(os.Stderr, "onenode:", err)
		os.Exit(1)
	}
}

func run(out, coredns string) error {
	dir, err := os.MkdirTemp("", "countersign-onenode-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	pause, err := ociarchive.BuildProgram("countersign.io/cluster/pause:1", "./hack/onenode/pause", dir)
	if err != nil {
		return err
	}
	dns, err := ociarchive.Program("countersign.io/cluster/coredns:1", coredns)
	if err != nil {
		return err
	}
	return ociarchive.Write(out, pause, dns)
}
