package mcp_test

import (
	"testing"

	"github.com/countersign-io/countersign/pkg/mcp"
)

func TestIsMessage(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"a result":              {`{"jsonrpc":"2.0","id":1,"result":{}}`, true},
		"an error":              {`{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}`, true},
		"a batch":               {`[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}]`, true},
		"a name cut within":     {`{"jsonrpc":"2.0","id":1,"result":{},"\ud800":1}`, true},
		"a name of other bytes": {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"\xff\":1}", true},
		"another object":        {`{"message":"Forbidden"}`, false},
		"no object":             {`"jsonrpc"`, false},
		"a broken one":          {`{"jsonrpc":"2.0","id":1,"result":{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mcp.IsMessage([]byte(c.body)); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}
