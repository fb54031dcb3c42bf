package mcp

import (
	"bytes"
)

// walker goes through JSON whose grammar the scanner has checked byte by byte, and
// looks for the ends of values only. Were the text no JSON after all, it would end with
// ErrUnreadable, or within a value, and never beyond the text.
type walker struct {
	text []byte
	at   int
}

// next passes white space and gives the byte behind it, 0 at the end.
func (w *walker) next() byte {
	for ; w.at < len(w.text); w.at++ {
		if c := w.text[w.at]; !isSpace(c) {
			return c
		}
	}
	return 0
}

// take passes white space and one byte, which must be c.
func (w *walker) take(c byte) error {
	if w.next() != c {
		return ErrUnreadable
	}
	w.at++
	return nil
}

// between passes what separates two members or elements of a container that ends with
// end, and reports whether there is another.
func (w *walker) between(end byte, first bool) (more bool, err error) {
	c := w.next()
	switch {
	case c == end:
		w.at++
		return false, nil
	case first:
		return true, nil
	}
	return true, w.take(',')
}

// skipString passes a string and gives it with its quotes.
func (w *walker) skipString() ([]byte, error) {
	if w.next() != '"' {
		return nil, ErrUnreadable
	}
	begin := w.at
	for i := begin + 1; i < len(w.text); i++ {
		switch w.text[i] {
		case '\\':
			i++ // whatever it escapes
		case '"':
			w.at = i + 1
			return w.text[begin:w.at], nil
		}
	}
	return nil, ErrUnreadable
}

// skipValue passes a value of any kind.
func (w *walker) skipValue() error {
	for depth := 0; ; {
		switch w.next() {
		case 0:
			return ErrUnreadable
		case '"':
			if _, err := w.skipString(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			w.at++
		case '}', ']':
			if depth == 0 {
				return ErrUnreadable
			}
			depth--
			w.at++
		case ',', ':':
			w.at++
			continue
		default:
			w.skipScalar()
		}
		if depth == 0 {
			return nil
		}
	}
}

// skipScalar passes a number, true, false or null.
func (w *walker) skipScalar() {
	for ; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; {
		case isSpace(c), c == ',', c == ':', c == '}', c == ']', c == '{', c == '[', c == '"':
			return
		}
	}
}

// object passes an object. Of the members with the one known name, which is ASCII, it
// calls member, behind the colon; the others it skips. That name must be there neither
// twice nor in another case.
func (w *walker) object(known string, member func() error) error {
	if err := w.take('{'); err != nil {
		return err
	}
	seen := false
	for first := true; ; first = false {
		more, err := w.between('}', first)
		if err != nil || !more {
			return err
		}
		name, err := w.skipString()
		if err != nil {
			return err
		}
		is, err := isName(name, known)
		if err != nil {
			return err
		}
		if err := w.take(':'); err != nil {
			return err
		}
		switch {
		case !is:
			err = w.skipValue()
		case seen:
			return ErrUnreadable
		default:
			seen = true
			err = member()
		}
		if err != nil {
			return err
		}
	}
}

// isName reports whether a quoted name is the known one; a name that some reader could
// take for it is an error.
func isName(quoted []byte, known string) (bool, error) {
	written := quoted[1 : len(quoted)-1]
	if isPlain(written) {
		// Of ASCII alone, and without controls, only names of the same length differ by case alone.
		if string(written) == known {
			return true, nil
		}
		if len(written) != len(known) && !bytes.ContainsRune(written, 0x7F) {
			return false, nil
		}
	}
	name, err := decodeString(written)
	if err != nil {
		return false, err
	}
	canonical, confusable := canonicalName(name, []string{known})
	if confusable {
		return false, ErrUnreadable
	}
	return canonical == known, nil
}
