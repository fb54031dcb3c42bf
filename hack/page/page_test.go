// Package page looks at the sidecar's status page as people do: in a real Chromium, with the
// real binary behind it, and with axe-core for those who do not see it.
package page

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/countersign-io/countersign/e2e/standin"
)

// axeVersion is that of npm's axe-core.
const axeVersion = "4.14.1"

const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/Readers"}
`

const policies = `@id("readers") permit (principal in MCP::Group::"readers", action == MCP::Action::"echo", resource);
@id("no-counting") forbid (principal, action == MCP::Action::"count", resource);`

// scene is the sidecar after some calls.
type scene struct {
	process *standin.Process
	token   string
	url     string
}

func start(t *testing.T) *scene {
	t.Helper()
	binary := os.Getenv("SIDECAR")
	if binary == "" {
		t.Fatal("SIDECAR must name the binary; `make page` does")
	}
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	sts := standin.NewSTS(issuer.URL, "aud")
	t.Cleanup(sts.Close)
	aws := standin.NewMCPServer(standin.MCPOptions{STS: sts, Stateless: true, JSON: true})
	t.Cleanup(aws.Close)
	process, err := standin.StartSidecar(t.Context(), binary, t.TempDir(), map[string]string{
		"auth-config.yaml": fmt.Sprintf(config, aws.URL, issuer.URL), "p.cedar": policies,
	}, "AWS_ENDPOINT_URL_STS="+sts.URL, "COUNTERSIGN_POD_NAMESPACE=agents", "COUNTERSIGN_POD_NAME=travel-agent-7d9f")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Stop() })
	for _, call := range []struct{ caller, group, tool, arguments string }{
		{"rita", "readers", "echo", `{"text":"hello"}`}, {"rita", "readers", "count", `{"to":3}`},
		{"bob", "guests", "echo", `{"text":"<img src=x onerror=alert(1)>"}`}, {"rita", "readers", "echo", `{"text":"again"}`},
		{`<script>alert(1)</script>`, "readers", "echo", `{"text":"x"}`},
	} {
		token := issuer.Token(map[string]any{"sub": call.caller, "aud": "aud", "groups": []string{call.group}})
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, call.tool, call.arguments)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, process.URL+"/mcp", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	text, err := os.ReadFile(process.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return &scene{process: process, token: strings.TrimSpace(string(text)), url: process.Admin}
}

// browser is a Chromium of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium; Debian has it as the package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func axe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	pack := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "axe-core@"+axeVersion)
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("npm pack axe-core: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", filepath.Join(dir, "axe-core-"+axeVersion+".tgz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// text is that of the page as it is seen.
func text(t *testing.T, ctx context.Context) string {
	t.Helper()
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func waitFor(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(text(t, ctx), want); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q in\n%s", want, text(t, ctx))
		}
	}
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func TestThePageShowsWhatHappensToWhoHasTheToken(t *testing.T) {
	s := start(t)
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.url+"/"))
	waitFor(t, ctx, "This page needs the sidecar's token")
	if seen := text(t, ctx); strings.Contains(seen, "rita") || strings.Contains(seen, "readers.") {
		t.Errorf("without the token it shows %s", seen)
	}
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), strings.Repeat("0", 64)), chromedp.Click(chromedp.CSS("#unlock button")))
	waitFor(t, ctx, "not the token of the sidecar")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), s.token), chromedp.Click(chromedp.CSS("#unlock button")))
	for _, want := range []string{
		"agents/travel-agent-7d9f", "Policies", "2 (enforce)", "✓ allowed", "✕ denied", "rita", "no-counting", "exchange is not set",
		"<script>alert(1)</script>", // as text
	} {
		waitFor(t, ctx, want)
	}
	address, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href`))
	if err != nil || strings.Contains(address, s.token) {
		t.Errorf("the token is in the address: %v", err)
	}
	t.Run("why a call was denied", func(t *testing.T) {
		do(t, ctx, chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('#decisions tr')].find(r => r.innerText.includes('bob')).querySelector('button').click()`))
		waitFor(t, ctx, `principal == MCP::User::"bob"`)
	})
	t.Run("what if", func(t *testing.T) {
		do(t, ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector('#tool').value = 'count'`), chromedp.Click(chromedp.CSS("#what-if button")))
		waitFor(t, ctx, "Adding this to the forbid no-counting, with what else is said here, would allow it")
	})
	t.Run("decisions as they come", func(t *testing.T) {
		before, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll('#decisions tr').length`))
		if err != nil || before != 5 {
			t.Fatalf("%d rows, %v", before, err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.process.URL+"/mcp", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			after, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll('#decisions tr').length`))
			if err == nil && after == before+1 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d rows, %v", after, err)
			}
		}
	})
	t.Run("nothing of callers is run", func(t *testing.T) {
		if ran, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll('#open img, #open script').length`)); err != nil || ran != 0 {
			t.Errorf("%d elements, %v", ran, err)
		}
	})
}

func TestTheAddressWithTheTokenOpensThePageAndForgetsIt(t *testing.T) {
	s := start(t)
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.url+"/#token="+s.token))
	waitFor(t, ctx, "Decisions")
	waitFor(t, ctx, "rita")
	if address, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href`)); err != nil || strings.Contains(address, s.token) {
		t.Errorf("%s, %v", address, err)
	}
}

func TestAxeFindsNothingInLightAndDarkOnNarrowAndWideScreens(t *testing.T) {
	s := start(t)
	script := axe(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1280} {
			t.Run(fmt.Sprintf("%s, %d px", scheme, width), func(t *testing.T) {
				ctx := browser(t)
				setScheme := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
					_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
						Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
					})
					return err
				})
				do(t, ctx, setScheme, chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.url+"/"))
				waitFor(t, ctx, "This page needs")
				wantAccessible(t, ctx, script)
				do(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), s.token), chromedp.Click(chromedp.CSS("#unlock button")))
				waitFor(t, ctx, "rita")
				do(t, ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector('#tool').value = 'count'`), chromedp.Click(chromedp.CSS("#what-if button")))
				waitFor(t, ctx, "would allow it")
				wantAccessible(t, ctx, script)
				over, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
				if err != nil || over > 0 {
					t.Errorf("the page is %d px wider than the screen, %v", over, err)
				}
				picture(t, ctx, fmt.Sprintf("status-%s-%d.png", scheme, width))
			})
		}
	}
}

type violation struct {
	ID    string
	Help  string
	Nodes []struct{ HTML string }
}

func wantAccessible(t *testing.T, ctx context.Context, script string) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](script))
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]violation](
		`axe.run(document).then(r => r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => ({html: n.html}))})))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Errorf("%s: %s: %v", v.ID, v.Help, v.Nodes)
	}
}

// picture keeps what the page looks like where SCREENSHOTS names a directory.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheKeyboardReachesEverything(t *testing.T) {
	s := start(t)
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.url+"/#token="+s.token))
	waitFor(t, ctx, "rita")
	reached := map[string]bool{}
	for range 60 {
		do(t, ctx, chromedp.KeyEvent("\t"))
		at, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.id || document.activeElement.innerText.slice(0, 12) || document.activeElement.tagName`))
		if err != nil {
			t.Fatal(err)
		}
		reached[at] = true
	}
	for _, want := range []string{"filter", "search", "pause", "Why", "claims", "tool", "arguments", "upstream", "Ask"} {
		if !reached[want] {
			t.Errorf("the keyboard does not reach %s: %v", want, reached)
		}
	}
}

func TestAFrameOfAnotherPageShowsNothing(t *testing.T) {
	s := start(t)
	ctx := browser(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<p>other</p><iframe src="%s/#token=%s"></iframe>
<script>fetch("%s/decisions", {headers: {Authorization: "Bearer %s"}}).then(r => r.text()).then(t => document.title = "read " + t).catch(() => document.title = "refused")</script>`, s.url, s.token, s.url, s.token)
	}))
	defer other.Close()
	do(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(other.URL))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		title, err := chromedp.Run(ctx, chromedp.Title())
		if err == nil && title == "refused" {
			return
		}
		if time.Now().After(end) || strings.HasPrefix(title, "read") {
			t.Fatalf("%q, %v", title, err)
		}
	}
}
