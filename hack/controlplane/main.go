// Command controlplane prints the directory with the kube-apiserver, etcd and
// kubectl that tests and benchmarks use, after it has built what is missing; with
// -node, all that a cluster of one node needs; with -kubeadm, what a node of kind
// needs; with -kubectl, kubectl alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/countersign-io/countersign/e2e/controlplane"
)

func main() {
	node := flag.Bool("node", false, "the programs of a node as well")
	kubeadm := flag.Bool("kubeadm", false, "the programs of a node, and kubeadm")
	kubectl := flag.Bool("kubectl", false, "kubectl alone")
	flag.Parse()
	assets := controlplane.Assets
	switch {
	case *kubectl:
		assets = controlplane.Kubectl
	case *kubeadm:
		assets = controlplane.KubeadmAssets
	case *node:
		assets = controlplane.NodeAssets
	}
	dir, err := assets(context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
