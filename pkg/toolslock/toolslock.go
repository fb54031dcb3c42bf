// Package toolslock pins the tools that an operator has seen: a hash of whatever a model reads
// of each.
package toolslock

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// Version is that of the format.
	Version = 1
	// maxTools bounds the tools of one upstream.
	maxTools = 20_000
	// hashPrefix names the algorithm.
	hashPrefix = "sha256:"
)

// hashed are the members of a tool that are pinned, as MCP's schema has them.
// https://modelcontextprotocol.io/specification (Tool)
var hashed = []string{"annotations", "description", "inputSchema", "name", "outputSchema", "title"}

// Lock is the key tools.lock of an auth-config.
type Lock struct {
	Version int `json:"version"`
	// Upstreams have the tools' hashes by name.
	Upstreams map[string]map[string]string `json:"upstreams"`
}

// Parse reads the key.
func Parse(text []byte) (*Lock, error) {
	lock := &Lock{}
	if err := json.Unmarshal(text, lock, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if lock.Version != Version {
		return nil, fmt.Errorf("version: %d is not %d", lock.Version, Version)
	}
	for upstream, tools := range lock.Upstreams {
		if len(tools) > maxTools {
			return nil, fmt.Errorf("upstreams.%s: there are more than %d tools", upstream, maxTools)
		}
		for name, hash := range tools {
			sum, err := hex.DecodeString(strings.TrimPrefix(hash, hashPrefix))
			if err != nil || len(sum) != sha256.Size || !strings.HasPrefix(hash, hashPrefix) {
				return nil, fmt.Errorf("upstreams.%s.%s: not %s and 64 hexadecimal digits", upstream, name, hashPrefix)
			}
		}
	}
	return lock, nil
}

// Marshal writes the key, a line for each tool, so that a change of one is a change of a line.
func (l *Lock) Marshal() ([]byte, error) {
	text, err := json.Marshal(l, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("write tools.lock: %w", err)
	}
	return append(text, '\n'), nil
}

// Hash is the hash of one tool as a server lists it: that of its pinned members in the
// canonical form of RFC 8785, so that order and spacing do not matter.
func Hash(tool jsontext.Value) (name, hash string, err error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(tool, &members); err != nil {
		return "", "", fmt.Errorf("not a tool: %w", err)
	}
	if err := json.Unmarshal(members["name"], &name); err != nil || name == "" {
		return "", "", errors.New("not a tool: it has no name")
	}
	for member := range members {
		for _, known := range hashed {
			if member != known && strings.EqualFold(member, known) {
				// A reader that does not tell case apart could take the one for the other.
				return "", "", fmt.Errorf("the tool %q has a member %q beside %q", name, member, known)
			}
		}
	}
	pinned := map[string]jsontext.Value{}
	for _, member := range hashed {
		if value := members[member]; len(value) > 0 && value.Kind() != 'n' {
			pinned[member] = value
		}
	}
	text, err := json.Marshal(pinned)
	if err != nil {
		return "", "", fmt.Errorf("the tool %q: %w", name, err)
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return "", "", fmt.Errorf("the tool %q: %w", name, err)
	}
	sum := sha256.Sum256(canonical)
	return name, hashPrefix + hex.EncodeToString(sum[:]), nil
}

// Of gives the hashes of tools by name.
func Of(tools []jsontext.Value) (map[string]string, error) {
	hashes := make(map[string]string, len(tools))
	for _, tool := range tools {
		name, hash, err := Hash(tool)
		if err != nil {
			return nil, err
		}
		if _, twice := hashes[name]; twice {
			return nil, fmt.Errorf("the server lists the tool %q twice", name)
		}
		hashes[name] = hash
	}
	return hashes, nil
}

// Difference is how tools differ from those that are pinned.
type Difference struct {
	New     []string `json:"new,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Gone    []string `json:"gone,omitempty"`
}

// IsEmpty reports whether there is none.
func (d *Difference) IsEmpty() bool { return len(d.New)+len(d.Changed)+len(d.Gone) == 0 }

// Compare tells how seen differs from pinned.
func Compare(pinned, seen map[string]string) *Difference {
	d := &Difference{}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		switch hash, known := pinned[name]; {
		case !known:
			d.New = append(d.New, name)
		case hash != seen[name]:
			d.Changed = append(d.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pinned)) {
		if _, there := seen[name]; !there {
			d.Gone = append(d.Gone, name)
		}
	}
	return d
}
