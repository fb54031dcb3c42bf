//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
		t.Skip("skipped: there is no image with curl, Python, Node and a JVM (WITHOUT_CLIENTS)")
	}
	ipv6 := hasIPv6(t)
	for _, mode := range []string{"hosts", "redirect"} {
		commands := clientCommands()
		if ipv6 {
			// In mode hosts the name leads to ::1. In mode redirect the address need not
			// exist: the connection never gets there.
			commands["IPv6"] = "python3 /src/post6.py"
		} else {
			t.Log("the cluster has no IPv6: not tried")
		}
		var ns string
		f := feature("clients that bring their own TLS", mode).
			Setup(step(func(t *testing.T) {
				ns = namespace(t, "e2e-clients-"+mode, "privileged")
				apply(t, authConfig(ns, "aws", bearerConfig, bearerPolicies), sources(ns), clientsJob(t, ns, mode, commands))
			}))
		for _, name := range slices.Sorted(maps.Keys(commands)) {
			f.Assess(name+" is answered", step(func(t *testing.T) { waitForClient(t, ns, strings.ToLower(name)) }))
		}
		testEnvironment.Test(t, f.Feature())
	}
}

func clientCommands() map[string]string {
	curl := `curl -sS --fail -X POST -H "Content-Type: application/json" -H "Accept: application/json, text/event-stream" -H "Authorization: Bearer $TOKEN" -d "$BODY" `
	return map[string]string{
		"curl":     answered(curl + `"$URL"`),
		"Python":   "python3 /src/post.py",
		"requests": "python3 /src/with_requests.py",
		"Node":     "node /src/post.js",
		"JVM":      "java -Djavax.net.ssl.trustStore=/var/run/countersign/ca/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit /src/Post.java",
	}
}

func sources(ns string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: source, namespace: %s}\ndata:\n", ns)
	for name, source := range programs {
		text += "  " + name + ": |\n" + indent(source, 4)
	}
	return text
}

// clientsJob has one container for each client. They begin when all are there: the
// kubelet writes the Pod's /etc/hosts anew for each, and whoever reads it in that
// moment is not intercepted in mode hosts (docs/interception.md).
func clientsJob(t *testing.T, ns, mode string, commands map[string]string) string {
	t.Helper()
	environment := map[string]string{"URL": upstream, "TOKEN": token(t, map[string]any{"sub": "alice", "groups": []string{"s3-readers"}}), "BODY": initialize, "ADDRESS": ""}
	if mode == "redirect" {
		environment["ADDRESS"] = "fd00:10:244::fffe"
	}
	job := fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: clients, namespace: %s}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {countersign.io/auth-config: aws, countersign.io/intercept: %s}}
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 10001}
      volumes: [{name: source, configMap: {name: source}}, {name: tmp, emptyDir: {}}]
      containers:
`, ns, mode)
	all := fmt.Sprintf("n=0; until [ $(ls /tmp/*.there | wc -l) -eq %d ]; do n=$((n+1)); [ $n -lt 600 ] || { ls /tmp; exit 1; }; sleep 0.1; done", len(commands))
	for name, command := range commands {
		command = "touch /tmp/" + name + ".there; " + all + "; " + command
		job += fmt.Sprintf("      - name: %s\n        image: countersign.io/e2e/clients:1\n        imagePullPolicy: Never\n        command: [sh, -c, %s]\n        volumeMounts: [{name: source, mountPath: /src}, {name: tmp, mountPath: /tmp}]\n        env:\n",
			strings.ToLower(name), strconv.Quote(command))
		for variable, value := range environment {
			job += fmt.Sprintf("        - {name: %s, value: %s}\n", variable, strconv.Quote(value))
		}
	}
	return job
}

func waitForClient(t *testing.T, ns, name string) {
	t.Helper()
	eventually(t, "it is answered", 120*time.Second, func(ctx context.Context) error {
		pods, err := clients.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=clients"})
		if err != nil || len(pods.Items) == 0 {
			return errors.Join(err, errors.New("there is no Pod yet"))
		}
		for _, status := range pods.Items[0].Status.ContainerStatuses {
			if end := status.State.Terminated; status.Name == name && end != nil {
				if end.ExitCode != 0 {
					log, _ := clients.CoreV1().Pods(ns).GetLogs(pods.Items[0].Name, &corev1.PodLogOptions{Container: name}).DoRaw(ctx)
					t.Fatalf("it ended with %d: %s", end.ExitCode, log)
				}
				return nil
			}
		}
		return errors.New("it runs")
	})
}
