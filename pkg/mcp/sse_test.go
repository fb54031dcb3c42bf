package mcp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// upper changes data that holds "change".
func upper(data []byte) ([]byte, error) {
	if bytes.Contains(data, []byte("refuse")) {
		return nil, ErrUnreadable
	}
	if bytes.Contains(data, []byte("change")) {
		return bytes.ToUpper(data), nil
	}
	return data, nil
}

// pass feeds text in pieces of n bytes.
func pass(text string, n int) (string, error) {
	r := NewEventRewriter(1024, upper)
	var out []byte
	for len(text) > 0 {
		size := min(n, len(text))
		var err error
		if out, err = r.Write(out, []byte(text[:size])); err != nil {
			return string(out), err
		}
		text = text[size:]
	}
	return string(out), nil
}

func TestEventsPassByteForByteButForChangedData(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"an event":                    {"data: a\n\n", ""},
		"line ends of three kinds":    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", ""},
		"mixed line ends":             {"id: 1\rdata: b\n\r\n", ""},
		"a BOM":                       {"\xEF\xBB\xBFdata: a\n\n", ""},
		"a BOM before changed data":   {"\xEF\xBB\xBFdata: change\n\n", "\xEF\xBB\xBFdata: CHANGE\n\n"},
		"comments and retry":          {": ping\n\nretry: 5\n\n: x\ndata: a\nunknown: y\nfield\n\n", ""},
		"an empty data line":          {"id: 0\ndata:\n\n", ""},
		"data of several lines":       {"data: {\ndata:  a\ndata: }\n\n", ""},
		"changed data":                {"event: message\r\nid: 7\r\ndata: change\r\nretry: 1\r\n\r\n", "event: message\r\nid: 7\r\ndata: CHANGE\r\nretry: 1\r\n\r\n"},
		"changed data of two lines":   {"data: a\nid: 7\ndata: change\n\n", "data: A\ndata: CHANGE\nid: 7\n\n"},
		"data without a space":        {"data:change\n\n", "data: CHANGE\n\n"},
		"an event that breaks off":    {"data: a\n\ndata: b\n", "data: a\n\n"},
		"a field that begins so":      {"database: change\n\n", ""},
		"a line end of CR at the end": {"data: a\r\r", ""},
	} {
		for _, n := range []int{1, 2, 3, 7, 1000} {
			want := c.want
			if want == "" {
				want = c.in
			}
			if got, err := pass(c.in, n); err != nil || got != want {
				t.Errorf("%s, by %d: %v\ngot  %q\nwant %q", name, n, err, got, want)
			}
		}
	}
}

func TestAnEventThatIsRefusedEndsTheStream(t *testing.T) {
	got, err := pass("data: a\n\nid: 1\ndata: refuse\n\ndata: b\n\n", 5)
	if !errors.Is(err, ErrUnreadable) || got != "data: a\n\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnEventThatIsTooLargeEndsTheStream(t *testing.T) {
	for _, text := range []string{"data: " + strings.Repeat("x", 2000), strings.Repeat("data: x\n", 300), ": " + strings.Repeat("x", 2000)} {
		if _, err := pass(text, 100); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
}

func TestACommentDoesNotWaitForAnEvent(t *testing.T) {
	r := NewEventRewriter(1024, upper)
	if out, err := r.Write(nil, []byte(": keep alive\n")); err != nil || string(out) != ": keep alive\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func FuzzEventRewriter(f *testing.F) {
	f.Add("data: a\r\n\r\n: x\n\nid: 1\rdata: change\r\r", uint8(3))
	f.Add("\xEF\xBB\xBFdata: {\ndata: }\n\n", uint8(1))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		whole, wholeErr := pass(text, 4096)
		pieces, piecesErr := pass(text, int(n)%16+1)
		if (wholeErr == nil) == (piecesErr == nil) && wholeErr == nil && whole != pieces {
			t.Fatalf("chunks matter:\n%q\n%q", whole, pieces)
		}
		if !strings.Contains(strings.ToLower(text), "change") && !strings.HasPrefix(text, whole) {
			t.Fatalf("bytes were changed:\n%q\n%q", text, whole)
		}
	})
}
