// Package sessionid makes MCP session ids that carry their own proof. The id
// that a client gets is the upstream's with a code behind it that only this
// sidecar, or its replicas, could have made for this caller. Nothing has to be
// remembered, so a session outlives the process and moves between replicas.
package sessionid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
)

// MaxLength bounds an id of an upstream or of a client, in bytes.
const MaxLength = 512

// codeBytes is the length of the code: HMAC-SHA-256 cut to 128 bits (RFC 2104,
// section 5).
const codeBytes = 16

var codeEncoding = base64.RawURLEncoding.Strict()

// Owner is whose session it is.
type Owner struct {
	// Upstream tells upstreams apart.
	Upstream string
	Issuer   string
	Subject  string
}

// Valid reports whether an upstream's or a client's id has the form that the
// protocol asks for: visible ASCII, here of at most MaxLength bytes.
func Valid(id string) bool {
	if id == "" || len(id) > MaxLength {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7E {
			return false
		}
	}
	return true
}

// Bind is the id for the client: the upstream's, a dot, and the code.
func (k *Keys) Bind(id string, owner Owner) string {
	signing := k.current()[0]
	return id + "." + codeEncoding.EncodeToString(code(signing, "session", owner, id)[:codeBytes])
}

// Open gives the upstream's id out of a client's; it is false for an id that was
// not made for this owner.
func (k *Keys) Open(bound string, owner Owner) (string, bool) {
	dot := strings.LastIndexByte(bound, '.')
	if dot < 0 || !Valid(bound[:dot]) {
		return "", false
	}
	said, err := codeEncoding.DecodeString(bound[dot+1:])
	if err != nil || len(said) != codeBytes {
		return "", false
	}
	for _, key := range k.current() {
		if hmac.Equal(code(key, "session", owner, bound[:dot])[:codeBytes], said) {
			return bound[:dot], true
		}
	}
	return "", false
}

// Disguise is what goes up in place of an id that the client chose: 64 hex
// characters that nobody else's id becomes.
func (k *Keys) Disguise(id string, owner Owner) string {
	return hex.EncodeToString(code(k.current()[0], "client", owner, id))
}

// code authenticates the parts, each with its length before it, so that no two
// different lists of parts read the same.
func code(key []byte, purpose string, owner Owner, id string) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{purpose, owner.Upstream, owner.Issuer, owner.Subject, id} {
		writePart(h, part)
	}
	return h.Sum(nil)
}

func writePart(h hash.Hash, part string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	h.Write(length[:])
	h.Write([]byte(part))
}
