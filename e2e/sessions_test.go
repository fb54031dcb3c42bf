//go:build e2e

package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestASessionOutlivesTheSidecarsContainer: most clients never initialize again.
func TestASessionOutlivesTheSidecarsContainer(t *testing.T) {
	for _, mode := range modes {
		var ns, alice string
		testEnvironment.Test(t, feature("a session outlives the sidecar's container", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-sessions-"+mode, "privileged")
				apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies), sharingProcesses(agentPod(ns, "agent", mode, "aws", ""), 0))
				waitReady(t, ns, "agent")
				alice = token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
				if got := callIn(t, "kept", ns, "agent", alice, "aws___run_script"); got.Text != session+"S3/alice" {
					t.Fatalf("%+v", got)
				}
				if text, err := viaPod(t.Context(), "POST", ns, "agent", "/kill?program=/sidecar", nil); err != nil || strings.TrimSpace(string(text)) != "1" {
					t.Fatalf("killed %s: %v", text, err)
				}
			})).
			Assess("the client goes on in the session that it has", step(func(t *testing.T) {
				eventually(t, "the app is served again", 60*time.Second, func(context.Context) error {
					if got := callIn(t, "kept", ns, "agent", alice, "aws___run_script"); got.Text != session+"S3/alice" {
						return errors.New(got.Error)
					}
					return nil
				})
			})).
			Feature())
	}
}
