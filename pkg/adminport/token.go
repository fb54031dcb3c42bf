package adminport

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/countersign-io/countersign/pkg/atomicfile"
)

const (
	// tokenBytes is the length of the token before it is written in hexadecimal digits.
	tokenBytes = 32
	// maxTokenFile bounds the file of the token.
	maxTokenFile = 256
)

// Token opens what the admin port does not tell everybody. The zero value opens nothing.
type Token struct{ digest [sha256.Size]byte }

// NewToken makes a token and writes it into the file, which the user of this process alone
// may read. The directory must be none that the app can read: in a Pod one that only the
// sidecar mounts.
func NewToken(file string) (Token, error) {
	text := make([]byte, tokenBytes)
	_, _ = rand.Read(text) // never fails: see its documentation
	written := hex.EncodeToString(text)
	if err := atomicfile.Write(file, []byte(written+"\n"), 0o600); err != nil {
		return Token{}, fmt.Errorf("write the admin token: %w", err)
	}
	return tokenOf(written), nil
}

func tokenOf(text string) Token { return Token{digest: sha256.Sum256([]byte(text))} }

// admits reports whether the request brings the token.
func (t Token) admits(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if t == (Token{}) || len(values) != 1 {
		return false
	}
	scheme, text, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sent := tokenOf(text)
	return subtle.ConstantTimeCompare(sent.digest[:], t.digest[:]) == 1
}

// ReadToken gives the token that a sidecar wrote into the file.
func ReadToken(file string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // the user names the file
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) != hex.EncodedLen(tokenBytes) {
		return "", fmt.Errorf("%s holds no admin token", file)
	}
	return token, nil
}

// PrivateFile is where the token of a sidecar lies that has no directory of its own: in one
// of the user's, made where it is missing, by the admin address's port, so that several
// sidecars of one user keep apart.
func PrivateFile(admin string) (string, error) {
	_, port, err := net.SplitHostPort(admin)
	if err != nil {
		return "", fmt.Errorf("--admin: %w", err)
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "countersign-"+strconv.Itoa(os.Getuid()))
	const private = 0o700
	err = os.Mkdir(dir, private) //nolint:gosec // the user's own variable
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Where others may write, somebody else could have made it.
	info, err := os.Lstat(dir) //nolint:gosec // the user's own variable
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm() != private || !isThisUsers(info) {
		return "", fmt.Errorf("%s is not a directory of this user alone", dir)
	}
	return filepath.Join(dir, "admin-token-"+port), nil
}
