package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// CheckReady asks the admin port of a sidecar on this host whether it serves; admin
// is the address that --admin was given.
func CheckReady(ctx context.Context, admin string, timeout time.Duration) error {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(
		ctx,
		http.MethodGet,
		"http://"+net.JoinHostPort(host, port)+"/readyz",
		http.NoBody,
	)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	// No proxy of the environment may answer in the sidecar's place.
	client := &http.Client{Transport: &http.Transport{}}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the sidecar does not serve: %w", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the sidecar answers %s", answer.Status)
	}
	return nil
}
