//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

func indent(text string, by int) string {
	prefix := strings.Repeat(" ", by)
	return prefix + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+prefix) + "\n"
}

const bearerConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "` + upstream + `", region: us-east-1, service: aws-mcp}
  identity: {source: bearer, oidc: {issuer: "` + issuer + `", audience: countersign}}
  awsSts:
    region: us-east-1
    fallbackRoleArn: ` + role + `Default
    roleMappings:
    - {claim: s3-readers, roleArn: "` + role + `S3", priority: 10}
    - {matcher: '"admins" in claims["groups"]', roleArn: "` + role + `Admin", priority: 1}
`

const accountConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - {name: aws, url: "` + upstream + `", region: us-east-1, service: aws-mcp}
  identity: {source: serviceAccount, serviceAccount: {expirationSeconds: 600}}
  awsSts: {region: us-east-1, fallbackRoleArn: "` + role + `Workload"}
`

const bearerPolicies = `@id("who") permit (principal, action == MCP::Action::"aws___run_script", resource);
@id("readers") permit (principal in MCP::Group::"s3-readers", action == MCP::Action::"aws___read_documentation", resource);
@id("admins") permit (principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
`

func authConfig(namespace, name, config, policies string, labels ...string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: %s\n  labels:\n    countersign.io/auth-config: \"true\"\n", name, namespace)
	for _, label := range labels {
		text += "    " + label + "\n"
	}
	text += "data:\n  auth-config.yaml: |\n" + indent(config, 4) + "  ca.pem: |\n" + indent(standinCA, 4)
	if policies != "" {
		text += "  tools.cedar: |\n" + indent(policies, 4)
	}
	return text
}

// agentPod is the app: it knows the AWS URL and nothing of Countersign.
func agentPod(namespace, name, mode, config, more string) string {
	url := "        args: [--url, \"" + upstream + "\"]\n"
	if mode == "loopback" {
		url = "        args: []\n"
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: %s
  annotations: {countersign.io/auth-config: %s, countersign.io/intercept: %s}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: agent
    image: countersign.io/e2e/agent:1
    imagePullPolicy: Never
%s    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
%s`, name, namespace, config, mode, strings.ReplaceAll(url, "        ", "    "), more)
}

// agentDeployment is that app as a Deployment.
func agentDeployment(namespace, name, mode, config string) string {
	arguments := "--url, \"" + upstream + "\""
	if mode == "loopback" {
		arguments = ""
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}, annotations: {countersign.io/auth-config: %[3]s, countersign.io/intercept: %[4]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: agent, image: "countersign.io/e2e/agent:1", imagePullPolicy: Never, args: [%[5]s], readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}}
`, name, namespace, config, mode, arguments)
}

// sharingProcesses lets an app see the processes of its Pod, as this user.
func sharingProcesses(pod string, uid int) string {
	user := fmt.Sprintf("runAsUser: %d", uid)
	pod = strings.Replace(pod, "  securityContext: {runAsNonRoot: true, runAsUser: 10001,", "  shareProcessNamespace: true\n  securityContext: {"+user+",", 1)
	return strings.Replace(pod, "capabilities: {drop: [ALL]}", user, 1)
}
