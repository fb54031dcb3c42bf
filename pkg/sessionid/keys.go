package sessionid

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keyBytes is the least length of a key, and that of one which is made here.
	keyBytes = 32
	// maxKeys and maxKeyFile bound a key file.
	maxKeys    = 16
	maxKeyFile = 64 << 10
	// fileCheck is how often the file is looked at.
	fileCheck = time.Second
)

// Keys are the keys that bind sessions. The first signs, all verify, so that keys
// can be rotated. They are safe for concurrent use.
type Keys struct {
	path string
	keys atomic.Pointer[[][]byte]

	mu      sync.Mutex
	checked atomic.Int64
	info    os.FileInfo
}

// NewKeys are keys of this process alone: sessions end with it.
func NewKeys() *Keys {
	k := &Keys{}
	keys := [][]byte{newKey()}
	k.keys.Store(&keys)
	return k
}

func newKey() []byte {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

// OpenKeys reads the keys of a file: Base64, one a line, each of 32 bytes or more.
// A missing file is made, with one random key; an empty one is an error. The file
// is read again when it changes.
func OpenKeys(path string) (*Keys, error) {
	if err := makeMissing(path); err != nil {
		return nil, err
	}
	k := &Keys{path: path}
	if err := k.read(); err != nil {
		return nil, err
	}
	k.checked.Store(time.Now().UnixNano())
	return k, nil
}

// makeMissing writes the whole file before it gets its name, and never over one
// that is there: replicas may start at the same time.
func makeMissing(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".session-key-") // mode 0600
	if err != nil {
		return fmt.Errorf("make the session key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = io.WriteString(f, base64.StdEncoding.EncodeToString(newKey())+"\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the session key: %w", err)
	}
	return nil
}

// current are the keys; at most once in fileCheck it looks whether the file has
// changed. A file that cannot be read leaves the last keys in use.
func (k *Keys) current() [][]byte {
	now := time.Now().UnixNano()
	if k.path != "" && now-k.checked.Load() >= int64(fileCheck) && k.mu.TryLock() {
		k.checked.Store(now)
		if err := k.reread(); err != nil {
			slog.Warn("the session keys cannot be read again; the last ones stay in use", "error", err)
		}
		k.mu.Unlock()
	}
	return *k.keys.Load()
}

func (k *Keys) reread() error {
	info, err := os.Stat(k.path)
	if err != nil {
		return fmt.Errorf("read session keys: %w", err)
	}
	if os.SameFile(info, k.info) && info.ModTime().Equal(k.info.ModTime()) && info.Size() == k.info.Size() {
		return nil
	}
	return k.read()
}

func (k *Keys) read() error {
	f, err := os.Open(k.path)
	if err != nil {
		return fmt.Errorf("read session keys: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read session keys: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return fmt.Errorf("read session keys: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return fmt.Errorf("read session keys: %s: %w", k.path, err)
	}
	k.info = info
	k.keys.Store(&keys)
	return nil
}

// parseKeys never repeats what the file holds.
func parseKeys(text []byte) ([][]byte, error) {
	var keys [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d is not Base64", number)
		case len(key) < keyBytes:
			return nil, fmt.Errorf("line %d has a key of %d bytes; it needs %d or more", number, len(key), keyBytes)
		case len(keys) == maxKeys:
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("a line is too long: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}
