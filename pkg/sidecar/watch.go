package sidecar

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/liveconfig"
)

const (
	// pollInterval finds changes where notifications do not come (network file
	// systems, exhausted inotify limits).
	pollInterval = 3 * time.Second
	// settleTime lets several writes of one change end.
	settleTime = 100 * time.Millisecond
)

// watch loads the directory again whenever its contents change, until ctx ends.
// A change that is refused is logged once and leaves the last good auth-config
// in use.
func watch(ctx context.Context, configs *liveconfig.Store, dir string) {
	var events chan fsnotify.Event
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watcher.Close() }()
		if err = watcher.Add(dir); err == nil {
			events = watcher.Events
		}
	}
	if err != nil {
		slog.Warn("changes of the auth-config are found by polling only", "error", err)
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	seen := configs.Current().Config.Hash
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			time.Sleep(settleTime)
			drain(events)
		case <-poll.C:
		}
		seen = reload(configs, dir, seen)
	}
}

func drain(events <-chan fsnotify.Event) {
	for {
		select {
		case <-events:
		default:
			return
		}
	}
}

// reload loads the directory unless it reads as it did last; it returns how it
// reads now.
func reload(configs *liveconfig.Store, dir, seen string) string {
	files, err := authconfig.ReadDir(dir)
	if err != nil {
		if text := err.Error(); text != seen {
			slog.Error("the auth-config cannot be read; the last good one stays in use", "error", err)
			configs.CannotRead(err)
			return text
		}
		return seen
	}
	hash := files.Hash()
	if hash == seen {
		return seen
	}
	if err := configs.Load(files); err != nil {
		slog.Error("the auth-config was refused; the last good one stays in use", "error", err)
	}
	return hash
}
