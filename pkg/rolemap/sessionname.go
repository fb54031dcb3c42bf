package rolemap

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// maxSessionName is the longest RoleSessionName that STS takes.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const maxSessionName = 64

// hashDigits is the length of the hash that marks a changed name. A UUID's last
// group has 12, so that no UUID looks like a changed name.
const hashDigits = 16

var (
	sessionNameForm = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
	changedName     = regexp.MustCompile(`-[0-9a-f]{16}$`)
)

// SessionName makes a RoleSessionName of a claim's value. A value that STS
// takes stays as it is. In any other, refused characters become '-', and a hash
// of the whole value is appended, so that two values never share a name. A
// value that only looks changed is hashed too, or a caller could choose the
// name of another.
func SessionName(value string) string {
	if sessionNameForm.MatchString(value) && !changedName.MatchString(value) {
		return value
	}
	const keep = maxSessionName - hashDigits - 1
	name := make([]byte, 0, maxSessionName)
	for i := 0; i < len(value) && len(name) < keep; i++ {
		if c := value[i]; isSessionNameByte(c) {
			name = append(name, c)
		} else {
			name = append(name, '-')
		}
	}
	sum := sha256.Sum256([]byte(value))
	name = append(name, '-')
	return string(hex.AppendEncode(name, sum[:hashDigits/2]))
}

func isSessionNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '_', '+', '=', ',', '.', '@', '-':
		return true
	}
	return false
}
