package mcp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
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

func TestFilterMessageCutsEntriesAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no list":                      {`{"jsonrpc":"2.0","id":1,"result":{"content":[ {"name":"secret"} ]}}`, ``},
		"nothing to hide":              {`{"id":1,"result":{"tools":[{"name":"a"} , {"name":"b"}], "x":1}}`, ``},
		"the first":                    {`{"result":{"tools":[ {"name":"secret"}, {"name":"b"} ]}}`, `{"result":{"tools":[ {"name":"b"} ]}}`},
		"the last":                     {`{"result":{"tools":[{"name":"a"}, {"name":"secret"} ]}}`, `{"result":{"tools":[{"name":"a"} ]}}`},
		"one in the middle":            {`{"result":{"tools":[{"name":"a"},{"name":"secret"},{"name":"b"}]}}`, `{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`},
		"the first two":                {`{"result":{"tools":[{"name":"secret1"},{"name":"secret2"},{"name":"b"}]}}`, `{"result":{"tools":[{"name":"b"}]}}`},
		"all":                          {`{"result":{"tools":[{"name":"secret1"},{"name":"secret2"}],"nextCursor":""}}`, `{"result":{"tools":[],"nextCursor":""}}`},
		"alternating":                  {`{"result":{"tools":[{"name":"secret"},{"name":"a"},{"name":"secret"},{"name":"b"},{"name":"secret"}]}}`, `{"result":{"tools":[{"name":"a"},{"name":"b"}]}}`},
		"an entry with braces":         {`{"result":{"tools":[{"d":"],}{\",","name":"a"},{"name":"secret","d":"],}{\","}]}}`, `{"result":{"tools":[{"d":"],}{\",","name":"a"}]}}`},
		"a name with an escape":        {`{"result":{"tools":[{"name":"\u0073ecret"}]}}`, `{"result":{"tools":[]}}`},
		"a member with an escape":      {`{"result":{"t\u006fols":[{"n\u0061me":"secret"}]}}`, `{"result":{"t\u006fols":[]}}`},
		"every kind of list":           {`{"result":{"prompts":[{"name":"secret"}],"resources":[{"uri":"secret:x"}],"resourceTemplates":[{"uriTemplate":"secret{x}"}],"tasks":[{"taskId":"secret"}]}}`, `{"result":{"prompts":[],"resources":[],"resourceTemplates":[],"tasks":[]}}`},
		"a batch":                      {`[{"result":{"tools":[{"name":"secret"}]}}, {"method":"notifications/x"}]`, `[{"result":{"tools":[]}}, {"method":"notifications/x"}]`},
		"a cacheScope before":          {`{"result":{"cacheScope": "public" ,"tools":[{"name":"secret"}]}}`, `{"result":{"cacheScope": "private" ,"tools":[]}}`},
		"a cacheScope after":           {`{"result":{"tools":[{"name":"secret"}],"cacheScope":"public","ttlMs":5}}`, `{"result":{"tools":[],"cacheScope":"private","ttlMs":5}}`},
		"a ttl without a scope":        {`{"result": {"tools":[],"ttlMs":5}}`, `{"result": {"cacheScope":"private","tools":[],"ttlMs":5}}`},
		"unknown fields and order":     {`{"id":7,"result":{"_meta":{"a":[1,2]},"tools":[{"x":1,"name":"secret"}],"nextCursor":"c"},"jsonrpc":"2.0"}`, `{"id":7,"result":{"_meta":{"a":[1,2]},"tools":[],"nextCursor":"c"},"jsonrpc":"2.0"}`},
		"duplicates deep in an answer": {`{"result":{"structuredContent":{"a":1,"a":2}}}`, ``},
		"null for a list":              {`{"result":{"tools":null}}`, ``},
		"an error":                     {`{"id":1,"error":{"code":-32602,"message":"x","data":{"tools":[{"name":"secret"}]}}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.want
			if want == "" {
				want = c.in
			}
			got, err := FilterMessage([]byte(c.in), &hideSecrets{}, true)
			if err != nil || string(got) != want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
			}
		})
	}
}

func TestFilterMessageIsToldOfTasks(t *testing.T) {
	h := &hideSecrets{}
	for _, message := range []string{`{"result":{"task":{"taskId":"a","status":"working"}}}`, `{"result":{"resultType":"task","taskId":"b"}}`} {
		if _, err := FilterMessage([]byte(message), h, true); err != nil {
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
		got, err := FilterMessage(data, &hideSecrets{}, true)
		if err != nil {
			return
		}
		var before, after any
		if json.Unmarshal(data, &before) == nil && json.Unmarshal(got, &after) != nil {
			t.Fatalf("the result is no JSON: %q", got)
		}
		again, err := FilterMessage(got, &hideSecrets{}, true)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("not stable: %v\n%q\n%q", err, got, again)
		}
	})
}
