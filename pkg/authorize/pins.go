package authorize

import (
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
	"github.com/countersign-io/countersign/pkg/toolslock"
)

// pins are the tools that an operator has seen.
type pins struct {
	lock *toolslock.Lock
	mode authconfig.ToolDrift
}

// Drift says how a tool differs from what is pinned.
type Drift string

// How it may differ.
const (
	DriftNone    Drift = ""
	DriftNew     Drift = "new"
	DriftChanged Drift = "changed"
)

// Pin has the authorizer compare tools with a lock.
func (a *Authorizer) Pin(lock *toolslock.Lock, mode authconfig.ToolDrift) {
	a.pins = pins{lock: lock, mode: mode}
}

func (p *pins) isOn() bool {
	return p.lock != nil && (p.mode == authconfig.ToolDriftWarn || p.mode == authconfig.ToolDriftDeny)
}

// WatchesTools reports whether tools are compared with a lock.
func (a *Authorizer) WatchesTools() bool { return a.pins.isOn() }

// HidesDrift reports whether tools that differ are hidden and denied.
func (a *Authorizer) HidesDrift() bool {
	return a.pins.isOn() && a.pins.mode == authconfig.ToolDriftDeny
}

// Drift compares a tool as the server lists it; seen is its hash.
func (a *Authorizer) Drift(server, tool, seen string) Drift { return a.pins.drift(server, tool, seen) }

func (p *pins) drift(server, tool, seen string) Drift {
	if !p.isOn() {
		return DriftNone
	}
	switch pinned, known := p.lock.Upstreams[server][tool]; {
	case !known:
		return DriftNew
	case seen != "" && seen != pinned:
		return DriftChanged
	}
	return DriftNone
}

// deny reports whether a call is for a tool that is not as it was pinned.
func (p *pins) deny(r *Request, subjects []mcp.Subject) bool {
	if p.mode != authconfig.ToolDriftDeny {
		return false
	}
	for i := range subjects {
		if subjects[i].Kind == mcp.SubjectTool && p.drift(r.Server, subjects[i].Name, r.SeenTool) != DriftNone {
			return true
		}
	}
	return false
}
