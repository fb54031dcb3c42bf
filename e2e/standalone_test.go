//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStandalone(t *testing.T) {
	const ns, url = "countersign-gateway", "http://countersign.countersign-gateway.svc.cluster.local/mcp"
	var client string
	testEnvironment.Test(t, feature("the sidecar as a Deployment behind a Service", "").
		Setup(step(func(t *testing.T) {
			apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", ns))
			t.Cleanup(func() { _ = clients.CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{}) })
			outside := strings.Replace(bearerConfig, "audience: countersign}", `audience: countersign, resourceURL: "https://mcp.example.com/mcp", `+
				`exchange: {client: {id: countersign-sts, secretRef: {name: countersign-idp-client, key: secret}}}}`, 1)
			admin(t, "/exchange-client", map[string]any{"id": "countersign-sts", "secret": "s3cret-of-the-gateway"})
			admin(t, "/trust", map[string]any{"clientIds": []string{"countersign-sts"}})
			apply(t, secret(ns, "countersign-idp-client", "secret", []byte("s3cret-of-the-gateway")))
			apply(t, authConfig(ns, "aws-mcp", outside, bearerPolicies))
			if _, err := kubectl(t.Context(), "", "-n", ns, "create", "secret", "generic", "countersign-session-key",
				"--from-literal=key="+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))); err != nil {
				t.Fatal(err)
			}
			if _, err := kubectl(t.Context(), "", "apply", "-f", "../manifests/examples/gateway/deployment.yaml"); err != nil {
				t.Fatal(err)
			}
			if _, err := kubectl(t.Context(), "", "-n", ns, "set", "env", "deployment/countersign", "AWS_ENDPOINT_URL_STS=https://sts.standins.svc.cluster.local"); err != nil {
				t.Fatal(err)
			}
			rolledOut(t, ns, "countersign")
			// A client that is not in that namespace and not injected.
			client = namespace(t, "e2e-outside", "privileged")
			plain := strings.Replace(agentPod(client, "client", "hosts", "aws", ""), "countersign.io/auth-config: aws, ", "", 1)
			apply(t, strings.Replace(plain, upstream, url, 1))
			waitReady(t, client, "client")
		})).
		Assess("a 401 leads a client to the metadata under the Gateway's host name", step(func(t *testing.T) {
			got := string(viaAgent(t, client, "client", "/challenge?url="+url+"&host=mcp.example.com"))
			if want := `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"`; !strings.HasPrefix(got, "401 ") || !strings.Contains(got, want) {
				t.Errorf("got %s", got)
			}
		})).
		Assess("a user gets her role through the Service", step(func(t *testing.T) {
			alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
			if got := call(t, client, "client", alice, "aws___run_script"); got.Text != session+"S3/alice" {
				t.Errorf("%+v", got)
			}
		})).
		Assess("a session goes on at either replica, and at those of a rollout", step(func(t *testing.T) {
			alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
			for round := range 2 {
				for n := range 20 {
					if got := callIn(t, "kept", client, "client", alice, "aws___run_script"); got.Text != session+"S3/alice" {
						t.Fatalf("round %d, call %d: %+v", round, n, got)
					}
				}
				if round == 0 {
					if _, err := kubectl(t.Context(), "", "-n", ns, "rollout", "restart", "deployment/countersign"); err != nil {
						t.Fatal(err)
					}
					rolledOut(t, ns, "countersign")
				}
			}
		})).
		Feature())
}
