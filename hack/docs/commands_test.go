// Package docs runs the commands of the documentation.
package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
	"github.com/countersign-io/countersign/hack/doctable"
)

const root = "../.."

// ours finds command lines of the three programs.
var ours = regexp.MustCompile(`^(?:bin/)?(?:webhook|sidecar|kubectl countersign|kubectl-countersign) `)

// notHere say why a command line is not run.
var notHere = []struct {
	line *regexp.Regexp
	why  string
}{
	{
		regexp.MustCompile(`\[[A-Z-]|\||\.\.\.|\b(FILE|DIR|POD|REQUEST-ID|JSON)\b`),
		"it shows a form, with placeholders",
	},
	{
		regexp.MustCompile(`^kubectl(-| )countersign (status|audit|why|check -n|check --pre)`),
		"it needs a cluster: e2e has these",
	},
	{
		regexp.MustCompile(`sidecar (proxy|redirect|ready|admin-token)`),
		"it serves, or changes the machine's firewall: cmd/sidecar has these",
	},
	{
		regexp.MustCompile(`iam -f my-config`),
		"its issuer is a stand-in on http, which IAM does not take; that of docs/example runs",
	},
	{regexp.MustCompile(`/etc/`), "it writes into the machine's own files"},
}

// denied is what ends with the exit code of a denial, since the page shows one.
var denied = regexp.MustCompile(`^bin/sidecar explain --config docs/example`)

func TestEveryCommandOfTheDocumentationThatCanRunHereRuns(t *testing.T) {
	lines, err := doctable.CodeLines()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	ran := 0
	for _, line := range lines {
		if !ours.MatchString(line.Arguments) {
			continue
		}
		t.Run(line.Page+"/"+line.Arguments, func(t *testing.T) {
			for _, n := range notHere {
				if n.line.MatchString(line.Arguments) {
					t.Skip(n.why)
				}
			}
			ran++
			output, code := w.sh(t, line.Arguments)
			want := 0
			if denied.MatchString(line.Arguments) {
				want = 3
			}
			if code != want {
				t.Errorf("exit %d: %s", code, output)
			}
		})
	}
	if ran < 20 {
		t.Errorf("%d commands ran: are they found?", ran)
	}
}

// world is a directory with what the documentation's commands name, and services behind it.
type world struct {
	dir         string
	environment []string
}

const config = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams: [{name: aws, url: %q, region: us-east-1, service: aws-mcp, scripts: [{tool: aws___run_script, argument: code}]}]
  identity: {source: bearer, oidc: {issuer: %q, audience: aud}}
  awsSts:
    region: us-east-1
    roleMappings:
    - {claim: readers, roleArn: "arn:aws:iam::123456789012:role/R", sessionPolicy: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}'}
`

const policies = `permit (principal in MCP::Group::"readers", action, resource);`

func newWorld(t *testing.T) *world {
	t.Helper()
	issuer := standin.NewIssuer()
	t.Cleanup(issuer.Close)
	sts := standin.NewSTS(issuer.URL, "aud")
	t.Cleanup(sts.Close)
	aws := standin.NewMCPServer(standin.MCPOptions{STS: sts})
	t.Cleanup(aws.Close)
	w := &world{dir: t.TempDir()}
	w.environment = append(
		os.Environ(),
		"AWS_ENDPOINT_URL_STS="+sts.URL,
		"PATH="+filepath.Join(w.dir, "bin")+":"+os.Getenv("PATH"),
		"AWS_CONFIG_FILE=/nonexistent",
		"AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"KUBECONFIG=/nonexistent",
	)
	w.build(t)
	for _, name := range []string{"docs", "manifests"} {
		absolute, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(absolute, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	token := issuer.Token(map[string]any{"sub": "alice", "aud": "aud", "groups": []string{"readers"}})
	mine := fmt.Sprintf(config, aws.URL, issuer.URL)
	onHTTPS := fmt.Sprintf(config, aws.URL, "https://idp.example.com")
	for name, text := range map[string]string{
		"bin/kubectl":                 "#!/bin/sh\nshift\nexec kubectl-countersign \"$@\"\n",
		"token.jwt":                   token,
		"t":                           token,
		"my-config/auth-config.yaml":  mine,
		"my-config/p.cedar":           policies,
		"new-config/auth-config.yaml": mine,
		"new-config/p.cedar":          policies,
		"auth-config.yaml":            onHTTPS,
		"cases.yaml":                  "config: aws-mcp.yaml\ncases:\n" + oneCase,
		"aws-mcp.yaml":                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-mcp, namespace: agents, labels: {countersign.io/auth-config: \"true\"}}\ndata:\n  auth-config.yaml: |\n    " + strings.ReplaceAll(onHTTPS, "\n", "\n    ") + "\n  p.cedar: " + policies + "\n",
		"callers.yaml":                `{"alice": {"groups": ["readers"]}}`,
		"records":                     record,
		"report.py":                   "await call_boto3(service_name='s3', operation_name='ListBuckets')\n",
		"toolhive.yaml":               toolhive,
	} {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

const oneCase = "- {name: a reader lists Regions, caller: alice, claims: {groups: [readers]}, tool: aws___list_regions, decision: allow}\n"

const record = `{"time":"2026-11-01T10:00:00Z","requestId":"r1","caller":"alice","role":"arn:aws:iam::123456789012:role/R",` +
	`"upstream":"aws","method":"tools/call","tool":"aws___list_regions","decision":"allow"}` + "\n"

const toolhive = `apiVersion: toolhive.stacklok.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: sts, namespace: agents}
spec:
  type: awsSts
  awsSts: {region: us-east-1, fallbackRoleArn: "arn:aws:iam::123456789012:role/R"}
---
apiVersion: toolhive.stacklok.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: aws, namespace: agents}
spec:
  remoteURL: https://aws-mcp.us-east-1.api.aws/mcp
  externalAuthConfigRef: {name: sts}
  oidcConfig: {type: inline, inline: {issuer: "https://idp.example.com", audience: countersign}}
`

func (w *world) build(t *testing.T) {
	t.Helper()
	build := exec.CommandContext(
		t.Context(),
		"go",
		"build",
		"-trimpath",
		"-ldflags",
		"-s -w",
		"-o",
		filepath.Join(w.dir, "bin")+"/",
		"./cmd/sidecar",
		"./cmd/webhook",
		"./cmd/kubectl-countersign",
	)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// sh runs a line as a shell does that whoever reads the page has open.
func (w *world) sh(t *testing.T, line string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", line)
	command.Dir, command.Env = w.dir, w.environment
	text, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), command.ProcessState.ExitCode()
}
