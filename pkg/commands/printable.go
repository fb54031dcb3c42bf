package commands

import "unicode"

// Printable keeps what others wrote from steering a terminal, or the direction of its text.
func Printable(text string) string {
	clean := []rune(text)
	for i, r := range clean {
		if r == '\n' || r == '\t' {
			continue
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			clean[i] = '?'
		}
	}
	return string(clean)
}
