package liveconfig

import (
	"errors"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

func TestTheSidecarDoesNotCallItself(t *testing.T) {
	refuse := refuseOwnListeners([]string{"127.0.0.137:443", "[::1]:443"})
	for name, c := range map[string]struct {
		address string
		own     bool
	}{
		"where the alias of an upstream leads":         {"127.0.0.137:443", true},
		"where it leads on IPv6":                       {"[::1]:443", true},
		"another port there is somebody else's":        {"127.0.0.137:8443", false},
		"an upstream's real address":                   {"198.51.100.7:443", false},
		"another loopback address is somebody else's":  {"127.0.0.1:443", false},
		"what is no address is for the dialer to tell": {"nonsense", false},
	} {
		if got := refuse("tcp", c.address, nil); errors.Is(got, errOwnListener) != c.own {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatWasRenderedIsComparedAfterARestart(t *testing.T) {
	parse := func(upstreams string) *authconfig.Config {
		config, err := authconfig.Parse(authconfig.Files{"auth-config.yaml": `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [` + upstreams + `]
  identity: {source: bearer, oidc: {issuer: "https://idp.example.com", audience: countersign}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/Default"}
`})
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	const one, two = `{name: one, url: "https://one.example.com/mcp", region: us-east-1, service: x}`, `{name: two, url: "https://two.example.com:8443/mcp", region: us-east-1, service: x}`
	dir := t.TempDir()
	for _, c := range []struct {
		what, upstreams, want string
	}{
		{"the first start", one + ", " + two, ""},
		{"the same", one + ", " + two, ""},
		{"another order", two + ", " + one, ""},
		{"a host less", one, "a new Pod is needed"},
		{"the first again", one + ", " + two, ""},
	} {
		err := CheckRendered(dir, parse(c.upstreams))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
