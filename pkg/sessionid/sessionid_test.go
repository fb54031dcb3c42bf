package sessionid

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var alice = Owner{Upstream: "aws", Issuer: "https://idp.example.com", Subject: "alice"}

func TestASessionOpensForItsOwnerOnly(t *testing.T) {
	keys := NewKeys()
	bound := keys.Bind("a.b-1", alice)
	if id, ok := keys.Open(bound, alice); !ok || id != "a.b-1" || !strings.HasPrefix(bound, "a.b-1.") || len(bound) != len("a.b-1.")+22 {
		t.Errorf("%q: %q, %t", bound, id, ok)
	}
	if keys.Bind("a.b-1", alice) != bound {
		t.Error("the same session has two ids")
	}
	for name, owner := range map[string]Owner{
		"another subject":       {Upstream: "aws", Issuer: alice.Issuer, Subject: "bob"},
		"another issuer":        {Upstream: "aws", Issuer: "https://other.example.com", Subject: "alice"},
		"another upstream":      {Upstream: "eks", Issuer: alice.Issuer, Subject: "alice"},
		"parts that join alike": {Upstream: "awshttps://idp.example.com", Issuer: "", Subject: "alice"},
	} {
		if id, ok := keys.Open(bound, owner); ok {
			t.Errorf("%s opens it: %q", name, id)
		}
		if keys.Bind("a.b-1", owner) == bound {
			t.Errorf("%s has the same id", name)
		}
	}
	last := bound[len(bound)-1]
	for name, forged := range map[string]string{
		"the upstream's own id":         "a.b-1",
		"a cut code":                    bound[:len(bound)-1],
		"a longer code":                 bound + "A",
		"another id":                    "x" + bound[1:],
		"no id":                         bound[len("a.b-1"):],
		"nothing":                       "",
		"padding":                       bound + "==",
		"unused bits that are not zero": bound[:len(bound)-1] + string(last+1),
		"another key's":                 NewKeys().Bind("a.b-1", alice),
	} {
		if id, ok := keys.Open(forged, alice); ok {
			t.Errorf("%s opens: %q", name, id)
		}
	}
}

func TestADisguisedIDIsTheOwnersOwn(t *testing.T) {
	keys := NewKeys()
	disguised := keys.Disguise("x", alice)
	bob := alice
	bob.Subject = "bob"
	if len(disguised) != 64 || keys.Disguise("x", alice) != disguised || keys.Disguise("x", bob) == disguised || keys.Disguise("y", alice) == disguised {
		t.Error(disguised)
	}
}

func TestKeysOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	second, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := second.Open(first.Bind("s", alice), alice); !ok {
		t.Error("a session did not survive")
	}
}

func TestKeysRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	line := func(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, keyBytes))) }
	write := func(lines ...string) {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(line("a"))
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	old := keys.Bind("s", alice)
	write("", line("b"), line("a"), "")
	keys.checked.Store(time.Now().Add(-fileCheck).UnixNano())
	fresh := keys.Bind("s", alice)
	if fresh == old {
		t.Error("the first key does not sign")
	}
	if _, ok := keys.Open(old, alice); !ok {
		t.Error("the second key does not verify")
	}
	write("")
	keys.checked.Store(time.Now().Add(-fileCheck).UnixNano())
	if _, ok := keys.Open(fresh, alice); !ok {
		t.Error("a file that was emptied is in use")
	}
}

func TestAKeyFileThatCannotBeUsedIsAnError(t *testing.T) {
	short := base64.StdEncoding.EncodeToString([]byte("short"))
	for name, c := range map[string]struct{ text, want string }{
		"an empty file":         {"", "there is no key in it"},
		"blank lines":           {"\n \n", "there is no key in it"},
		"a short key":           {short, "line 1 has a key of 5 bytes"},
		"something else":        {"\nnot base64!", "line 2 is not Base64"},
		"more keys than fit":    {strings.Repeat(base64.StdEncoding.EncodeToString(make([]byte, keyBytes))+"\n", maxKeys+1), "more than"},
		"a line without an end": {strings.Repeat("A", maxKeyFile), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenKeys(path); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), short) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := OpenKeys(filepath.Join(t.TempDir(), "missing", "key")); err == nil {
		t.Error("a directory that is not there")
	}
}
