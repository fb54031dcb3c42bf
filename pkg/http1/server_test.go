package http1

import "testing"

func TestWhereAURLsHostLeads(t *testing.T) {
	for host, want := range map[string]struct{ name, plain, secure string }{
		"aws-mcp.us-east-1.api.aws": {
			"aws-mcp.us-east-1.api.aws", "aws-mcp.us-east-1.api.aws:80", "aws-mcp.us-east-1.api.aws:443",
		},
		"127.0.0.1:8080":     {"127.0.0.1", "127.0.0.1:8080", "127.0.0.1:8080"},
		"[::1]":              {"::1", "[::1]:80", "[::1]:443"},
		"[2001:db8::1]:8443": {"2001:db8::1", "[2001:db8::1]:8443", "[2001:db8::1]:8443"},
		"host:":              {"host", "host:80", "host:443"},
	} {
		t.Run(host, func(t *testing.T) {
			plain, secure := server{host: host}, server{secure: true, host: host}
			if plain.name() != want.name || plain.address() != want.plain || secure.address() != want.secure {
				t.Errorf("%s, %s, %s", plain.name(), plain.address(), secure.address())
			}
		})
	}
}
