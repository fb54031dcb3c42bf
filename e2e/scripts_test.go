//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/countersign-io/countersign/e2e/standin"
)

// scriptsConfig has an upstream that takes scripts, as AWS's own does by default.
var scriptsConfig = strings.Replace(
	bearerConfig, "service: aws-mcp}", "service: aws-mcp, scripts: [{tool: aws___run_script, argument: code}]}", 1)

const scriptsPolicies = `@id("reads") permit (principal, action == MCP::Action::"aws___run_script", resource)
when { context has aws && context.aws.readOnly && !context.aws.secrets };
@id("admins") permit (principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
`

const scriptsInstance = "i-0a1b2c3d4e5f60001"

func TestAScriptDoesWhatItWasReadToDo(t *testing.T) {
	var ns, pod, alice, bob string
	run := func(t *testing.T, token, code string) conversation {
		t.Helper()
		return converse(t, ns, pod, map[string]any{"token": token, "tool": standin.ToolRunScript, "arguments": map[string]any{"code": code}})
	}
	instanceIs := func(t *testing.T, want string) {
		t.Helper()
		if got := standinsSaw(t).Instances[scriptsInstance]; got != want {
			t.Errorf("the instance is %q, want %s", got, want)
		}
	}
	testEnvironment.Test(t, feature("a script does what it was read to do", "hosts").
		Setup(step(func(t *testing.T) {
			ns = namespace(t, "e2e-scripts", "privileged")
			apply(t, authConfig(ns, "aws", scriptsConfig, scriptsPolicies), agentDeployment(ns, "agent", "hosts", "aws"))
			pod = podOf(t, ns, "agent")
			alice = token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
			bob = token(t, map[string]any{"sub": "bob", "groups": []string{"admins"}})
		})).
		Assess("alice asks what runs in eu-west-1", step(func(t *testing.T) {
			if got := run(t, alice, standin.ScriptInstances); !strings.Contains(got.Text, scriptsInstance) {
				t.Errorf("%+v", got)
			}
			granted := standinsSaw(t).Granted
			if policy := granted[len(granted)-1].Policy; !strings.Contains(policy, `"NotAction":["ec2:DescribeInstances"`) {
				t.Errorf("the session policy is %s", policy)
			}
		})).
		Assess("she tries to stop it", step(func(t *testing.T) {
			if got := run(t, alice, standin.ScriptStop); !strings.Contains(got.Error, "this script is not allowed for this caller") {
				t.Errorf("%+v", got)
			}
			instanceIs(t, "running")
		})).
		Assess("a script hides its call", step(func(t *testing.T) {
			if got := run(t, alice, standin.ScriptStopHidden); !strings.Contains(got.Error, "the name globals is not one of those that are read (line 1)") {
				t.Errorf("%+v", got)
			}
			instanceIs(t, "running")
		})).
		Assess("a script that lies meets IAM", step(func(t *testing.T) {
			if text, err := viaService(t.Context(), "POST", "/plant", nil); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if got := run(t, alice, standin.ScriptMean); !strings.Contains(got.Text, "ec2:StopInstances with an explicit deny in a session policy") {
				t.Errorf("%+v", got)
			}
			instanceIs(t, "running")
		})).
		Assess("bob, who may use every tool, stops it and starts it again", step(func(t *testing.T) {
			if got := run(t, bob, standin.ScriptStopHidden); !strings.Contains(got.Text, `"status":"success"`) {
				t.Errorf("%+v", got)
			}
			instanceIs(t, "stopped")
			run(t, bob, strings.ReplaceAll(standin.ScriptStop, "StopInstances", "StartInstances"))
			instanceIs(t, "running")
		})).
		Feature())
}
