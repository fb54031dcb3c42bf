package proxy

import (
	"log/slog"
	"sync"
	"time"

	"github.com/countersign-io/countersign/pkg/authorize"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/toolslock"
)

const (
	// maxSeenTools bounds the tools whose hash is remembered, of all upstreams: pinned ones only.
	maxSeenTools = 100_000
	// maxLoggedName bounds a tool's name in the log.
	maxLoggedName = 128
	// newToolInterval is how often at most a tool that nobody pinned is logged, after the first
	// few: a list may have many.
	newToolInterval = time.Minute
)

// seenTools remember how upstreams listed their tools last, where tools are pinned.
type seenTools struct {
	mu     sync.RWMutex
	hashes map[seenTool]string
}

type seenTool struct{ upstream, tool string }

func (s *seenTools) of(upstream, tool string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.hashes[seenTool{upstream, tool}]
}

// see notes a hash and reports whether it was another before.
func (s *seenTools) see(upstream, tool, hash string) (isNews bool) {
	key := seenTool{upstream, tool}
	if s.of(upstream, tool) == hash {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.hashes[key]; !known && len(s.hashes) >= maxSeenTools {
		return true
	}
	if s.hashes == nil {
		s.hashes = map[seenTool]string{}
	}
	s.hashes[key] = hash
	return true
}

// ShowWholeTool implements mcp.WholeToolFilter.
func (v visibility) ShowWholeTool(name string, tool []byte) bool {
	authorizer := v.snap.Config.Authorizer
	if !authorizer.WatchesTools() {
		return true
	}
	_, hash, err := toolslock.Hash(tool)
	if err != nil {
		// Two readers could see two tools in it: it is none that was pinned.
		hash = "unreadable"
	}
	drift, news := authorizer.Drift(v.upstream.Name, name, hash), false
	if drift == authorize.DriftNew {
		// Such are denied by their name: only pinned ones are remembered, which bounds them.
		v.server.newTools.Do(func() { news = true })
	} else {
		news = v.server.seenTools.see(v.upstream.Key, name, hash)
	}
	if drift == authorize.DriftNone {
		return true
	}
	v.server.options.Metrics.ToolDrifted(v.upstream.Name, string(drift))
	if news {
		slog.Warn(
			"a tool is not as it was pinned",
			"upstream",
			v.upstream.Name,
			"tool",
			name[:min(len(name), maxLoggedName)],
			"drift",
			string(drift),
			"hash",
			hash,
			"hidden",
			authorizer.HidesDrift(),
		)
	}
	return !authorizer.HidesDrift()
}

// seenTool is the hash of the tool that a message calls, as far as it is known.
func (c *call) seenTool(m *mcp.Message) string {
	if !c.snap.Config.Authorizer.HidesDrift() {
		return ""
	}
	for _, subject := range m.Subjects() {
		if subject.Kind == mcp.SubjectTool {
			return c.server.seenTools.of(c.upstream.Key, subject.Name)
		}
	}
	return ""
}
