package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
)

const readersMay = `permit(principal in MCP::Group::"readers", action == MCP::Action::"echo", resource);
@id("no-counting") forbid(principal, action == MCP::Action::"count", resource) when { context.input has to && context.input.to > 0 };`

// unadorned asks as the app of the Pod could, which shares the loopback and has no token.
func unadorned(t *testing.T, url string, header http.Header) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func TestWithoutTheTokenTheAdminPortTellsNumbersOnly(t *testing.T) {
	s := start(t, readersMay)
	defer func() { _ = s.process.Stop() }()
	s.call(t, "echo")
	_, _, text := unadorned(t, s.process.Admin+"/status", http.Header{})
	var status map[string]any
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	hash, _ := status["configHash"].(string)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(hash) {
		t.Errorf("configHash %q", hash)
	}
	delete(status, "configHash")
	var onlyNumbers func(path string, value any)
	onlyNumbers = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, member := range value {
				onlyNumbers(path+"."+name, member)
			}
		case float64:
		default:
			t.Errorf("%s is %v", path, value)
		}
	}
	onlyNumbers("", status)
	if !strings.Contains(text, `"deny":1`) || !strings.Contains(text, `"policies":2`) {
		t.Errorf("it does not count: %s", text)
	}
	for _, path := range []string{"/decisions", "/policies", "/why/x"} {
		if code, _, body := unadorned(t, s.process.Admin+path, http.Header{}); code != http.StatusUnauthorized || strings.Contains(body, "alice") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for name, header := range map[string]http.Header{
		"another token":         {"Authorization": {"Bearer " + strings.Repeat("0", 64)}},
		"an empty token":        {"Authorization": {"Bearer "}},
		"a token of the caller": {"Authorization": {"Bearer " + s.token}},
	} {
		if code, _, _ := unadorned(t, s.process.Admin+"/decisions", header); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, code)
		}
	}
	code, header, body := unadorned(t, s.process.Admin+"/", http.Header{})
	if code != http.StatusUnauthorized || strings.Contains(body, "alice") || strings.Contains(body, s.issuer.URL) {
		t.Errorf("the page: %d", code)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the page's policy: %s", policy)
	}
}

func TestOtherPagesCannotUseTheToken(t *testing.T) {
	s := start(t, readersMay)
	defer func() { _ = s.process.Stop() }()
	token := "Bearer " + adminToken(t, s.process)
	admin, err := url.Parse(s.process.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header http.Header
		want   int
	}{
		"no page at all":               {http.Header{}, http.StatusOK},
		"the page itself":              {http.Header{"Origin": {s.process.Admin}, "Sec-Fetch-Site": {"same-origin"}}, http.StatusOK},
		"a page of another origin":     {http.Header{"Origin": {"http://evil.example.com"}}, http.StatusForbidden},
		"a page on another port":       {http.Header{"Origin": {"http://127.0.0.1:1"}}, http.StatusForbidden},
		"a page without an origin":     {http.Header{"Origin": {"null"}}, http.StatusForbidden},
		"another site, without Origin": {http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"a name that was rebound":      {http.Header{"Host": {"evil.example.com:" + admin.Port()}}, http.StatusForbidden},
	} {
		c.header.Set("Authorization", token)
		if code, _, body := unadorned(t, s.process.Admin+"/decisions", c.header); code != c.want {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

func TestTheOperatorLearnsWhyACallWasDeniedAndWhatWouldAllowIt(t *testing.T) {
	s := start(t, readersMay)
	defer func() { _ = s.process.Stop() }()
	s.call(t, "echo")
	s.call(t, "count")
	_, text, err := s.process.Ask("/decisions", "")
	if err != nil {
		t.Fatal(err)
	}
	var decisions struct {
		Records []struct{ RequestID, Tool, Decision string }
		Next    int
	}
	if err := json.Unmarshal([]byte(text), &decisions); err != nil || len(decisions.Records) != 2 || decisions.Next != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	for i, want := range [][]string{
		{`"tool":"echo"`, `"kind":"add"`, `principal == MCP::User::\"alice\"`, `"part":"principal"`, `"policy":"p.cedar/0"`, `principal in MCP::Group::\"readers\"`},
		{`"tool":"count"`, `"kind":"exempt"`, `"policy":"no-counting"`, `"kind":"add"`, `"line":2`},
	} {
		_, story, err := s.process.Ask("/why/"+decisions.Records[i].RequestID, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(story, part) {
				t.Errorf("%s lacks %s: %s", decisions.Records[i].Tool, part, story)
			}
		}
		if strings.Contains(story, "eyJ") {
			t.Error("a token is in the story")
		}
	}
	if code, text, _ := s.process.Ask("/why/unknown", ""); code != http.StatusNotFound {
		t.Errorf("an unknown request: %d %s", code, text)
	}
}

func TestWhatIfAnswersForClaimsAndForTokens(t *testing.T) {
	s := start(t, readersMay)
	defer func() { _ = s.process.Stop() }()
	reader := s.issuer.Token(map[string]any{"sub": "rita", "aud": "aud", "groups": []string{"readers"}})
	for name, c := range map[string]struct {
		question string
		code     int
		want     string
	}{
		"claims that are allowed":     {`{"claims":{"sub":"bob","groups":["readers"]},"tool":"echo","arguments":{"text":"x"}}`, 200, `"allowed":true`},
		"claims that are denied":      {`{"claims":{"sub":"bob"},"tool":"echo"}`, 200, `"kind":"add"`},
		"a token that is verified":    {`{"token":"` + reader + `","tool":"echo"}`, 200, `"accepted":true`},
		"a token of nobody":           {`{"token":"x","tool":"echo"}`, 200, `"refusal":"401`},
		"claims and a token":          {`{"token":"x","claims":{"sub":"a"}}`, 400, "one of them"},
		"nobody":                      {`{"tool":"echo"}`, 400, "one of them"},
		"claims without a sub":        {`{"claims":{}}`, 400, "no sub"},
		"claims that are no object":   {`{"claims":[]}`, 400, "not one JSON object"},
		"an unknown upstream":         {`{"claims":{"sub":"a"},"tool":"echo","upstream":"x"}`, 400, "no upstream"},
		"an unknown member":           {`{"claim":{"sub":"a"}}`, 400, "claim"},
		"arguments that are a list":   {`{"claims":{"sub":"a"},"tool":"echo","arguments":[]}`, 400, "not a JSON object"},
		"a question that is too long": {`{"claims":{"sub":"` + strings.Repeat("a", 600<<10) + `"}}`, 400, "longer than"},
	} {
		code, text, err := s.process.Ask("/what-if", c.question)
		if err != nil || code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %v %.300s", name, code, err, text)
		}
		if strings.Contains(text, reader) {
			t.Errorf("%s: the answer has the token", name)
		}
	}
}

func TestTheCommandPrintsTheTokenOfTheProxyBeside(t *testing.T) {
	s := start(t, readersMay)
	defer func() { _ = s.process.Stop() }()
	want := adminToken(t, s.process)
	stdout, stderr, code := run(t, "", "admin-token", "--admin-token-file", s.process.AdminTokenFile)
	if code != 0 || strings.TrimSpace(stdout) != want {
		t.Errorf("exit %d, %q, %s", code, stdout, stderr)
	}
	if info, err := os.Stat(s.process.AdminTokenFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if strings.Contains(s.process.Log()+s.process.Audit(), want) {
		t.Error("the token is in the output")
	}
}

func TestWithoutAPlaceOfItsOwnTheTokenLiesInAPrivateDirectory(t *testing.T) {
	s := newScene(t)
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	p, err := standin.StartSidecarWithFlags(t.Context(), binary, s.dir, map[string]string{
		"auth-config.yaml": config("http://127.0.0.1:1/mcp", s.issuer.URL),
	}, []string{"--admin-token-file="})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Stop() }()
	// --admin was port 0, and so is the name.
	out, err := exec.CommandContext(t.Context(), binary, "admin-token", "--admin", "127.0.0.1:0").Output()
	if err != nil || len(strings.TrimSpace(string(out))) != 64 {
		t.Errorf("%q, %v", out, err)
	}
}

func adminToken(t *testing.T, p *standin.Process) string {
	t.Helper()
	text, err := os.ReadFile(p.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
