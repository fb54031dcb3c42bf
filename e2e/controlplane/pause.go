package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Pause stops the kube-apiserver's process, as a machine that hangs does: connections stay
// and nobody answers.
func (c *ControlPlane) Pause() error { return signalAPIServer(syscall.SIGSTOP) }

// Resume ends a Pause.
func (c *ControlPlane) Resume() error { return signalAPIServer(syscall.SIGCONT) }

// signalAPIServer finds the one that this process started; envtest does not tell.
func signalAPIServer(signal syscall.Signal) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return fmt.Errorf("find the kube-apiserver: %w", err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// proc_pid_stat(5): pid (name) state ppid ...
		open, closed := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		fields := bytes.Fields(text[closed+1:])
		if string(text[open+1:closed]) != "kube-apiserver" || string(fields[1]) != strconv.Itoa(os.Getpid()) {
			continue
		}
		pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:open])))
		if err != nil {
			return fmt.Errorf("find the kube-apiserver: %w", err)
		}
		return syscall.Kill(pid, signal)
	}
	return errors.New("find the kube-apiserver: this process has started none")
}
