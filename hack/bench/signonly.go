package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// serveSignOnly serves until it is killed; it prints its URL first.
func serveSignOnly(upstream string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "sign-only:", err)
		os.Exit(1)
	}
	fmt.Println("http://" + listener.Addr().String())
	_ = http.Serve(listener, signOnlyHandler(upstream))
}

// startSignOnly runs the sign-only proxy as a process of its own, as the
// sidecar is one: sharing a process with the client would make it cheaper.
func startSignOnly(ctx context.Context, upstream string) (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("find the benchmark's binary: %w", err)
	}
	command := exec.CommandContext(ctx, self, "--sign-only", upstream)
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("start the sign-only proxy: %w", err)
	}
	if err := command.Start(); err != nil {
		return "", nil, fmt.Errorf("start the sign-only proxy: %w", err)
	}
	stop = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the sign-only proxy: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}
