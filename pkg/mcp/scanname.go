package mcp

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// isPlain reports whether a string's text is what it stands for: ASCII without escapes.
func isPlain(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < ' ' || c == '\\' || c >= utf8.RuneSelf })
}

// prototype is a member that gives an object those of another in JavaScript, where a
// program copies it member by member.
const prototype = "__proto__"

// decodeString gives what a string stands for that is written so between its quotes; an
// error where it is cut within a character, which readers replace in different ways.
func decodeString(written []byte) (string, error) {
	if isPlain(written) {
		return string(written), nil
	}
	decoded, err := jsontext.AppendUnquote(nil, slices.Concat([]byte{'"'}, written, []byte{'"'}))
	if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
		return "", ErrUnreadable
	}
	return string(decoded), nil
}

// nameEnd looks at a whole member name of the message or its result. A known one
// that is repeated, or written in another case, could be read in two ways.
func (s *scanner) nameEnd() error {
	known, seen := envelopeMembers, &s.seenEnvelope
	if s.inResult {
		known, seen = resultMembers, &s.seenResult
	}
	for i, k := range known {
		if string(s.name) == k && *seen&(1<<i) == 0 {
			*seen |= 1 << i
			s.member = k
			return nil
		}
	}
	member, err := decodeString(s.name)
	if err != nil || member == prototype {
		return ErrUnreadable
	}
	s.member = member
	// A reader that ends strings at NUL, or passes over controls, sees less.
	bare := s.member
	if i := strings.IndexFunc(bare, isControl); i >= 0 {
		bare = bare[:i]
	}
	plain := bare == s.member && isPlain(s.name)
	for i, k := range known {
		if plain && len(k) != len(bare) {
			continue // in another case, ASCII is as long
		}
		if bare != s.member && strings.EqualFold(k, bare) {
			return ErrUnreadable
		}
		if !strings.EqualFold(k, s.member) {
			continue
		}
		if k != s.member || *seen&(1<<i) != 0 {
			return ErrUnreadable
		}
		*seen |= 1 << i
	}
	return nil
}
