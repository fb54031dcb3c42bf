package mcp

// deepRun is the number of bytes that go on as they came, within a member of a result or
// of params: nothing is looked at there but the grammar. It moves the state over them,
// and leaves to step what is rarer: escapes, numbers, literals, separators, errors.
func (s *scanner) deepRun(b []byte) int {
	// The value of a member is itself at this depth, what it contains is deeper.
	floor := s.base + 2
	if len(s.stack) <= floor || len(s.split) > 0 {
		return 0
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		if s.state == inString {
			i += plainRun(b[i:])
			if i == len(b) || b[i] != '"' {
				return i
			}
			s.state = expectCommaOrEnd
			if s.isKey {
				s.state = expectColon
			}
			continue
		}
		if c == ' ' {
			if s.state > expectCommaOrEnd {
				return i
			}
			continue
		}
		switch s.state {
		case expectKey, expectKeyOrEnd:
			if c != '"' {
				return i
			}
			s.state, s.isKey = inString, true
		case expectColon:
			if c != ':' {
				return i
			}
			s.state = expectValue
		case expectValue, expectValueOrEnd:
			if !s.deepValue(c) {
				return i
			}
		case expectCommaOrEnd:
			if !s.deepEnd(c, floor) {
				return i
			}
		default:
			return i
		}
	}
	return len(b)
}

// deepValue begins a string or a container; it reports whether c does.
func (s *scanner) deepValue(c byte) bool {
	switch {
	case c == '"':
		s.state, s.isKey = inString, false
	case c == '{' && len(s.stack) < maxAnswerDepth:
		s.state, s.stack = expectKeyOrEnd, append(s.stack, c)
	case c == '[' && len(s.stack) < maxAnswerDepth:
		s.state, s.stack = expectValueOrEnd, append(s.stack, c)
	default:
		return false
	}
	return true
}

// deepEnd takes what follows a value, unless it ends the member; it reports whether it
// did.
func (s *scanner) deepEnd(c byte, floor int) bool {
	open := s.stack[len(s.stack)-1]
	switch {
	case c == ',' && open == '{':
		s.state = expectKey
	case c == ',':
		s.state = expectValue
	case len(s.stack) > floor+1 && (c == '}' && open == '{' || c == ']' && open == '['):
		s.stack = s.stack[:len(s.stack)-1]
	default:
		return false
	}
	return true
}

// looked has the bytes of a string that step takes: ends, escapes, what must not be there, and what
// may begin a line separator.
var looked = func() (table [256]bool) {
	for c := range 0x20 {
		table[c] = true
	}
	for _, c := range []byte("\"\\\xC2\xE2") {
		table[c] = true
	}
	return table
}()

// plainRun is the number of bytes of a string that need no look.
func plainRun(b []byte) int {
	for i, c := range b {
		if looked[c] {
			return i
		}
	}
	return len(b)
}
