package mcp

// stepString takes one byte of a string.
func (s *scanner) stepString(dst []byte, c byte) ([]byte, error) {
	if len(s.split) > 0 {
		return s.stepSplit(dst, c)
	}
	if s.naming && s.state == inString && c != '"' || s.naming && s.state != inString {
		if len(s.name) == maxAnswerName {
			return dst, ErrUnreadable
		}
		s.name = append(s.name, c)
	}
	switch s.state {
	case inEscape:
		switch c {
		case 'u':
			s.state, s.hex = inHex, 4
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s.state = inString
		default:
			return dst, ErrUnreadable
		}
		return s.emitByte(dst, c)
	case inHex:
		if !isHex(c) {
			return dst, ErrUnreadable
		}
		if s.hex--; s.hex == 0 {
			s.state = inString
		}
		return s.emitByte(dst, c)
	}
	switch {
	case c < 0x20:
		return dst, ErrUnreadable
	case c == 0xC2 || c == 0xE2:
		s.split = append(s.split, c)
		return dst, nil
	case c == '\\':
		s.state = inEscape
	case c == '"':
		return s.stringEnd(dst)
	}
	return s.emitByte(dst, c)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) stringEnd(dst []byte) ([]byte, error) {
	dst, err := s.emitByte(dst, '"')
	if err != nil {
		return dst, err
	}
	if !s.isKey {
		return s.valueEnd(dst)
	}
	s.state = expectColon
	if s.naming {
		s.naming = false
		return dst, s.nameEnd()
	}
	return dst, nil
}

// lineSeparators are the characters beyond ASCII at which some programs end a
// line, with their JSON escapes: U+0085, U+2028, U+2029.
var lineSeparators = map[string]string{"\xC2\x85": `\u0085`, "\xE2\x80\xA8": `\u2028`, "\xE2\x80\xA9": `\u2029`}

// stepSplit takes the next byte of what may be a line separator.
func (s *scanner) stepSplit(dst []byte, c byte) ([]byte, error) {
	s.split = append(s.split, c)
	if len(s.split) == 2 && s.split[0] == 0xE2 && c == 0x80 {
		return dst, nil
	}
	escape, separates := lineSeparators[string(s.split)]
	if separates {
		s.split = s.split[:0]
		if s.naming {
			s.name = append(s.name[:len(s.name)-1], escape...)
		}
		return s.emit(dst, []byte(escape))
	}
	// It was none: the bytes before go on, the last one is looked at anew, for it
	// may end the string or begin a separator.
	before := s.split[:len(s.split)-1]
	if s.naming {
		s.name = append(s.name, before[1:]...)
	}
	dst, err := s.emit(dst, before)
	s.split = s.split[:0]
	if err != nil {
		return dst, err
	}
	return s.stepString(dst, c)
}

// The states within a JSON number (RFC 8259, section 6).
const (
	numberMinus = iota + 1
	numberZero
	numberInteger
	numberPoint
	numberFraction
	numberExponent
	numberSign
	numberPower
)

// numberNext is the state behind c; 0 is the state before a number.
func numberNext(state, c byte) (byte, bool) {
	digit := c >= '0' && c <= '9'
	switch {
	case state == 0 && c == '-':
		return numberMinus, true
	case (state == 0 || state == numberMinus) && c == '0':
		return numberZero, true
	case (state == 0 || state == numberMinus || state == numberInteger) && digit:
		return numberInteger, true
	case (state == numberZero || state == numberInteger) && c == '.':
		return numberPoint, true
	case (state == numberPoint || state == numberFraction) && digit:
		return numberFraction, true
	case (state == numberZero || state == numberInteger || state == numberFraction) && (c == 'e' || c == 'E'):
		return numberExponent, true
	case state == numberExponent && (c == '+' || c == '-'):
		return numberSign, true
	case (state == numberExponent || state == numberSign || state == numberPower) && digit:
		return numberPower, true
	}
	return 0, false
}

func numberMayEnd(state byte) bool {
	return state == numberZero || state == numberInteger || state == numberFraction || state == numberPower
}
