package mcp

import (
	"fmt"
	"strings"
	"testing"
)

// paramsOf is a message's params with everything that any method reads.
const paramsOf = `{"name":"n","uri":"u","taskId":"t","ref":{"type":"ref/prompt","name":"p"},` +
	`"notifications":{"resourceSubscriptions":["a","b"],"taskIds":["c"]}}`

// TestEveryMethodOfTheTable is the contract of a row: a message of the method
// parses, its label is bounded, its subjects are what its parameters name.
func TestEveryMethodOfTheTable(t *testing.T) {
	subjects := map[string]string{
		"tools/call": "tool n", "resources/read": "resource u", "resources/subscribe": "resource u", "resources/unsubscribe": "resource u",
		"prompts/get": "prompt n", "completion/complete": "prompt p", "subscriptions/listen": "resource a,resource b,task c",
		"tasks/get": "task t", "tasks/result": "task t", "tasks/cancel": "task t", "tasks/update": "task t",
	}
	for i := range methods {
		method := &methods[i]
		t.Run(method.Name, func(t *testing.T) {
			id := `"id":1,`
			if method.notification {
				id = ""
			}
			body, err := Parse([]byte(fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":%s}`, id, method.Name, paramsOf)))
			if err != nil {
				t.Fatal(err)
			}
			m := &body.Messages[0]
			var about []string
			for _, s := range m.Subjects() {
				about = append(about, string(s.Kind)+" "+s.Name)
			}
			if got := strings.Join(about, ","); got != subjects[method.Name] {
				t.Errorf("it is about %q, want %q", got, subjects[method.Name])
			}
			if MethodOf(m.Method) != method || method.Label != method.Name || !m.IsKnown() {
				t.Errorf("%+v", MethodOf(m.Method))
			}
			_, err = Parse([]byte(fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":{}}`, id, method.Name)))
			if (err == nil) != (method.required.of == nil) {
				t.Errorf("without params: %v", err)
			}
			delete(subjects, method.Name)
		})
	}
	if len(subjects) > 0 {
		t.Errorf("these have no row: %v", subjects)
	}
}

func TestMethodsOutsideTheTable(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		known   bool
		label   string
		subject string
	}{
		"a notification of the future is one":        {"notifications/made/up", true, LabelOther, ""},
		"a task method of the future names a task":   {"tasks/made-up", true, LabelOther, "t"},
		"a made-up method is not known":              {"made/up", false, LabelOther, ""},
		"a method that differs by case is not known": {"Tools/call", false, LabelOther, ""},
		"a response has no method":                   {"", true, LabelResponse, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Message{Method: c.method, Params: Params{TaskID: "t", Name: "n"}}
			if m.IsKnown() != c.known || MethodOf(c.method).Label != c.label {
				t.Errorf("%+v", MethodOf(c.method))
			}
			subject := ""
			for _, s := range m.Subjects() {
				subject += s.Name
			}
			if subject != c.subject {
				t.Errorf("it is about %q", subject)
			}
		})
	}
}

func TestACompletionIsAboutTheLiteralTextOfItsRef(t *testing.T) {
	for uri, want := range map[string]string{
		"secret://x{": "secret://x", "secret://{name}": "secret://", "{+all}": "", "public://a/b": "public://a/b", "public://{a}/{b}": "public://",
	} {
		m := &Message{Method: "completion/complete", Params: Params{Ref: Ref{Type: "ref/resource", URI: uri}}}
		s := m.Subjects()
		if len(s) != 1 || s[0].Name != want || s[0].Written != uri || !s[0].AnyArguments {
			t.Errorf("%s: %+v", uri, s)
		}
	}
	for _, ref := range []Ref{{}, {Type: "ref/prompt"}, {Type: "ref/other", Name: "x", URI: "y"}} {
		if m := (&Message{Method: "completion/complete", Params: Params{Ref: ref}}); m.IsKnown() {
			t.Errorf("%+v is known", ref)
		}
	}
}
