// Command controlplane prints the directory with the kube-apiserver, etcd and
// kubectl that tests and benchmarks use, after it has built what is missing.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/countersign-io/countersign/e2e/controlplane"
)

func main() {
	dir, err := controlplane.Assets(context.Background(), os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
