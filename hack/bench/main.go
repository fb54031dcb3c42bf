// Command bench measures the real sidecar binary against a proxy that does nothing but
// sign, beside the upstream called directly, all in one run, and prints ratios. Each
// is a process of its own on loopback, with the same settings of the collector; the
// upstream answers as fast as net/http can and verifies no signatures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/countersign-io/countersign/pkg/sidecar"
)

func main() {
	binary := flag.String("sidecar", "bin/sidecar", "the sidecar binary")
	rounds := flag.Int("rounds", 201, "rounds; each target is measured once in each, in turn")
	length := flag.Duration("length", 100*time.Millisecond, "how long one measurement takes")
	only := flag.String("only", "", "measure only speed, events, idle, streams, growth or script")
	role := flag.String("role", "", "what a process that the benchmark starts serves as")
	upstream := flag.String("upstream", "", "the upstream of such a process")
	flag.Parse()
	if err := run(*role, *upstream, *binary, *only, *rounds, *length); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(role, upstream, binary, only string, rounds int, length time.Duration) error {
	switch role {
	case "":
	case roleUpstream:
		return serveRole(upstreamHandler())
	case roleSignOnly:
		return serveRole(likeSidecar(signOnlyHandler(upstream)))
	case roleRelay:
		return serveRole(likeSidecar(relayHandler(upstream)))
	default:
		return fmt.Errorf("no role %q", role)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	bed, err := newBed(ctx, binary)
	if err != nil {
		return err
	}
	defer bed.close()
	var failures []error
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"speed", func(ctx context.Context) error { return bed.speed(ctx, rounds, length) }},
		{"events", bed.eventLag},
		{"idle", bed.idle},
		{"streams", bed.streams},
		{"growth", bed.growth},
		{"script", measureScript},
	} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.measure(ctx); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return errors.Join(failures...)
}

// likeSidecar has the process's collector set as the sidecar's is.
func likeSidecar(handler http.Handler) http.Handler {
	sidecar.UseContainerMemory()
	return handler
}
