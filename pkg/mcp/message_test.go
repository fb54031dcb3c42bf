package mcp

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTakesWhatTheProtocolAllows(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		check func(*Body) bool
	}{
		"a request":                         {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, func(b *Body) bool { return string(b.Messages[0].ID) == "1" && !b.Batch }},
		"an id that is a string":            {`{"jsonrpc":"2.0","id":"a\u0062","method":"ping"}`, func(b *Body) bool { return string(b.Messages[0].ID) == `"a\u0062"` }},
		"a notification":                    {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, func(b *Body) bool { return b.Messages[0].IsNotification() }},
		"a response":                        {`{"jsonrpc":"2.0","id":3,"result":{"Method":"x"}}`, func(b *Body) bool { return b.Messages[0].IsResponse() }},
		"an error response":                 {`{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":""}}`, func(b *Body) bool { return b.Messages[0].IsResponse() }},
		"a batch":                           {`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"}]`, func(b *Body) bool { return b.Batch && len(b.Messages) == 2 }},
		"arguments that look like members":  {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"Name":1,"name":2,"Method":3}}}`, func(b *Body) bool { return b.Messages[0].Params.Name == "t" }},
		"a _meta that looks like a member":  {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"NAME":"x","traceparent":"p"},"name":"t"}}`, func(b *Body) bool { return b.Messages[0].Params.Meta.TraceParent == "p" }},
		"unknown members":                   {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","requestState":"s","x":{}},"y":1}`, func(b *Body) bool { return b.Messages[0].Params.Name == "t" }},
		"null arguments":                    {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":null}}`, func(b *Body) bool { return len(b.Messages[0].Params.Arguments) == 0 }},
		"subscriptions":                     {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a","b"]}}}`, func(b *Body) bool { return len(b.Messages[0].Params.Subscriptions) == 2 }},
		"null params":                       {`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}`, func(b *Body) bool { return b.Messages[0].Method == "tools/list" }},
		"an error to an unknown request":    {`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`, func(b *Body) bool { return b.Messages[0].IsResponse() }},
		"white space around the message":    {" \n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n ", func(*Body) bool { return true }},
		"a name with escapes is decoded":    {`{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"\u0074"}}`, func(b *Body) bool { return b.Messages[0].Method == "tools/call" && b.Messages[0].Params.Name == "t" }},
		"a completion's ref":                {`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"v"}}}`, func(b *Body) bool { return b.Messages[0].Params.Ref.Name == "p" }},
		"an empty cursor":                   {`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}`, func(*Body) bool { return true }},
		"a number as long as it likes":      {`{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}`, func(b *Body) bool { return len(b.Messages[0].ID) == 30 }},
		"a deep but not too deep structure": {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}}`, func(*Body) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := Parse([]byte(c.body))
			if err != nil || !c.check(body) {
				t.Errorf("%v, %+v", err, body)
			}
		})
	}
}

func TestParseRefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		code int
	}{
		"nothing":                           {``, CodeParse},
		"a string":                          {`"x"`, CodeInvalidRequest},
		"an empty batch":                    {`[]`, CodeInvalidRequest},
		"a batch in a batch":                {`[[]]`, CodeInvalidRequest},
		"a batch that is too long":          {"[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"ping"},`, MaxBatch) + `{"jsonrpc":"2.0","id":1,"method":"ping"}]`, CodeInvalidRequest},
		"another version":                   {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, CodeInvalidRequest},
		"no version":                        {`{"id":1,"method":"ping"}`, CodeInvalidRequest},
		"a null id":                         {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, CodeInvalidRequest},
		"a null id with a method and error": {`{"jsonrpc":"2.0","id":null,"method":"tools/call","error":{}}`, CodeInvalidRequest},
		"a null id on a result":             {`{"jsonrpc":"2.0","id":null,"result":{}}`, CodeInvalidRequest},
		"a boolean id":                      {`{"jsonrpc":"2.0","id":true,"method":"ping"}`, CodeInvalidRequest},
		"a request without an id":           {`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}}`, CodeInvalidRequest},
		"a notification with an id":         {`{"jsonrpc":"2.0","id":1,"method":"notifications/x"}`, CodeInvalidRequest},
		"a method and a result":             {`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, CodeInvalidRequest},
		"neither":                           {`{"jsonrpc":"2.0","id":1}`, CodeInvalidRequest},
		"an empty method":                   {`{"jsonrpc":"2.0","id":1,"method":""}`, CodeInvalidRequest},
		"a method that is a number":         {`{"jsonrpc":"2.0","id":1,"method":1}`, CodeInvalidRequest},
		"params that are a list":            {`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, CodeInvalidRequest},
		"a call without a name":             {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, CodeInvalidRequest},
		"a read without a uri":              {`{"jsonrpc":"2.0","id":1,"method":"resources/read"}`, CodeInvalidRequest},
		"arguments that are a list":         {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":[]}}`, CodeInvalidRequest},
		"two methods":                       {`{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}`, CodeParse},
		"two names, one escaped":            {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","\u006eame":"b"}}`, CodeParse},
		"Method":                            {`{"jsonrpc":"2.0","id":1,"Method":"ping"}`, CodeInvalidRequest},
		"params.NAME":                       {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"t"}}`, CodeInvalidRequest},
		"a name folded by Unicode":          {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","taſkId":"x"}}`, CodeInvalidRequest},
		"invalid UTF-8":                     {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\xff\"}}", CodeParse},
		"a lone surrogate":                  {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}`, CodeParse},
		"trailing data":                     {`{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, CodeParse},
		"a comment":                         {`{"jsonrpc":"2.0",/**/"id":1,"method":"ping"}`, CodeParse},
		"nesting":                           {strings.Repeat("[", 1000), CodeInvalidRequest},
		"duplicates deep in arguments":      {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":{"b":1,"b":2}}}}`, CodeParse},
		"subscriptions that are no list":    {`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a"}}}`, CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.body))
			var invalid *InvalidMessageError
			if !errors.As(err, &invalid) || invalid.Code != c.code {
				t.Errorf("%#v, want code %d", err, c.code)
			}
		})
	}
}

func TestAMessageMayBeNestedSoDeepAndNoDeeper(t *testing.T) {
	for name, brackets := range map[string][2]string{
		"lists": {"[", "]"}, "objects": {`{"a":`, "}"}, "lists of objects": {`[{"a":`, "}]"},
	} {
		t.Run(name, func(t *testing.T) {
			nested := func(depth int) []byte {
				const around = 3 // message, params and arguments
				times := (depth - around) / len(brackets[1])
				rest := (depth - around) % len(brackets[1])
				value := strings.Repeat(brackets[0], times) + strings.Repeat("[", rest) + "1" +
					strings.Repeat("]", rest) + strings.Repeat(brackets[1], times)
				return []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":` +
					value + `}}}`)
			}
			if _, err := Parse(nested(MaxDepth)); err != nil {
				t.Errorf("%d: %v", MaxDepth, err)
			}
			var invalid *InvalidMessageError
			if _, err := Parse(nested(MaxDepth + 1)); !errors.As(err, &invalid) || invalid.Code != CodeInvalidRequest {
				t.Errorf("%d: %v", MaxDepth+1, err)
			}
		})
	}
}

func TestAnInvalidMessageKeepsItsID(t *testing.T) {
	_, err := Parse([]byte(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":1}}`))
	var invalid *InvalidMessageError
	if !errors.As(err, &invalid) || string(invalid.ID) != `"x"` {
		t.Errorf("%#v", err)
	}
}

func TestDecodeHeader(t *testing.T) {
	for value, want := range map[string]string{"plain": "plain", "=?base64?Y2Fmw6k=?=": "café"} {
		if got, ok := DecodeHeader(value); !ok || got != want {
			t.Errorf("%q: %q, %t", value, got, ok)
		}
	}
	for _, value := range []string{"=?base64?Y2Fm", "=?base64?***?="} {
		if got, ok := DecodeHeader(value); ok {
			t.Errorf("%q: %q", value, got)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":[1,{"b":null}]},"_meta":{"traceparent":"x"}}}`))
	f.Add([]byte(`[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","method":"notifications/x"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := Parse(data)
		if err != nil {
			var invalid *InvalidMessageError
			if !errors.As(err, &invalid) {
				t.Fatalf("%T", err)
			}
			return
		}
		for i := range body.Messages {
			m := &body.Messages[i]
			if m.Method == "tools/call" && (m.Params.Name == "" || len(m.ID) == 0) {
				t.Fatalf("a call without a name or an id: %s", data)
			}
		}
	})
}
