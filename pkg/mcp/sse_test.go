package mcp

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// pass feeds text in pieces of n bytes and gives what goes on.
func pass(text string, n int) (string, *EventRewriter, error) {
	r := NewEventRewriter(hiding(&hideSecrets{}))
	var out []byte
	for len(text) > 0 {
		size := min(n, len(text))
		var err error
		if out, err = r.Write(out, []byte(text[:size])); err != nil {
			return string(out), r, err
		}
		text = text[size:]
	}
	return string(out), r, nil
}

func TestEventsAreWrittenAnew(t *testing.T) {
	const message = `{"jsonrpc":"2.0","id":1,"result":{}}`
	for name, c := range map[string]struct{ in, want string }{
		"a message":                         {"data: " + message + "\n\n", "data: " + message + "\n\n"},
		"line ends of three kinds":          {"data: {}\r\n\r\ndata: {}\r\rdata: {}\n\n", "data: {}\n\ndata: {}\n\ndata: {}\n\n"},
		"mixed line ends":                   {"id: 1\rdata: {}\n\r\n", "id: 1\ndata: {}\n\n"},
		"a byte order mark":                 {"\xEF\xBB\xBFdata: {}\n\n", "data: {}\n\n"},
		"comments and retry":                {": ping\n\nretry: 5\n\n: x\ndata: {}\n\n", ":\n\nretry: 5\n\n:\ndata: {}\n\n"},
		"an unknown field":                  {"data: {}\nunknown: {\"jsonrpc\":1}\nfield\n\n", "data: {}\n\n"},
		"an event that primes a client":     {"id: 0\ndata:\n\n", "id: 0\ndata: \n\n"},
		"a message over several lines":      {"data: {\ndata:  \"id\":1\ndata: }\n\n", "data: {  \"id\":1 }\n\n"},
		"a hidden entry":                    {"event: message\r\nid: 7\r\ndata: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\r\nretry: 1\r\n\r\n", "event: message\nid: 7\ndata: {\"result\":{\"tools\":[]}}\nretry: 1\n\n"},
		"fields behind data":                {"data: {\nid: 7\ndata: }\nevent: message\n\n", "data: { }\nid: 7\nevent: message\n\n"},
		"data without a space":              {"data:{}\n\n", "data: {}\n\n"},
		"an event that is cut off":          {"data: {}\n\nid: 3\n", "data: {}\n\nid: 3\n"},
		"an event of another kind":          {"event: ping\ndata: 2026-01-01T00:00:00Z\n\n", "event: ping\ndata: 2026-01-01T00:00:00Z\n\n"},
		"the mark of an end":                {"data: [DONE]\n\n", "data: [DONE]\n\n"},
		"text of several lines":             {"event: log\ndata: one\ndata: two\n\n", "event: log\ndata: one\ndata: two\n\n"},
		"a list of strings":                 {"data: [\"a\",\ndata: \"b\"]\n\n", "data: [\"a\",\ndata: \"b\"]\n\n"},
		"a message of an event of any kind": {"event: ping\ndata: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n", "event: ping\ndata: {\"result\":{\"tools\":[]}}\n\n"},
		"a batch":                           {"data: [ {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}]\n\n", "data: [ {\"result\":{\"tools\":[]}}]\n\n"},
		"a line end that only some see":     {"data: \r{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n", "data: \n\n"},
		"a separator in text":               {"data: a\u2028b\u0085c\vd\n\n", "data: a b c d\n\n"},
		"a separator in a message":          {"data: {\"a\":\"\u2028\"}\n\n", "data: {\"a\":\"\\u2028\"}\n\n"},
		"a separator in an id":              {"id: 1\u2028data: {}\ndata: {}\n\n", "data: {}\n\n"},
		"an id with NUL":                    {"id: 1\x00\ndata: {}\n\n", "data: {}\n\n"},
		"a separator in an event's name":    {"event: x\u0085y\ndata: {}\n\n", "data: {}\n\n"},
		"a message in an id":                {"id: \u00c5data: {\"result\":{}}\ndata: {}\n\n", "data: {}\n\n"},
		"a message in an event's name":      {"event: \u00c5data: {\"result\":{}}\ndata: {}\n\n", "data: {}\n\n"},
		"a retry that is no number":         {"retry: soon\nretry:\ndata: {}\n\n", "data: {}\n\n"},
		"an id without a value":             {"id\ndata: {}\n\n", "id: \ndata: {}\n\n"},
		"a long name of an event":           {"event: " + strings.Repeat("x", 60_000) + "\ndata: {}\n\n", "event: " + strings.Repeat("x", 60_000) + "\ndata: {}\n\n"},
	} {
		for _, n := range []int{1, 2, 3, 7, 100_000} {
			if got, _, err := pass(c.in, n); err != nil || got != c.want {
				t.Errorf("%s, by %d: %v\ngot  %q\nwant %q", name, n, err, got, c.want)
			}
		}
	}
}

// TestWhatIsInsertedStandsBehindAnEvent: where the upstream never writes whole
// events, a notice still goes out.
func TestWhatIsInsertedStandsBehindAnEvent(t *testing.T) {
	r := NewEventRewriter(hiding(&hideSecrets{}))
	out, err := r.Write(nil, []byte("id: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.InsertAfterEvent([]byte("data: ours\n\n"))
	if out, err = r.Write(out, []byte("data: {}\n\nid: 2\n")); err != nil {
		t.Fatal(err)
	}
	if want := "id: 1\ndata: {}\n\ndata: ours\n\nid: 2\n"; string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestDroppedFieldsAreCounted(t *testing.T) {
	if _, r, err := pass("id: a\u2028\nevent: \x00\nretry: x\nid: fine\ndata: {}\n\n", 5); err != nil || r.Dropped() != 3 {
		t.Errorf("%d, %v", r.Dropped(), err)
	}
}

func TestAnEventThatCouldBeTakenForAnotherMessageEndsTheStream(t *testing.T) {
	for name, text := range map[string]string{
		"a message that cannot be read":       "data: {\"result\":{\"tools\":[{\"name\":\"secret\"]}}\n\n",
		"a message that breaks off":           "data: {\"result\":{\"tools\":[]}\n\n",
		"a message behind a separator":        "data: \u2028{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a message behind a byte order mark":  "data: \uFEFF{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a message on a line of its own":      "data: text\ndata: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a batch in a batch":                  "data: [[{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}]]\n\n",
		"a message behind a comment":          "data: /**/{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a message behind two prefixes":       "data: data: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a message behind half a character":   "event: log\ndata: hi \u00c5data: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"a message in YAML":                   "data: --- {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n",
		"an object with quotes of other kind": "data: {'result': {'tools': [{'name': 'secret'}]}}\n\n",
	} {
		for _, n := range []int{1, 1000} {
			got, r, err := pass("data: {}\n\n"+text, n)
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s: %v", name, err)
			}
			got = string(r.Cut([]byte(got)))
			if messages := messagesOf(got, splitters["LF"]); len(messages) != 1 || strings.Contains(got, "secret") {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

func TestALineThatIsTooLongEndsTheStreamWithASentence(t *testing.T) {
	for name, text := range map[string]string{
		"an event's name":    "event: " + strings.Repeat("x", maxEventField+1),
		"an id":              "id: " + strings.Repeat("x", maxEventField+1),
		"text":               "data: " + strings.Repeat("x", maxEventText+1),
		"fields behind data": "data: {\n" + strings.Repeat("id: "+strings.Repeat("x", 1000)+"\n", 200),
	} {
		var tooLarge *TooLargeError
		if _, _, err := pass(text, 1000); !errors.As(err, &tooLarge) || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoListPassesAtAnySize(t *testing.T) {
	text := "data: {\"result\":{\"blob\":\"" + strings.Repeat("x", 9<<20) + "\"}}\n\n"
	if got, _, err := pass(text, 32<<10); err != nil || got != text {
		t.Errorf("%v, %d of %d bytes", err, len(got), len(text))
	}
}

func TestACommentDoesNotWaitForAnEvent(t *testing.T) {
	r := NewEventRewriter(hiding(&hideSecrets{}))
	if out, err := r.Write(nil, []byte(": keep alive\n")); err != nil || string(out) != ":\n" || !r.AtBoundary() {
		t.Errorf("%q, %v", out, err)
	}
}

// splitters are the ways in which clients cut a stream into lines.
var splitters = map[string]*regexp.Regexp{
	"LF":      regexp.MustCompile(`\n`),
	"HTML":    regexp.MustCompile(`\r\n|\n|\r`),
	"Unicode": regexp.MustCompile("\r\n|[\n\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029]"),
}

// messagesOf reads a stream as a client does that takes every event for a
// message, each with the data that it has.
func messagesOf(text string, lines *regexp.Regexp) []string {
	var messages []string
	data, kind := []string{}, ""
	for _, line := range lines.Split(text, -1) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if joined := strings.Join(data, "\n"); len(data) > 0 && json.Valid([]byte(joined)) && kind != "broken" {
				messages = append(messages, joined)
			}
			data, kind = data[:0], ""
		case name == "data":
			data = append(data, value)
		case name == "event":
			kind = value
		}
	}
	return messages
}

// FuzzEventsAreReadAlikeByEveryClient: whatever an upstream sends, no way of
// cutting lines shows a hidden entry or another message than the rest see.
func FuzzEventsAreReadAlikeByEveryClient(f *testing.F) {
	f.Add("data: {\"result\":{\"tools\":[{\"name\":\"a\"},{\"name\":\"secret\"}]}}\r\n\r\n: x\n\nid: 1\rdata: {}\r\r", uint8(3))
	f.Add("\xEF\xBB\xBFdata: {\ndata: }\n\nevent: x\u2028data: {}\n\n", uint8(1))
	f.Add("data: \r{\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\ndata: \u0085{}\n\n", uint8(2))
	f.Add("data: text\u2029data: {\"result\":{\"tools\":[{\"name\":\"secret\"}]}}\n\n", uint8(2))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		whole, r, err := pass(text, 1<<20)
		pieces, other, piecesErr := pass(text, int(n)%16+1)
		if (err == nil) != (piecesErr == nil) || err == nil && whole != pieces {
			t.Fatalf("chunks matter: %v, %v\n%q\n%q", err, piecesErr, whole, pieces)
		}
		whole, pieces = string(r.Cut([]byte(whole))), string(other.Cut([]byte(pieces)))
		want := strings.Join(messagesOf(whole, splitters["HTML"]), "|")
		for name, lines := range splitters {
			for _, out := range []string{whole, pieces} {
				got := messagesOf(out, lines)
				if strings.Join(got, "|") != want && err == nil {
					t.Fatalf("%s sees %q, HTML sees %q of %q", name, got, want, out)
				}
				for _, message := range got {
					if showsSecret(message) {
						t.Fatalf("%s sees %q of %q", name, message, out)
					}
				}
			}
		}
	})
}

// showsSecret reports whether a client that takes the text for an answer would
// find a hidden tool in it.
func showsSecret(message string) bool {
	var answer struct {
		Result struct {
			Tools []struct{ Name string }
		}
	}
	if json.Unmarshal([]byte(message), &answer) != nil {
		return false
	}
	for _, tool := range answer.Result.Tools {
		if !show(tool.Name) {
			return true
		}
	}
	return false
}
