package yamledit_test

import (
	"strings"
	"testing"

	"github.com/countersign-io/countersign/pkg/yamledit"
)

func read(t *testing.T, text string) ([]*yamledit.Document, []*yamledit.Object) {
	t.Helper()
	documents, err := yamledit.Read(text)
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
	return documents, all
}

func write(t *testing.T, documents []*yamledit.Document) string {
	t.Helper()
	var b strings.Builder
	if err := yamledit.WriteYAML(&b, documents); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatIsNotChangedIsWrittenToTheLetter(t *testing.T) {
	for name, text := range map[string]string{
		"one document":                                   "kind: A\nmetadata: {name: a}   # odd   spacing\n",
		"comments before, between and after":             "# first\n---\nkind: A\n--- # second\nkind: B\n---\n# the end\n",
		"a list in another indentation":                  "kind: A\nitems2:\n    - x\n    - y\n",
		"no newline at the end":                          "kind: A\n---\nkind: B",
		"empty documents":                                "---\n---\nkind: A\n---\n",
		"a block that holds what looks like a separator": "kind: A\ndata:\n  x: |\n    ---\n    y\n",
		"JSON":              `{"kind": "A", "metadata": {"name": "a"}}` + "\n",
		"nothing":           "",
		"Windows line ends": "kind: A\r\n---\r\nkind: B\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			documents, _ := read(t, text)
			if got := write(t, documents); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		})
	}
}

func TestSet(t *testing.T) {
	for name, test := range map[string]struct {
		text, operation, pointer string
		value                    any
		want                     string
	}{
		"a member is added behind the others, comments stay": {
			"kind: A # kind\n# about spec\nspec:\n  a: 1 # one\n", "add", "/spec/b", "2", "kind: A # kind\n# about spec\nspec:\n  a: 1 # one\n  b: \"2\"\n",
		},
		"an item is added at the end": {"kind: A\nl:\n- x # ex\n", "add", "/l/-", "y", "kind: A\nl:\n- x # ex\n- \"y\"\n"},
		"an item is inserted at the front, in the author's indentation": {
			"kind: A\nl:\n  - x\n", "add", "/l/0", map[string]string{"name": "new"}, "kind: A\nl:\n  - name: new\n  - x\n",
		},
		"an item is replaced": {"kind: A\nl: [x, y]\n", "replace", "/l/1", "z", "kind: A\nl:\n- x\n- z\n"},
		"a null gives way":    {"kind: A\nl: null\n", "add", "/l", []string{"x"}, "kind: A\nl:\n- x\n"},
		"an escaped key":      {"kind: A\nm: {}\n", "add", "/m/a~1b~0c", "x", "kind: A\nm:\n  a/b~c: x\n"},
		"text that YAML 1.1 takes for a boolean is quoted": {"kind: A\nm:\n  a: b\n", "add", "/m/c", "yes", "kind: A\nm:\n  a: b\n  c: \"yes\"\n"},
		"what an alias stands for is changed in one place only": {
			"kind: A\nbase: &b\n  x: [1]\nother: *b\n", "add", "/other/x/-", 2, "kind: A\nbase:\n  x: [1]\nother:\n  x:\n  - 1\n  - 2\n",
		},
		"a merged member is changed where it is merged": {
			"kind: A\nbase: &b {x: {y: 1}}\nother:\n  <<: *b\n  z: 3\n", "add", "/other/x/w", 2,
			"kind: A\nbase: {x: {y: 1}}\nother:\n  z: 3\n  x:\n    y: 1\n    w: 2\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			documents, objects := read(t, test.text)
			if err := objects[0].Set(test.operation, test.pointer, test.value); err != nil {
				t.Fatal(err)
			}
			if got := write(t, documents); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestSetRefusesAPlaceThatIsNotThere(t *testing.T) {
	for _, pointer := range []string{"/none/x", "/l/2", "/l/x", "/s/x", "/l/-1"} {
		_, objects := read(t, "kind: A\nl: [x]\ns: text\n")
		if err := objects[0].Set("add", pointer, "v"); err == nil {
			t.Errorf("%s was accepted", pointer)
		}
	}
}

func TestReadRefusesWhatIsNoManifest(t *testing.T) {
	for name, text := range map[string]string{
		"broken YAML":           "kind: [A\n",
		"an alias of itself":    "kind: A\na: &a [*a]\n",
		"aliases without bound": "kind: A\na: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := yamledit.Read(text); err == nil {
				t.Error("it was accepted")
			}
		})
	}
	for name, text := range map[string]string{"a list": "- a\n", "a scalar": "text\n", "no kind": "metadata: {name: a}\n", "a kind that is no text": "kind: [a]\n"} {
		t.Run(name, func(t *testing.T) {
			documents, err := yamledit.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := documents[0].Objects(); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

func TestEveryDocumentIsFound(t *testing.T) {
	for name, text := range map[string]string{
		"Windows line ends":           "kind: A\r\n---\r\nkind: B\r\n",
		"content behind the dashes":   "kind: A\n--- {kind: B}\n",
		"a comment behind the dashes": "--- # first\nkind: A\n---\t# second\nkind: B\n",
		"a document with an end":      "kind: A\n...\n---\nkind: B\n...\n",
	} {
		t.Run(name, func(t *testing.T) {
			documents, objects := read(t, text)
			if len(objects) != 2 || objects[0].Kind != "A" || objects[1].Kind != "B" {
				t.Errorf("found %v", objects)
			}
			if got := write(t, documents); got != text {
				t.Errorf("written: %q", got)
			}
		})
	}
	if _, err := yamledit.Read("kind: A\n...\nkind: B\n"); err == nil {
		t.Error("a document that would be lost was accepted")
	}
}

func TestPodTemplatesAreFoundByTheirShape(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a Pod":                  {"kind: Pod\nspec: {containers: []}\n", "."},
		"a Deployment":           {"kind: Deployment\nspec: {template: {spec: {containers: []}}}\n", "spec/template"},
		"a CronJob":              {"kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: []}}}}}\n", "spec/jobTemplate/spec/template"},
		"a PodTemplate":          {"kind: PodTemplate\ntemplate: {spec: {containers: []}}\n", "template"},
		"a kind of somebody's":   {"kind: Rollout\nspec: {template: {spec: {containers: []}}}\n", "spec/template"},
		"templates in a list":    {"kind: RayCluster\nspec: {headGroupSpec: {template: {spec: {containers: []}}}, workerGroupSpecs: [{template: {spec: {containers: []}}}, {template: {spec: {containers: []}}}]}\n", "spec/headGroupSpec/template spec/workerGroupSpecs/0/template spec/workerGroupSpecs/1/template"},
		"a leader and workers":   {"kind: LeaderWorkerSet\nspec: {leaderWorkerTemplate: {leaderTemplate: {spec: {containers: []}}, workerTemplate: {spec: {containers: []}}}}\n", "spec/leaderWorkerTemplate/leaderTemplate spec/leaderWorkerTemplate/workerTemplate"},
		"a template of no Pod":   {"kind: ExternalSecret\nspec: {template: {data: {}}}\n", ""},
		"containers of no Pod":   {"kind: Policy\nspec: {containers: {a: b}}\n", ""},
		"an alias of a template": {"kind: X\na: &t {spec: {containers: []}}\nb: *t\n", "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, objects := read(t, test.text)
			var found []string
			for _, path := range objects[0].PodTemplates() {
				joined := strings.Join(path, "/")
				if joined == "" {
					joined = "."
				}
				found = append(found, joined)
			}
			if got := strings.Join(found, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"kind: A\n---\nkind: B\n", "a: &a [1]\nb: *a\n", "{\"kind\": \"List\", \"items\": [{\"kind\": \"Pod\"}]}", "x: |\n  ---\n", "<<: {kind: A}\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		documents, err := yamledit.Read(text)
		if err != nil {
			return
		}
		for _, d := range documents {
			objects, err := d.Objects()
			if err != nil {
				continue
			}
			for _, o := range objects {
				o.PodTemplates()
				o.Annotated("x")
				var value any
				_ = o.Decode(&value)
				_ = o.Set("add", "/metadata/annotations/x", "y")
			}
		}
		var b strings.Builder
		_ = yamledit.WriteYAML(&b, documents)
	})
}
