//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`

// programs are clients that each bring their own TLS and their own way to trust.
var programs = map[string]string{
	"post.py": `import http.client, os, ssl, sys, urllib.parse
u = urllib.parse.urlparse(os.environ["URL"])
c = http.client.HTTPSConnection(u.hostname, context=ssl.create_default_context())
c.request("POST", u.path, os.environ["BODY"], {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + os.environ["TOKEN"]})
text = c.getresponse().read().decode()
print(text)
sys.exit(0 if "serverInfo" in text else 1)
`,
	"with_requests.py": `import os, sys
import requests
r = requests.post(os.environ["URL"], os.environ["BODY"], headers={"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + os.environ["TOKEN"]})
print(r.text)
sys.exit(0 if "serverInfo" in r.text else 1)
`,
	"post6.py": `import os, socket, ssl, sys, urllib.parse
u = urllib.parse.urlparse(os.environ["URL"])
address = os.environ["ADDRESS"] or socket.getaddrinfo(u.hostname, 443, socket.AF_INET6)[0][4][0]
raw = socket.socket(socket.AF_INET6)
raw.connect((address, 443))
c = ssl.create_default_context().wrap_socket(raw, server_hostname=u.hostname)
body = os.environ["BODY"]
c.sendall(("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (u.path, u.hostname, os.environ["TOKEN"], len(body), body)).encode())
text = b""
while part := c.recv(65536):
    text += part
print(text.decode())
sys.exit(0 if b"serverInfo" in text else 1)
`,
	"post.js": `const https = require("https");
const r = https.request(process.env.URL, {method: "POST", headers: {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + process.env.TOKEN}}, (a) => {
  let text = "";
  a.on("data", (d) => text += d);
  a.on("end", () => { console.log(text); process.exit(text.includes("serverInfo") ? 0 : 1); });
});
r.on("error", (e) => { console.error(e); process.exit(1); });
r.end(process.env.BODY);
`,
	"Post.java": `import java.net.URI; import java.net.http.*;
public class Post { public static void main(String[] a) throws Exception {
  HttpRequest r = HttpRequest.newBuilder(URI.create(System.getenv("URL"))).header("Content-Type", "application/json").header("Accept", "application/json, text/event-stream")
    .header("Authorization", "Bearer " + System.getenv("TOKEN")).POST(HttpRequest.BodyPublishers.ofString(System.getenv("BODY"))).build();
  String text = HttpClient.newHttpClient().send(r, HttpResponse.BodyHandlers.ofString()).body();
  System.out.println(text); System.exit(text.contains("serverInfo") ? 0 : 1); } }
`,
}

// answered succeeds when what a command prints is the server's answer.
func answered(command string) string {
	return `text=$(` + command + `); echo "$text"; case "$text" in *serverInfo*) ;; *) exit 1 ;; esac`
}

func hasIPv6(t *testing.T) bool {
	t.Helper()
	pods, err := clients.CoreV1().Pods("standins").List(t.Context(), metav1.ListOptions{LabelSelector: "app=standins"})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("%v", err)
	}
	for _, ip := range pods.Items[0].Status.PodIPs {
		if strings.Contains(ip.IP, ":") {
			return true
		}
	}
	return false
}

func TestClientsThatBringTheirOwnTLS(t *testing.T) {
	if os.Getenv("WITHOUT_CLIENTS") != "" {
		t.Skip("skipped: the image with curl, Python, Node and a JVM could not be made on this machine")
	}
	ns := namespace(t, "e2e-clients", "privileged")
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
	source := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: source, namespace: %s}\ndata:\n", ns)
	for name, text := range programs {
		source += "  " + name + ": |\n" + indent(text, 4)
	}
	apply(t, source)
	curl := `curl -sS --fail -X POST -H "Content-Type: application/json" -H "Accept: application/json, text/event-stream" -H "Authorization: Bearer $TOKEN" -d "$BODY" `
	commands := map[string]string{
		"curl":     answered(curl + `"$URL"`),
		"python":   "python3 /src/post.py",
		"requests": "python3 /src/with_requests.py",
		"node":     "node /src/post.js",
		"jvm":      "java -Djavax.net.ssl.trustStore=/var/run/countersign/ca/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit /src/Post.java",
	}
	if hasIPv6(t) {
		// In mode hosts the name leads to ::1. In mode redirect the address need not
		// exist: the connection never gets there.
		commands["ipv6"] = "python3 /src/post6.py"
	} else {
		t.Log("the cluster has no IPv6: not tried")
	}
	alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
	for _, mode := range []string{"hosts", "redirect"} {
		address := ""
		if mode == "redirect" {
			address = "fd00:10:244::fffe"
		}
		job := fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s, namespace: %s}\nspec:\n  backoffLimit: 0\n  template:\n    metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: %s}}\n    spec:\n      restartPolicy: Never\n      securityContext: {runAsUser: 10001}\n      volumes: [{name: source, configMap: {name: source}}, {name: tmp, emptyDir: {}}]\n      containers:\n", mode, ns, mode)
		for name, command := range commands {
			job += fmt.Sprintf("      - name: %s\n        image: countersign.io/e2e/clients:1\n        imagePullPolicy: Never\n        command: [sh, -c, %s]\n        volumeMounts: [{name: source, mountPath: /src}, {name: tmp, mountPath: /tmp}]\n        env:\n", name, strconv.Quote(command))
			for variable, value := range map[string]string{"URL": upstream, "TOKEN": alice, "BODY": initialize, "ADDRESS": address} {
				job += fmt.Sprintf("        - {name: %s, value: %s}\n", variable, strconv.Quote(value))
			}
		}
		apply(t, job)
	}
	for _, mode := range []string{"hosts", "redirect"} {
		eventually(t, "every client in mode "+mode+" is answered", 120*time.Second, func(ctx context.Context) error {
			pods, err := clients.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + mode})
			if err != nil || len(pods.Items) == 0 {
				return fmt.Errorf("no Pod yet: %w", err)
			}
			running := 0
			for _, status := range pods.Items[0].Status.ContainerStatuses {
				switch end := status.State.Terminated; {
				case end == nil:
					running++
				case end.ExitCode != 0:
					log, _ := clients.CoreV1().Pods(ns).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{Container: status.Name}).DoRaw(ctx)
					t.Fatalf("%s in mode %s: %s", status.Name, mode, log)
				}
			}
			if running > 0 || len(pods.Items[0].Status.ContainerStatuses) != len(commands) {
				return fmt.Errorf("%d are running", running)
			}
			return nil
		})
	}
}

// TestForeignTrafficIsNotSlowed compares Pods on the same node in turn and prints
// the ratios. The bound is loose: the node's cores carry both ends and everything
// between, and not the network is what limits.
func TestForeignTrafficIsNotSlowed(t *testing.T) {
	ns := namespace(t, "e2e-throughput", "privileged")
	apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies))
	for _, mode := range modes {
		apply(t, agentPod(ns, "agent-"+mode, mode, "aws", ""))
	}
	rates := map[string][]float64{}
	for _, mode := range modes {
		waitReady(t, ns, "agent-"+mode)
	}
	for range 7 {
		for _, mode := range modes {
			text, err := viaPod(t.Context(), "GET", ns, "agent-"+mode, "/download?url=https://foreign.standins.svc.cluster.local/?mib=256", nil)
			if err != nil {
				t.Fatal(err)
			}
			rate, err := strconv.ParseFloat(string(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			rates[mode] = append(rates[mode], rate)
		}
	}
	// In mode loopback nothing is intercepted.
	for _, mode := range []string{"hosts", "redirect"} {
		ratio := medianRatio(rates[mode], rates["loopback"])
		t.Logf("foreign HTTPS in mode %s: %.2f of unintercepted (%v MiB/s against %v)", mode, ratio, rates[mode], rates["loopback"])
		if ratio < 0.25 {
			t.Errorf("mode %s slows foreign traffic to %.2f", mode, ratio)
		}
	}
}

func medianRatio(ours, others []float64) float64 {
	ratios := make([]float64, len(ours))
	for n := range ours {
		ratios[n] = ours[n] / others[n]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func TestStandaloneForClientsOutside(t *testing.T) {
	ns := "countersign-gateway"
	apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", ns))
	t.Cleanup(func() { _ = clients.CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{}) })
	outside := strings.Replace(bearerConfig, "audience: countersign}", `audience: countersign, resourceURL: "https://mcp.example.com/mcp"}`, 1)
	apply(t, authConfig(ns, "aws-mcp", outside, bearerPolicies))
	if _, err := kubectl(t.Context(), "", "apply", "-f", "../manifests/examples/gateway/deployment.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := kubectl(t.Context(), "", "-n", ns, "set", "env", "deployment/countersign", "AWS_ENDPOINT_URL_STS=https://sts.standins.svc.cluster.local"); err != nil {
		t.Fatal(err)
	}
	if output, err := kubectl(t.Context(), "", "-n", ns, "rollout", "status", "deployment/countersign", "--timeout=60s"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	// A client that is not in the namespace and not injected.
	const url = "http://countersign.countersign-gateway.svc.cluster.local/mcp"
	client := namespace(t, "e2e-outside", "privileged")
	plain := strings.Replace(agentPod(client, "client", "hosts", "aws", ""), "countersign.io/auth-config: aws, ", "", 1)
	apply(t, strings.Replace(plain, upstream, url, 1))
	waitReady(t, client, "client")
	got, err := viaPod(t.Context(), "GET", client, "client", "/challenge?url="+url+"&host=mcp.example.com", nil)
	if want := `resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"`; err != nil || !strings.HasPrefix(string(got), "401 ") || !strings.Contains(string(got), want) {
		t.Errorf("%v: %s", err, got)
	}
	alice := token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}})
	if answer := call(t, client, "client", alice, "aws___whoami"); answer.Text != role+"S3/alice" {
		t.Errorf("%+v", answer)
	}
}

func TestAnEphemeralContainerGetsNoSecret(t *testing.T) {
	ns := namespace(t, "e2e-ephemeral", "privileged")
	apply(t, authConfig(ns, "aws", accountConfig, ""))
	apply(t, agentPod(ns, "agent", "hosts", "aws", ""))
	waitReady(t, ns, "agent")
	pod, err := clients.CoreV1().Pods(ns).Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: "countersign.io/e2e/agent:1", VolumeMounts: []corev1.VolumeMount{{Name: "countersign-token", MountPath: "/t"}},
	}}}
	_, err = clients.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), "agent", pod, metav1.UpdateOptions{})
	if err == nil || !strings.Contains(err.Error(), "may not mount a volume of the Countersign sidecar") {
		t.Errorf("got %v", err)
	}
}
