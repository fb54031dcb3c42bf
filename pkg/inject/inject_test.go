package inject_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	sigsjson "sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"

	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/inject"
	"github.com/countersign-io/countersign/pkg/yamledit"
)

var update = flag.Bool("update", false, "write the golden files anew")

var options = inject.Options{
	Image: "registry.example.com/countersign/sidecar:1",
	Env:   []corev1.EnvVar{{Name: "AWS_ENDPOINT_URL_STS", Value: "https://sts.internal"}},
}

// goldenCase is a file in testdata/pods: a Pod, and a Namespace if it matters.
// Its golden file holds the injected Pod with the warnings, or the refusal.
type goldenCase struct {
	pod       corev1.Pod
	raw       []byte
	namespace inject.Namespace
	config    *inject.MountedConfig
}

func TestGolden(t *testing.T) {
	configs := readConfigs(t)
	goldens := map[string]bool{}
	for _, path := range walk(t, "testdata/pods", ".golden") {
		goldens[path] = true
	}
	for _, path := range walk(t, "testdata/pods", ".yaml") {
		golden := strings.TrimSuffix(path, ".yaml") + ".golden"
		delete(goldens, golden)
		name := strings.TrimSuffix(strings.TrimPrefix(path, "testdata/pods/"), ".yaml")
		t.Run(name, func(t *testing.T) {
			c := readCase(t, path, configs)
			got := c.run(t)
			if wantRefusal := strings.Contains(name, "refuses/"); wantRefusal != strings.HasPrefix(got, "# refused") {
				t.Errorf("refused is not %v:\n%s", wantRefusal, got)
			}
			if strings.HasPrefix(name, "warns/") != strings.Contains(got, "# warning") {
				t.Errorf("a warning where none is meant, or none where one is:\n%s", got)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("no golden file; go test ./pkg/inject -update writes it: %v", err)
			}
			if got != string(want) {
				t.Errorf("differs from %s; got:\n%s", golden, got)
			}
		})
	}
	for path := range goldens {
		t.Errorf("%s is stale: it has no case", path)
	}
}

func walk(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func readObjects(t *testing.T, path string) []*yamledit.Object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documents, err := yamledit.Read(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []*yamledit.Object
	for _, d := range documents {
		objects, err := d.Objects()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects...)
	}
	return all
}

func readConfigs(t *testing.T) map[string]*inject.MountedConfig {
	t.Helper()
	configs := map[string]*inject.MountedConfig{}
	for _, object := range readObjects(t, "testdata/configs/configs.yaml") {
		var cm corev1.ConfigMap
		if err := object.Decode(&cm); err != nil {
			t.Fatal(err)
		}
		parsed, err := authconfig.Parse(cm.Data)
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		// The part, so that the golden files show that it is enough; `webhook inject` has the whole.
		configs[cm.Name] = &inject.MountedConfig{Config: inject.ConfigPart(parsed), Name: cm.Name, ConfigMap: cm.Name}
	}
	return configs
}

func readCase(t *testing.T, path string, configs map[string]*inject.MountedConfig) *goldenCase {
	t.Helper()
	c := &goldenCase{namespace: inject.Namespace{Name: "agents"}}
	for _, object := range readObjects(t, path) {
		if object.Kind == "Namespace" {
			var namespace corev1.Namespace
			if err := object.Decode(&namespace); err != nil {
				t.Fatal(err)
			}
			c.namespace = inject.Namespace{Name: namespace.Name, Labels: namespace.Labels, Annotations: namespace.Annotations}
			continue
		}
		var raw json.RawMessage
		if err := object.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		c.raw = raw
	}
	c.pod = decodePod(t, c.raw)
	name, refusal := inject.ConfigName(c.pod.Annotations)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if c.config = configs[name]; c.config == nil {
		t.Fatalf("no config %q", name)
	}
	return c
}

func decodePod(t *testing.T, raw []byte) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(raw, &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// run injects, checks what holds for every case and renders the outcome.
func (c *goldenCase) run(t *testing.T) string {
	t.Helper()
	before := c.pod.DeepCopy()
	injection, refusal := inject.Pod(&c.pod, c.namespace, c.config, options)
	if !reflect.DeepEqual(before, &c.pod) {
		t.Error("the Pod that was passed in has changed")
	}
	if refusal != nil {
		return fmt.Sprintf("# refused: %s\n", refusal)
	}
	c.checkOperations(t, injection)
	result := apply(t, c.raw, injection)
	if c.pod.Annotations[inject.AnnotationStatus] == "" {
		checkKept(t, "", decodeAny(t, c.raw), decodeAny(t, result))
	}
	pod := decodePod(t, result)
	c.checkTwice(t, &pod)
	checkRestricted(t, &c.pod, &pod)
	checkTokenMounts(t, &pod)
	var b strings.Builder
	for _, warning := range injection.Warnings {
		fmt.Fprintf(&b, "# warning: %s\n", warning)
	}
	text, err := sigsyaml.JSONToYAML(result)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	return b.String()
}

// checkOperations: nothing is ever removed, and only what is ours is replaced.
func (c *goldenCase) checkOperations(t *testing.T, injection *inject.Injection) {
	t.Helper()
	for _, operation := range injection.Operations {
		switch {
		case operation.Op == "add":
		case operation.Op == "replace" && c.pod.Annotations[inject.AnnotationStatus] != "":
			value, err := json.Marshal(operation.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(value, []byte("countersign")) && !bytes.Contains(value, []byte("127.0.0.137")) && !bytes.Contains(value, []byte("::1")) {
				t.Errorf("replaces what is not ours: %s", operation.Path)
			}
		default:
			t.Errorf("%s %s", operation.Op, operation.Path)
		}
	}
}

func apply(t *testing.T, raw []byte, injection *inject.Injection) []byte {
	t.Helper()
	text, err := json.Marshal(injection.Operations)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	result, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("the patch does not apply: %v", err)
	}
	return result
}

// checkTwice: what was injected is as it should be.
func (c *goldenCase) checkTwice(t *testing.T, injected *corev1.Pod) {
	t.Helper()
	again, refusal := inject.Pod(injected, c.namespace, c.config, options)
	if refusal != nil {
		t.Fatalf("injected again it is refused: %v", refusal)
	}
	for _, operation := range again.Operations {
		t.Errorf("injected again it changes: %s %s", operation.Op, operation.Path)
	}
}

// checkKept: every field of the user's is still there with its value, lists in
// their order.
func checkKept(t *testing.T, path string, before, after any) {
	t.Helper()
	switch was := before.(type) {
	case nil:
	case map[string]any:
		is, ok := after.(map[string]any)
		if !ok {
			t.Errorf("%s is no longer an object", path)
			return
		}
		for key, value := range was {
			checkKept(t, path+"/"+key, value, is[key])
		}
	case []any:
		checkListKept(t, path, was, after)
	default:
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s was %v and is %v", path, before, after)
		}
	}
}

func checkListKept(t *testing.T, path string, was []any, after any) {
	t.Helper()
	is, ok := after.([]any)
	if !ok {
		t.Errorf("%s is no longer a list", path)
		return
	}
	next := 0
	for n, item := range was {
		at := slices.IndexFunc(is[next:], func(candidate any) bool { return identity(candidate) == identity(item) })
		if at < 0 {
			t.Errorf("%s/%d is gone or has moved", path, n)
			return
		}
		checkKept(t, fmt.Sprintf("%s/%d", path, n), item, is[next+at])
		next += at + 1
	}
}

func identity(item any) string {
	if object, ok := item.(map[string]any); ok {
		for _, key := range []string{"name", "ip", "containerPort"} {
			if value, has := object[key]; has {
				return fmt.Sprint(value)
			}
		}
	}
	return fmt.Sprint(item)
}

func decodeAny(t *testing.T, raw []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// checkRestricted: injection adds no violation of the restricted level, but for
// what writes the redirect rules.
func checkRestricted(t *testing.T, before, after *corev1.Pod) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	forbidden := func(pod *corev1.Pod) map[string]bool {
		spec := pod.Spec.DeepCopy()
		spec.InitContainers = slices.DeleteFunc(spec.InitContainers, func(c corev1.Container) bool { return c.Name == inject.ContainerRedirect })
		reasons := map[string]bool{}
		for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, spec) {
			if !result.Allowed {
				reasons[result.ForbiddenReason] = true
				if pod == after && strings.Contains(result.ForbiddenDetail, inject.ContainerSidecar) {
					t.Errorf("the sidecar violates %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
		}
		return reasons
	}
	had := forbidden(before)
	for reason := range forbidden(after) {
		if !had[reason] {
			t.Errorf("injection brings a violation: %s", reason)
		}
	}
}

// checkTokenMounts: the token and the CA's key are the sidecar's alone.
func checkTokenMounts(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			if (m.Name == "countersign-token" || m.Name == "countersign-ca-key" || m.Name == "countersign-config") && c.Name != inject.ContainerSidecar {
				t.Errorf("%s mounts %s", c.Name, m.Name)
			}
		}
	}
}
