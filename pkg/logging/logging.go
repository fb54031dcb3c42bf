// Package logging sets up the log of a program: JSON lines on standard error.
package logging

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// SetUp makes the default logger write at a level: debug, info, warn or error.
func SetUp(level string) error {
	var parsed slog.Level
	if err := parsed.UnmarshalText([]byte(level)); err != nil || strings.ContainsAny(level, "+-") {
		return fmt.Errorf("--log-level: %q is not debug, info, warn or error", level)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: parsed})))
	return nil
}
