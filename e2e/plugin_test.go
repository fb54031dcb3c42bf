//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plugin runs kubectl-countersign as a user would.
func plugin(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), pluginBinary(t), args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

func pluginBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("kubectl-countersign-%d", os.Getpid()))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/kubectl-countersign")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	return path
}

func TestAnOperatorSeesAndUnderstands(t *testing.T) {
	var ns, denied string
	testEnvironment.Test(t, feature("an operator sees and understands", "").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-plugin", "restricted")
			apply(t, authConfig(ns, "aws", bearerConfig, `permit (principal in MCP::Group::"readers", action == MCP::Action::"aws___list_regions", resource);`),
				agentPod(ns, "agent", "hosts", "aws", ""), agentPod(ns, "plain", "loopback", "aws", ""))
			for _, pod := range []string{"agent", "plain"} {
				waitReady(t, ns, pod)
			}
			reader := token(t, map[string]any{"sub": "rita", "groups": []string{"readers"}})
			if got := call(t, ns, "agent", reader, "aws___list_regions"); got.Error != "" {
				t.Fatal(got.Error)
			}
			call(t, ns, "agent", token(t, map[string]any{"sub": "bob"}), "aws___list_regions")
		})).
		Assess("the app learns numbers only, and opens no page", step(func(t *testing.T) {
			for _, path := range []string{"/status", "/", "/decisions", "/policies"} {
				text := string(viaAgent(t, ns, "agent", "/get?url="+url.QueryEscape("http://127.0.0.1:15390"+path)))
				for _, private := range []string{"rita", "aws-mcp.standins", issuer} {
					if strings.Contains(text, private) {
						t.Errorf("%s tells %s: %s", path, private, text)
					}
				}
			}
		})).
		Assess("status shows both Pods with what they use", step(func(t *testing.T) {
			stdout, stderr, code := plugin(t, "status", "-n", ns, "-o", "json")
			if code != 0 {
				t.Fatalf("exit %d: %s%s", code, stdout, stderr)
			}
			var statuses []struct {
				Pod, Config, Mode string
				Status            struct {
					Version string
					Counts  struct{ Decisions struct{ Allow, Deny int } }
				}
			}
			if err := json.Unmarshal([]byte(stdout), &statuses); err != nil || len(statuses) != 2 {
				t.Fatalf("%v: %s", err, stdout)
			}
			agent := statuses[0]
			if agent.Pod != ns+"/agent" || agent.Config != "current" || agent.Mode != "hosts" || agent.Status.Counts.Decisions.Deny == 0 {
				t.Errorf("%+v", agent)
			}
			if text, _, _ := plugin(t, "status", "agent", "-n", ns); !strings.Contains(text, "Upstream") || strings.Contains(text, "\x1b") {
				t.Errorf("for people: %s", text)
			}
		})).
		Assess("audit merges records, and shows the denial", step(func(t *testing.T) {
			stdout, stderr, code := plugin(t, "audit", "-n", ns, "--denied", "--caller", "bob", "-o", "json")
			var record struct{ RequestID, Caller string }
			if err := json.Unmarshal([]byte(strings.SplitN(stdout, "\n", 2)[0]), &record); code != 0 || err != nil || record.Caller != "bob" {
				t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
			}
			denied = record.RequestID
		})).
		Assess("why tells the story and what would allow the call", step(func(t *testing.T) {
			stdout, stderr, code := plugin(t, "why", denied, "-n", ns)
			for _, want := range []string{"caller     bob", "Now: it would be denied again", `principal == MCP::User::"bob"`, `principal in MCP::Group::"readers"`} {
				if !strings.Contains(stdout, want) {
					t.Errorf("exit %d, no %q: %s%s", code, want, stdout, stderr)
				}
			}
			if _, stderr, code := plugin(t, "why", "unknown", "-n", ns); code != 2 || !strings.Contains(stderr, "no sidecar knows the request") {
				t.Errorf("an unknown request: exit %d: %s", code, stderr)
			}
		})).
		Assess("explain asks the Pod's own sidecar", step(func(t *testing.T) {
			stdout, stderr, code := plugin(t, "explain", "agent", "-n", ns, "--user", `{"sub":"zoe","groups":["readers"]}`, "--tool", "aws___list_regions")
			if code != 0 || !strings.Contains(stdout, "aws___list_regions allowed") {
				t.Errorf("exit %d: %s%s", code, stdout, stderr)
			}
			if stdout, stderr, code := plugin(t, "explain", "agent", "-n", ns, "--user", `{"sub":"zoe"}`, "--tool", "aws___list_regions"); code != 3 {
				t.Errorf("a denial: exit %d: %s%s", code, stdout, stderr)
			}
		})).
		Assess("check finds all well, and a refused auth-config", step(func(t *testing.T) {
			stdout, stderr, _ := plugin(t, "check", "-n", ns, "-o", "json")
			if strings.Contains(stdout, `"failed"`) && !onlyFromHere(stdout) {
				t.Errorf("%s%s", stdout, stderr)
			}
			// Other hosts need a new Pod: the sidecar refuses, the webhook does not.
			apply(t, authConfig(ns, "aws", strings.ReplaceAll(bearerConfig, upstream, strings.Replace(upstream, "aws-mcp", "other-mcp", 1)), `permit (principal, action, resource);`))
			for end := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Second) {
				stdout, _, code := plugin(t, "check", "-n", ns)
				if code == 1 && strings.Contains(stdout, "its sidecar refused the newest auth-config") {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("exit %d: %s", code, stdout)
				}
			}
			if stdout, _, code := plugin(t, "status", "-n", ns); code != 1 || !strings.Contains(stdout, "refused") {
				t.Errorf("status: exit %d: %s", code, stdout)
			}
		})).
		Feature())
}

// onlyFromHere reports whether what failed is what only Pods can reach: the stand-ins.
func onlyFromHere(facts string) bool {
	var list []struct{ Group, State string }
	if json.Unmarshal([]byte(facts), &list) != nil {
		return false
	}
	for _, f := range list {
		if f.State == "failed" && !strings.HasPrefix(f.Group, "Auth-config") {
			return false
		}
	}
	return true
}
