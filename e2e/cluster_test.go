//go:build e2e

// Package e2e runs Pods on the cluster that KUBECONFIG names, with the shipped
// manifests and images. The images must be loaded there; make e2e does all of it.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"

	"github.com/countersign-io/countersign/e2e/standin"
)

var (
	testEnvironment env.Environment
	clients         *kubernetes.Clientset
	// standinCA vouches for the stand-ins.
	standinCA string
)

const (
	upstream = "https://aws-mcp.standins.svc.cluster.local/mcp"
	issuer   = "https://issuer.standins.svc.cluster.local"
	role     = "arn:aws:iam::123456789012:role/"
	// session begins the ARN of a role session.
	session = "arn:aws:sts::123456789012:assumed-role/"
)

// The framework's flags choose what runs: -args --feature, --assess, --labels
// mode=redirect.
func TestMain(m *testing.M) {
	config, err := envconf.NewFromFlags()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	if config.KubeconfigFile() == "" {
		config.WithKubeconfigFile(os.Getenv("KUBECONFIG"))
	}
	if _, err := os.Stat(config.KubeconfigFile()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: KUBECONFIG or --kubeconfig must name a cluster; make e2e makes one:", err)
		os.Exit(2)
	}
	// kubectl must not go to another cluster.
	if err := os.Setenv("KUBECONFIG", config.KubeconfigFile()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	testEnvironment = env.NewWithConfig(config)
	testEnvironment.Setup(func(ctx context.Context, c *envconf.Config) (context.Context, error) {
		return ctx, setUp(ctx, rest.CopyConfig(c.Client().RESTConfig()))
	})
	os.Exit(testEnvironment.Run(m))
}

// feature begins one that is about a mode of interception, or about none.
func feature(name, mode string) *features.FeatureBuilder {
	if mode == "" {
		return features.New(name)
	}
	return features.New(name+", mode "+mode).WithLabel("mode", mode)
}

// step is one of a feature that hands nothing to the next but through variables.
func step(do func(t *testing.T)) features.Func {
	return func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		t.Helper()
		do(t)
		return ctx
	}
}

// setUp installs what the tests share.
func setUp(ctx context.Context, config *rest.Config) (err error) {
	config.QPS, config.Burst = 100, 200
	if clients, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"apply", "-f", "manifests/standins.yaml"}, {"apply", "-k", "manifests/install"},
		{"-n", "standins", "rollout", "status", "deployment/standins", "--timeout=120s"},
		{"-n", "countersign-system", "rollout", "status", "deployment/countersign-webhook", "--timeout=120s"},
	} {
		if output, err := kubectl(ctx, "", arguments...); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
	}
	ca, err := viaService(ctx, "GET", "/ca.pem", nil)
	standinCA = string(ca)
	return errors.Join(err, untilAdmissionAnswers(ctx))
}

// untilAdmissionAnswers waits until the API server has the CA of a webhook that was
// just installed: it keeps the configurations for a second or two.
func untilAdmissionAnswers(ctx context.Context) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if _, err = kubectl(ctx, authConfig("default", "first", accountConfig, ""), "apply", "--dry-run=server", "-f", "-"); err == nil {
			return nil
		}
	}
	return err
}

func kubectl(ctx context.Context, stdin string, arguments ...string) (string, error) {
	program := os.Getenv("KUBECTL")
	if program == "" {
		program = "kubectl"
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdin = strings.NewReader(stdin)
	var b bytes.Buffer
	command.Stdout, command.Stderr = &b, &b
	if err := command.Run(); err != nil {
		return b.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, b.String())
	}
	return b.String(), nil
}

func apply(t *testing.T, manifests ...string) {
	t.Helper()
	if _, err := kubectl(t.Context(), strings.Join(manifests, "\n---\n"), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

func rolledOut(t *testing.T, namespace, deployment string) {
	t.Helper()
	if output, err := kubectl(t.Context(), "", "-n", namespace, "rollout", "status", "deployment/"+deployment, "--timeout=120s"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func getPod(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	pod, err := clients.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// podOf is the name of a Deployment's only Pod, once it is ready.
func podOf(t *testing.T, namespace, deployment string) string {
	t.Helper()
	rolledOut(t, namespace, deployment)
	pods, err := clients.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + deployment})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d Pods: %v", len(pods.Items), err)
	}
	return pods.Items[0].Name
}

// viaAgent asks the app of a Pod to do something.
func viaAgent(t *testing.T, namespace, pod, path string) []byte {
	t.Helper()
	text, err := viaPod(t.Context(), "GET", namespace, pod, path, nil)
	if err != nil {
		t.Fatalf("%s: %v: %s", path, err, text)
	}
	return text
}

// viaService reaches the stand-ins' plain port through the API server.
func viaService(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	pods, err := clients.CoreV1().Pods("standins").List(ctx, metav1.ListOptions{LabelSelector: "app=standins"})
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			return viaPod(ctx, method, "standins", pod.Name, path, body)
		}
	}
	return nil, errors.New("the stand-ins do not run")
}

func viaPod(ctx context.Context, method, namespace, pod, path string, body []byte) ([]byte, error) {
	path, query, _ := strings.Cut(path, "?")
	request := clients.CoreV1().RESTClient().Verb(method).Namespace(namespace).Resource("pods").Name(pod + ":8080").SubResource("proxy").Suffix(path).Body(body)
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			if decoded, err := url.QueryUnescape(value); err == nil {
				value = decoded
			}
			request = request.Param(key, value)
		}
	}
	return request.DoRaw(ctx)
}

func token(t *testing.T, claims map[string]any) string {
	t.Helper()
	claims["aud"] = "countersign"
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := viaService(t.Context(), "POST", "/token", body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// seen is what the stand-ins saw.
type seen struct {
	Verified, Refused int
	Granted           []struct{ RoleARN, Name, Subject, Policy string }
	// Instances are the states of those in eu-west-1.
	Instances map[string]string
	// Asked counts the questions to the stand-in DNS, by "network name.".
	Asked map[string]int
}

func standinsSaw(t *testing.T) seen {
	t.Helper()
	text, err := viaService(t.Context(), "GET", "/seen", nil)
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// namespace makes one that is labelled for injection.
func namespace(t *testing.T, name, level string) string {
	t.Helper()
	apply(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {countersign.io/injection: enabled, pod-security.kubernetes.io/enforce: %s}}\n", name, level))
	t.Cleanup(func() {
		_ = clients.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	eventually(t, "the service account", 30*time.Second, func(ctx context.Context) error {
		_, err := clients.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return name
}

func eventually(t *testing.T, what string, within time.Duration, is func(ctx context.Context) error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		if err = is(t.Context()); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %v: %v", what, within, err)
}

func waitReady(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, "the Pod "+name+" is ready", 60*time.Second, func(ctx context.Context) error {
		pod, err := clients.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if isReady(pod) {
			return nil
		}
		log, _ := clients.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{Container: "countersign"}).DoRaw(ctx)
		return fmt.Errorf("phase %s; the sidecar says: %s", pod.Status.Phase, log)
	})
}

// conversation is what the app learned.
type conversation struct {
	Tools       []string
	Text, Error string
}

func call(t *testing.T, namespace, pod, token, tool string) conversation {
	t.Helper()
	return callIn(t, "", namespace, pod, token, tool)
}

// callIn calls in a session that the agent keeps open under a name.
func callIn(t *testing.T, session, namespace, pod, token, tool string) conversation {
	t.Helper()
	c := converse(t, namespace, pod, map[string]any{"token": token, "tool": tool, "arguments": argumentsOf(tool), "session": session})
	var script struct {
		Value string `json:"return_value"`
	}
	if tool == standin.ToolRunScript && json.Unmarshal([]byte(c.Text), &script) == nil {
		c.Text = script.Value
	}
	return c
}

// converse has the agent call a tool.
func converse(t *testing.T, namespace, pod string, request map[string]any) conversation {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := viaPod(t.Context(), "POST", namespace, pod, "/call", body)
	if err != nil {
		t.Fatalf("call: %v: %s", err, text)
	}
	var c conversation
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return c
}

// whoAmI is what an agent is told, so that it asks which role session it has.
func whoAmI() []byte {
	body, err := json.Marshal(map[string]any{"tool": standin.ToolRunScript, "arguments": argumentsOf(standin.ToolRunScript)})
	if err != nil {
		panic(err) // maps of strings
	}
	return body
}

// argumentsOf are those that a test calls a tool with: a script tells who it runs
// as.
func argumentsOf(tool string) map[string]any {
	switch tool {
	case standin.ToolRunScript:
		return map[string]any{"code": standin.ScriptWhoAmI}
	case standin.ToolPresignedURL:
		return map[string]any{"requests": []any{map[string]any{"operation": "download", "bucket": "reports", "key": "a.csv"}}}
	}
	return map[string]any{}
}
