package authconfig

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The keys of an auth-config; any number of *.cedar keys may join them.
const (
	FileConfig   = "auth-config.yaml"
	FileEntities = "entities.json"
	FileTools    = "tools.json"
	FileCA       = "ca.pem"
	FileClaims   = "claims.json"
	// FileToolsLock pins tools, see package toolslock.
	FileToolsLock = "tools.lock"
	// PolicySuffix ends the keys that hold Cedar policies.
	PolicySuffix = ".cedar"
)

// maxConfigBytes bounds all keys together: twice what a ConfigMap can hold.
const maxConfigBytes = 2 << 20

// Files are the keys of an auth-config with their contents, as a ConfigMap's
// data or as a directory holds them.
type Files map[string]string

// ReadDir reads the keys from a directory. Names that begin with a dot are
// kubelet's own and are passed over.
func ReadDir(dir string) (Files, error) {
	// kubelet swaps the link ..data: reading through it once keeps the keys of
	// two versions apart.
	if resolved, err := filepath.EvalSymlinks(filepath.Join(dir, "..data")); err == nil {
		dir = resolved
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read auth-config directory: %w", err)
	}
	files := Files{}
	left := int64(maxConfigBytes)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		text, err := readFile(filepath.Join(dir, entry.Name()), left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(text))
		files[entry.Name()] = text
	}
	return files, nil
}

func readFile(path string, limit int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read auth-config: %w", err)
	}
	// A FIFO or device would block for ever.
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("read auth-config: %s is not a regular file", path)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the directory
	if err != nil {
		return "", fmt.Errorf("read auth-config: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", fmt.Errorf("read auth-config: %w", err)
	}
	if int64(len(text)) > limit {
		return "", fmt.Errorf("read auth-config: the directory holds more than %d bytes", maxConfigBytes)
	}
	return string(text), nil
}

// Hash is the hex SHA-256 of all keys and contents, each with its length
// before it so that no two different sets of files read the same.
func (f Files) Hash() string {
	h := sha256.New()
	var length [8]byte
	write := func(s string) {
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		write(name)
		write(f[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
