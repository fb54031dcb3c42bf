package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fullDiskScenario fills the volume under the CA's files: a sidecar that starts says what
// is wrong and ends, and one that runs goes on with the files that it has.
func fullDiskScenario() *scenario {
	var volume string
	fill := func(s *scene) (func() error, error) {
		volume = s.dir + "-ca"
		filler := filepath.Join(volume, "filler")
		if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			return nil, fmt.Errorf("the volume does not fill up: %w", err)
		}
		return func() error { return os.Remove(filler) }, nil
	}
	return &scenario{
		name: "the disk under the CA's volume is full, at the start and while the roots change",
		needs: func() string {
			if err := exec.Command("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", os.TempDir()).Run(); err != nil {
				return "no volume of a certain size can be made here: " + err.Error()
			}
			return ""
		},
		prepare: func(s *scene) error { return s.startOnFullVolume() },
		fault: func(_ context.Context, s *scene) (func() error, error) {
			empty, err := fill(s)
			if err != nil {
				return nil, err
			}
			// New roots are to be written where there is no room.
			certificate, _, err := newCertificate("new-root.example")
			if err != nil {
				return nil, err
			}
			s.ca = string(certificate)
			err = os.WriteFile(filepath.Join(s.dir, "ca.pem"), []byte(s.ca), 0o600)
			return func() error { return errors.Join(empty(), unmountLater(volume)) }, err
		},
	}
}

// startOnFullVolume makes the volume, sees that the sidecar does not start while it is full,
// and leaves it empty.
func (s *scene) startOnFullVolume() error {
	volume := s.dir + "-ca"
	if err := os.Mkdir(volume, 0o700); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	if err := syscall.Mount("tmpfs", volume, "tmpfs", 0, "size=4m"); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	s.flags = []string{"--tls-listen", "127.0.0.1:0", "--ca-dir", volume, "--ca-key-dir", volume}
	filler := filepath.Join(volume, "filler")
	if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the volume does not fill up: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := s.start(ctx)
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		return fmt.Errorf("on a full volume the sidecar says %w", err)
	}
	return os.Remove(filler)
}

// unmountLater takes the volume away at the end, when nothing uses it.
func unmountLater(volume string) error {
	if err := syscall.Unmount(volume, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return os.Remove(volume)
}
