package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// hideSecrets shows every entry that is not called secret.
type hideSecrets struct{ issued []string }

func show(name string) bool                            { return !strings.HasPrefix(name, "secret") }
func (*hideSecrets) ShowTool(name string) bool         { return show(name) }
func (*hideSecrets) ShowPrompt(name string) bool       { return show(name) }
func (*hideSecrets) ShowResource(uri string) bool      { return show(uri) }
func (*hideSecrets) ShowTemplate(template string) bool { return show(template) }
func (*hideSecrets) ShowTask(id string) bool           { return show(id) }
func (h *hideSecrets) IssueTask(id string)             { h.issued = append(h.issued, id) }

func hiding(h *hideSecrets) Answers { return Answers{Filter: h, Private: true} }

func TestFilterMessageCutsEntriesAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no list":                       {`{"jsonrpc":"2.0","id":1,"result":{"content":[ {"name":"secret"} ]}}`, ``},
		"nothing to hide":               {`{"id":1,"result":{"tools":[{"name":"a"} , {"name":"b"}], "x":1}}`, ``},
		"the first":                     {`{"result":{"tools":[ {"name":"secret"}, {"name":"b"} ]}}`, `{"result":{"tools":[ {"name":"b"} ]}}`},
		"the last":                      {`{"result":{"tools":[{"name":"a"}, {"name":"secret"} ]}}`, `{"result":{"tools":[{"name":"a"} ]}}`},
		"one in the middle":             {`{"result":{"tools":[{"name":"a"},{"name":"secret"},{"name":"b"}]}}`, `{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`},
		"the first two":                 {`{"result":{"tools":[{"name":"secret1"},{"name":"secret2"},{"name":"b"}]}}`, `{"result":{"tools":[{"name":"b"}]}}`},
		"all":                           {`{"result":{"tools":[{"name":"secret1"},{"name":"secret2"}],"nextCursor":""}}`, `{"result":{"tools":[],"nextCursor":""}}`},
		"alternating":                   {`{"result":{"tools":[{"name":"secret"},{"name":"a"},{"name":"secret"},{"name":"b"},{"name":"secret"}]}}`, `{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`},
		"an entry with braces":          {`{"result":{"tools":[{"d":"],}{\",","name":"a"},{"name":"secret","d":"],}{\","}]}}`, `{"result":{"tools":[{"d":"],}{\",","name":"a"}]}}`},
		"a name with an escape":         {`{"result":{"tools":[{"name":"\u0073ecret"}]}}`, `{"result":{"tools":[]}}`},
		"a member with an escape":       {`{"result":{"t\u006fols":[{"n\u0061me":"secret"}]}}`, `{"result":{"t\u006fols":[]}}`},
		"every kind of list":            {`{"result":{"prompts":[{"name":"secret"}],"resources":[{"uri":"secret:x"}],"resourceTemplates":[{"uriTemplate":"secret{x}"}],"tasks":[{"taskId":"secret"}]}}`, `{"result":{"prompts":[],"resources":[],"resourceTemplates":[],"tasks":[]}}`},
		"a batch":                       {`[{"result":{"tools":[{"name":"secret"}]}}, {"method":"notifications/x"}]`, `[{"result":{"tools":[]}}, {"method":"notifications/x"}]`},
		"a cacheScope before":           {`{"result":{"cacheScope": "public" ,"tools":[{"name":"secret"}]}}`, `{"result":{"cacheScope": "private" ,"tools":[]}}`},
		"a cacheScope after":            {`{"result":{"tools":[{"name":"secret"}],"cacheScope":"public","ttlMs":5}}`, `{"result":{"tools":[],"cacheScope":"private","ttlMs":5}}`},
		"a ttl without a scope":         {`{"result": {"tools":[],"ttlMs":5}}`, `{"result": {"tools":[],"ttlMs":5,"cacheScope":"private"}}`},
		"unknown fields and order":      {`{"id":7,"result":{"_meta":{"a":[1,2]},"tools":[{"x":1,"name":"secret"}],"nextCursor":"c"},"jsonrpc":"2.0"}`, `{"id":7,"result":{"_meta":{"a":[1,2]},"tools":[],"nextCursor":"c"},"jsonrpc":"2.0"}`},
		"duplicates deep in an answer":  {`{"result":{"structuredContent":{"a":1,"a":2}}}`, ``},
		"null for a list":               {`{"result":{"tools":null}}`, ``},
		"a cacheScope without a list":   {`{"result":{"contents":[],"cacheScope":"public"}}`, `{"result":{"contents":[],"cacheScope":"private"}}`},
		"separators of Unicode in text": {"{\"result\":{\"content\":[\"a\u2028b\u2029c\u0085d\u00e9\u20ac\"]}}", `{"result":{"content":["a\u2028b\u2029c\u0085dé€"]}}`},
		"separators in a name":          {"{\"result\":{\"a\u2028\":1,\"b\u0085é\":2}}", `{"result":{"a\u2028":1,"b\u0085é":2}}`},
		"numbers of every form":         {`{"result":{"content":[0,-0,1.5,-2e+10,3E-7,0.0e0,123456789012345678901234567890]}}`, ``},
		"an error":                      {`{"id":1,"error":{"code":-32602,"message":"x","data":{"tools":[{"name":"secret"}]}}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want == "" {
				want = c.in
			}
			got, err := FilterMessage([]byte(c.in), hiding(&hideSecrets{}))
			if err != nil || string(got) != want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
			}
		})
	}
}

func TestFilterMessageIsToldOfTasks(t *testing.T) {
	h := &hideSecrets{}
	for _, message := range []string{`{"result":{"task":{"taskId":"a","status":"working"}}}`, `{"result":{"resultType":"task","taskId":"b"}}`} {
		if _, err := FilterMessage([]byte(message), hiding(h)); err != nil {
			t.Error(err)
		}
	}
	if strings.Join(h.issued, " ") != "a b" {
		t.Errorf("%q", h.issued)
	}
}

func FuzzFilterMessage(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"},{"name":"a"}],"cacheScope":"public","nextCursor":""}}`))
	f.Add([]byte(`[{"result":{"resources":[{"uri":"secret"}],"ttlMs":1}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := FilterMessage(data, hiding(&hideSecrets{}))
		if err != nil {
			return
		}
		var before, after any
		if json.Unmarshal(data, &before) == nil && json.Unmarshal(got, &after) != nil {
			t.Fatalf("the result is no JSON: %q", got)
		}
		again, err := FilterMessage(got, hiding(&hideSecrets{}))
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("not stable: %v\n%q\n%q", err, got, again)
		}
	})
}

func TestFilterMessageRefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                               ``,
		"a result that inherits a list":         `{"result":{"__proto__":{"tools":[{"name":"secret"}]}}}`,
		"a message that inherits a result":      `{"id":1,"__proto__":{"result":{"tools":[{"name":"secret"}]}}}`,
		"a list that is inherited, escaped":     `{"result":{"\u005f_proto__":{"tools":[{"name":"secret"}]}}}`,
		"a message that breaks off":             `{"result":{"tools":[{"name":"a"}]}`,
		"two messages":                          `{"id":1}{"id":2}`,
		"a number":                              `1`,
		"a batch with a number":                 `[1]`,
		"a batch in a batch":                    `[[{"result":{"tools":[{"name":"secret"}]}}]]`,
		"two lists":                             `{"result":{"tools":[],"tools":[{"name":"secret"}]}}`,
		"two results":                           `{"result":{"tools":[]},"result":{"tools":[{"name":"secret"}]}}`,
		"a list in another case":                `{"result":{"Tools":[{"name":"secret"}]}}`,
		"a list whose name is folded":           `{"result":{"toolſ":[{"name":"secret"}]}}`,
		"a list whose name has bad bytes":       "{\"result\":{\"tools\xff\":[{\"name\":\"secret\"}]}}",
		"a list whose name is cut":              `{"result":{"tools\ud800":[{"name":"secret"}]}}`,
		"a result in another case":              `{"Result":{"tools":[{"name":"secret"}]}}`,
		"a list that is an object":              `{"result":{"tools":{"name":"secret"}}}`,
		"a list whose name ends at a NUL":       `{"result":{"tools\u0000":[{"name":"secret"}]}}`,
		"a result whose name ends at a NUL":     `{"result\u0000x":{"tools":[{"name":"secret"}]}}`,
		"an entry with a name up to a NUL":      `{"result":{"tools":[{"name\u0000":"secret","name":"ok"}]}}`,
		"an entry without a name":               `{"result":{"tools":[{"title":"secret"}]}}`,
		"an entry with two names":               `{"result":{"tools":[{"name":"a","name":"secret"}]}}`,
		"an entry that is a string":             `{"result":{"tools":["secret"]}}`,
		"a comma too many":                      `{"result":{"tools":[{"name":"a"},]}}`,
		"a comma behind the last member":        `{"id":1,}`,
		"a bracket that does not fit":           `{"id":[1}`,
		"a line end in a string":                "{\"result\":{\"a\":\"\n\"}}",
		"the last of the controls in a string":  "{\"result\":{\"a\":\"x\x1fx\"}}",
		"an escape that is none":                `{"result":{"a":"\x"}}`,
		"a number with a leading zero":          `{"result":{"a":01}}`,
		"a number that breaks off":              `{"result":{"a":1.}}`,
		"a literal that is none":                `{"result":{"a":trye}}`,
		"quotes of another kind":                `{'result':{}}`,
		"a name longer than any":                `{"result":{"` + strings.Repeat("x", maxAnswerName+1) + `":1}}`,
		"nesting without end":                   `{"a":` + strings.Repeat("[", maxAnswerDepth+1),
		"a separator of Unicode between tokens": "{\u2028\"id\":1}",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := FilterMessage([]byte(in), hiding(&hideSecrets{})); !errors.Is(err, ErrUnreadable) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

func TestOnlyListsAreHeld(t *testing.T) {
	large := `{"result":{"content":["` + strings.Repeat("x", 1<<20) + `"],"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`
	answers := hiding(&hideSecrets{})
	answers.MaxHeld, answers.Budget = 1000, NewHoldBudget(4096)
	if got, err := FilterMessage([]byte(large), answers); err != nil || string(got) != large {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	var tooLarge *TooLargeError
	list := `{"result":{"tools":[{"name":"a","d":"` + strings.Repeat("x", 2000) + `"}]}}`
	if _, err := FilterMessage([]byte(list), answers); !errors.As(err, &tooLarge) || !strings.Contains(err.Error(), "maxFilteredBytes") {
		t.Errorf("a list: %v", err)
	}
	answers.MaxHeld = 1 << 20
	if _, err := FilterMessage([]byte(strings.Replace(list, "xxx", strings.Repeat("x", 8000), 1)), answers); !errors.Is(err, ErrNoRoom) {
		t.Errorf("more than all may hold: %v", err)
	}
	if left := answers.Budget.left.Load(); left != 4096 {
		t.Errorf("%d bytes of the budget are left", left)
	}
}

// notes keeps what is learned.
type notes []string

func (n *notes) Capabilities(c jsontext.Value)           { *n = append(*n, "capabilities "+string(c)) }
func (n *notes) Message(m string, params jsontext.Value) { *n = append(*n, m+" "+string(params)) }

func TestWhatIsLearnedOfAnswers(t *testing.T) {
	var learned notes
	answers := hiding(&hideSecrets{})
	answers.Notes = &learned
	for _, message := range []string{
		`{"id":1,"result":{"capabilities":{"tools":{"listChanged":true}},"serverInfo":{}}}`,
		`[{"method":"notifications/a","params":{"x":[1]}},{"params":{},"method":"notifications/b"}]`,
		`{"id":1,"result":{"method":"no","params":1,"x":{"capabilities":2}}}`,
	} {
		if got, err := FilterMessage([]byte(message), answers); err != nil || string(got) != message {
			t.Errorf("%v: %s", err, got)
		}
	}
	want := `capabilities {"tools":{"listChanged":true}}, notifications/a {"x":[1]}, notifications/b {}`
	if got := strings.Join(learned, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
