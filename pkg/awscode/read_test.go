package awscode_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/awscode"
)

func calls(r awscode.Reading) []string {
	var all []string
	for _, c := range r.Calls {
		text := c.Service + ":" + c.Operation
		if c.Region != "" {
			text += "@" + c.Region
		}
		all = append(all, text)
	}
	return all
}

const call = "await call_boto3(service_name=%s, operation_name=%s)\n"

func TestScriptsWhoseCallsAreKnown(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"no call":                         {"1 + 1", nil},
		"one call":                        {`r = await call_boto3(service_name="s3", operation_name="ListBuckets")`, []string{"s3:ListBuckets"}},
		"a Region":                        {`await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name="eu-west-1", params={"Filters": []})`, []string{"ec2:DescribeInstances@eu-west-1"}},
		"an unknown Region":               {`await call_boto3(service_name="ec2", operation_name="DescribeInstances", region_name=str(1))`, []string{"ec2:DescribeInstances@*"}},
		"a name":                          {"s = \"s3\"\n" + fmt.Sprintf(call, "s", `"ListBuckets"`), []string{"s3:ListBuckets"}},
		"two values of a name":            {"s = \"s3\"\nif x := 1:\n    s = \"ec2\"\n" + fmt.Sprintf(call, "s", `"X"`), []string{"ec2:X", "s3:X"}},
		"a loop over Regions":             {"for r in [\"eu-west-1\", \"us-east-1\"]:\n    await call_boto3(service_name=\"s3\", operation_name=\"L\", region_name=r)\n", []string{"s3:L@eu-west-1", "s3:L@us-east-1"}},
		"rows stay together":              {"for s, o in [(\"s3\", \"ListBuckets\"), (\"lambda\", \"ListFunctions\")]:\n    " + fmt.Sprintf(call, "s", "o"), []string{"lambda:ListFunctions", "s3:ListBuckets"}},
		"rows of a named list":            {"rows = [(\"s3\", \"ListBuckets\"), (\"lambda\", \"ListFunctions\")]\nprint(len(rows))\nfor s, o in rows:\n    " + fmt.Sprintf(call, "s", "o"), []string{"lambda:ListFunctions", "s3:ListBuckets"}},
		"a dict's items":                  {"ops = {\"s3\": \"ListBuckets\", \"sqs\": \"ListQueues\"}\nfor s, o in ops.items():\n    " + fmt.Sprintf(call, "s", "o"), []string{"s3:ListBuckets", "sqs:ListQueues"}},
		"a dict of lists and their keys":  {"ops = {\"s3\": [\"A\", \"B\"], \"sqs\": [\"C\"]}\nfor s, os_ in ops.items():\n    for o in os_:\n        " + fmt.Sprintf(call, "s", "o"), []string{"s3:A", "s3:B", "sqs:C"}},
		"lists by their keys":             {"ops = {\"s3\": [\"A\", \"B\"], \"sqs\": [\"C\"]}\nfor s in ops:\n    for o in ops[s]:\n        " + fmt.Sprintf(call, "s", "o"), []string{"s3:A", "s3:B", "sqs:C"}},
		"lists got by their keys":         {"ops = {\"s3\": [\"A\", \"B\"], \"sqs\": [\"C\"]}\nfor s in ops:\n    for o in ops.get(s):\n        " + fmt.Sprintf(call, "s", "o"), []string{"s3:A", "s3:B", "sqs:C"}},
		"rows with lists":                 {"for s, os_ in [(\"s3\", [\"A\", \"B\"]), (\"sqs\", (\"C\",))]:\n    for i, o in enumerate(sorted(os_)):\n        " + fmt.Sprintf(call, "s", "o"), []string{"s3:A", "s3:B", "sqs:C"}},
		"one of two lists of rows":        {"rows = [(\"s3\", \"A\"), (\"s3\", \"B\")]\nif print():\n    rows = [(\"sqs\", \"C\")]\nelif print():\n    rows = [(\"sns\", \"D\")]\nfor s, o in rows:\n    " + fmt.Sprintf(call, "s", "o"), []string{"s3:A", "s3:B", "sns:D", "sqs:C"}},
		"a row that another loop rebinds": {"ops = {\"s3\": [\"A\"], \"sqs\": [\"C\"]}\nfor s, os_ in ops.items():\n    for s in [\"x\", \"y\"]:\n        for o in os_:\n            " + fmt.Sprintf(call, "s", "o"), []string{"x:A", "x:C", "y:A", "y:C"}},
		"a list of an earlier row":        {"ops = {\"s3\": [\"A\"], \"sqs\": [\"C\"]}\nlast = [\"X\"]\nfor s, os_ in ops.items():\n    for o in last:\n        " + fmt.Sprintf(call, "s", "o") + "    for o in os_:\n        pass\n", []string{"s3:X", "sqs:X"}},
		"a dict of lists":                 {"ops = {\"s3\": [\"A\", \"B\"], \"sqs\": [\"C\"]}\nfor s, os_ in ops.items():\n    for o in os_:\n        await call_boto3(service_name=\"s3\", operation_name=o)\n", []string{"s3:A", "s3:B", "s3:C"}},
		"a helper":                        {"async def go(s, o, r=None):\n    return await call_boto3(service_name=s, operation_name=o, region_name=r)\nawait go(\"s3\", \"A\")\nawait go(\"ec2\", o=\"B\", r=\"eu-west-1\")\n", []string{"ec2:B@eu-west-1", "s3:A"}},
		"a gather":                        {"import asyncio\nasync def go(r):\n    return await call_boto3(service_name=\"s3\", operation_name=\"A\", region_name=r)\nawait asyncio.gather(*[go(r) for r in (\"a\", \"b\")])\n", []string{"s3:A@a", "s3:A@b"}},
		"an f-string":                     {"for k in (\"Buckets\", \"Objects\"):\n    " + fmt.Sprintf(call, `"s3"`, `f"List{k}"`), []string{"s3:ListBuckets", "s3:ListObjects"}},
		"percent":                         {fmt.Sprintf(call, `"s3"`, `"List%s" % "Buckets"`), []string{"s3:ListBuckets"}},
		"format":                          {fmt.Sprintf(call, `"s3"`, `"{}{x}".format("List", x="Buckets")`), []string{"s3:ListBuckets"}},
		"a ternary":                       {fmt.Sprintf(call, `"s3"`, `"A" if print() else "B"`), []string{"s3:A", "s3:B"}},
		"a class":                         {"class C:\n    def __init__(self, s):\n        self.s = s\n    async def go(self, o):\n        return await call_boto3(service_name=self.s, operation_name=o)\nc = C(\"s3\")\nawait c.go(\"A\")\n", []string{"s3:A"}},
		"keyword arguments":               {"await call_boto3(**{\"service_name\": \"s3\", \"operation_name\": \"A\"})", []string{"s3:A"}},
		"named ones":                      {"k = dict(service_name=\"s3\", operation_name=\"A\")\nawait call_boto3(**k)", []string{"s3:A"}},
		"a lookup":                        {"t = {\"a\": \"A\", \"b\": \"B\"}\n" + fmt.Sprintf(call, `"s3"`, `t["b"]`), []string{"s3:B"}},
		"a loop that pages":               {"token = None\nwhile True:\n    p = {}\n    if token:\n        p[\"Marker\"] = token\n    r = await call_boto3(service_name=\"s3\", operation_name=\"A\", params=p)\n    token = r.get(\"Marker\")\n    if not token:\n        break\n", []string{"s3:A"}},
		"modules":                         {"import json, re\nfrom datetime import datetime, timedelta\nnow = datetime.now()\nprint(json.dumps({\"a\": now.isoformat()}, default=str), re.sub(\"a\", \"b\", \"c\"))\n", nil},
		"a request":                       {"await make_request(method=\"get\", url=\"https://x/_search\", service_name=\"es\")", []string{"es:GET"}},
		"a script in an f-string's field": {"x = f\"{(await call_boto3(service_name='s3', operation_name='A'))!r:>{10}}\"", []string{"s3:A"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := awscode.Read(c.script)
			if !got.Complete || !slices.Equal(calls(got), c.want) {
				t.Errorf("%+v\n%s", got, c.script)
			}
		})
	}
}

func TestScriptsThatCannotBeRead(t *testing.T) {
	for name, script := range map[string]string{
		"what does not parse":                    "def (",
		"a NUL":                                  "1\x00",
		"bytes that are no UTF-8":                "\xff",
		"another encoding":                       "# -*- coding: latin-1 -*-\n1",
		"too deep":                               strings.Repeat("(", 300) + strings.Repeat(")", 300),
		"an alias":                               "f = call_boto3\n",
		"an argument":                            "print(call_boto3)",
		"a positional argument":                  "await call_boto3(\"s3\", \"A\")",
		"a sink that is bound":                   "def call_boto3(**k): pass\n",
		"a parameter of that name":               "def f(call_boto3): pass\n",
		"getattr":                                "getattr(print, \"x\")",
		"globals":                                "globals()",
		"eval":                                   "eval(\"1\")",
		"a dunder":                               "().__class__",
		"a name of Python's own":                 "__builtins__",
		"a frame":                                "(x for x in []).gi_frame",
		"an unknown name":                        "foo()",
		"the helper module":                      "import aws_mcp",
		"a star import":                          "from json import *",
		"a module as a value":                    "import json\nx = json\n",
		"a module's module":                      "import asyncio\nasyncio.sys",
		"a preloaded module":                     "x = json",
		"a member that is not listed":            "import re\nre.enum",
		"a module that is not listed":            "import os",
		"an attribute that is stored":            "def f(): pass\nf.x = 1\n",
		"type":                                   "type(1)(2)",
		"an operation that is computed":          fmt.Sprintf(call, `"s3"`, `"a".upper()`),
		"an operation of a result":               "r = print()\n" + fmt.Sprintf(call, `"s3"`, "r"),
		"a list that is changed":                 "ops = [\"A\"]\nops.append(\"B\")\nfor o in ops:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"a list with an alias":                   "ops = [\"A\"]\nother = ops\nfor o in ops:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"a list that is passed on":               "def f(x): x.append(\"B\")\nops = [\"A\"]\nf(ops)\nfor o in ops:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"an element that is set":                 "ops = [\"A\"]\nops[0] = \"B\"\nfor o in ops:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"an inner list that is changed":          "t = {\"a\": [\"A\"]}\nfor k, v in t.items():\n    v.append(\"B\")\nfor o in t[\"a\"]:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"an inner list with an alias":            "t = {\"a\": [\"A\"]}\nx = t[\"a\"]\nx.append(\"B\")\nfor o in t[\"a\"]:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"a function that is passed on":           "async def f(o):\n    " + fmt.Sprintf(call, `"s3"`, "o") + "list(map(f, [\"B\"]))\nawait f(\"A\")\n",
		"a function nobody calls":                "async def f(o):\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"a function defined twice":               "async def f(o):\n    " + fmt.Sprintf(call, `"s3"`, "o") + "f = print\nawait f(\"A\")\n",
		"a function with a decorator":            "def d(g): return g\n@d\nasync def f(o):\n    " + fmt.Sprintf(call, `"s3"`, "o") + "await f(\"A\")\n",
		"stars in a call":                        "async def f(o):\n    " + fmt.Sprintf(call, `"s3"`, "o") + "a = [\"B\"]\nawait f(*a)\n",
		"a name that grows":                      "s = \"A\"\nfor i in range(9):\n    s = s + \"B\"\n" + fmt.Sprintf(call, `"s3"`, "s"),
		"an augmented name":                      "s = \"A\"\ns += \"B\"\n" + fmt.Sprintf(call, `"s3"`, "s"),
		"a captured name":                        "match \"x\":\n    case o:\n        " + fmt.Sprintf(call, `"s3"`, "o"),
		"an exception's name":                    "try:\n    pass\nexcept Exception as o:\n    " + fmt.Sprintf(call, `"s3"`, "o"),
		"a global of a function":                 "o = \"A\"\ndef f(x):\n    global o\n    o = x\nf(print())\n" + fmt.Sprintf(call, `"s3"`, "o"),
		"a method with its object":               "class C:\n    async def go(self, o):\n        " + fmt.Sprintf(call, `"s3"`, "o") + "c = C()\nawait c.go(\"A\")\nawait C.go(c, \"B\")\n",
		"an object that is written to":           "class C:\n    def write(self, o):\n        return call_boto3(service_name=\"s3\", operation_name=o)\nc = C()\nc.write(\"A\")\nprint(\"B\", file=c)\n",
		"one that is written to by another name": "class C:\n    def write(self, o):\n        return call_boto3(service_name=\"s3\", operation_name=o)\nc = C()\nc.write(\"A\")\np = print\np(\"B\", file=c)\n",
		"one that is written to by **":           "class C:\n    def write(self, o):\n        return call_boto3(service_name=\"s3\", operation_name=o)\nc = C()\nc.write(\"A\")\nprint(\"B\", **{\"file\": c})\n",
		"a format with a field access":           fmt.Sprintf(call, `"s3"`, `"{0.x}".format("A")`),
		"an unknown argument":                    `await call_boto3(service_name="s3", operation_name="A", client=1)`,
		"no operation":                           `await call_boto3(service_name="s3")`,
		"a name in NFKC":                         "\uff47lobals()",
		"a comment that CR ends":                 "# x\rgetattr(print, \"x\")",
	} {
		t.Run(name, func(t *testing.T) {
			got := awscode.Read(script)
			if got.Complete || got.Reason == "" || got.Line < 1 {
				t.Errorf("%+v\n%s", got, script)
			}
		})
	}
}

// TestStaleValuesDoNotStayInTheirRow: a copy of a loop's name may be of the round
// before.
func TestStaleValuesDoNotStayInTheirRow(t *testing.T) {
	got := awscode.Read("x = \"s3\"\nfor a, b in [(\"s3\", \"A\"), (\"ec2\", \"B\")]:\n    await call_boto3(service_name=x, operation_name=b)\n    x = a\n")
	if want := []string{"ec2:A", "ec2:B", "s3:A", "s3:B"}; !got.Complete || !slices.Equal(calls(got), want) {
		t.Errorf("%+v", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("for s, o in [(\"s3\", \"A\")]:\n    await call_boto3(service_name=s, operation_name=f\"{o}\")\n")
	f.Add("match x:\n case {'a': [b, *c], **d} | C(e=1): pass\nclass A[T]:\n\tasync def f(self, /, *a, k=1, **w): self.x = lambda: (yield)\n")
	f.Add("f'{a!r:>{b}}' rb'x' \"\"\"y\"\"\"\nx: int = y = {**z}\n")
	python := startPython(f)
	f.Fuzz(func(t *testing.T, script string) {
		got := awscode.Read(script)
		if got.Complete != (got.Reason == "") || got.Complete != (got.Cause == "") || !got.Complete && got.Line < 1 {
			t.Fatalf("%+v", got)
		}
		if got.Cause == awscode.CauseReader {
			t.Fatal("the reader fails")
		}
		const maxSteps, oneMore = 200_000, 1_100
		if got.Steps > maxSteps+oneMore {
			t.Fatalf("%d steps", got.Steps)
		}
		if python != nil {
			python.compare(t, script)
		}
	})
}

// TestLongScriptsAreReadInBoundedSteps: each of these is as long as a script may be.
func TestLongScriptsAreReadInBoundedSteps(t *testing.T) {
	fill := func(line string) string { return strings.Repeat(line, (awscode.MaxBytes-2000)/len(line)) }
	const sink = "await call_boto3(service_name=\"s3\", operation_name=x)\n"
	for name, script := range map[string]string{
		"assignments":            fill("x = \"A\"\n") + sink,
		"copies of each other":   fill("x = y\ny = x\n") + sink,
		"sinks":                  "x = \"A\"\n" + fill(sink),
		"a list":                 "t = [" + fill("\"A\",") + "]\nfor x in t:\n    " + sink,
		"uses of a list":         "t = [\"A\"]\nfor x in t:\n    " + sink + fill("len(t)\n"),
		"calls of a function":    "async def f(x):\n    " + sink + fill("f(\"A\")\n"),
		"functions":              fill("def f(x): return x\n"),
		"classes":                fill("class C:\n def f(self, x): self.x = x\n"),
		"a value that doubles":   "x = \"A\"\n" + fill("x = x + x\n") + sink,
		"names of all scopes":    fill("def f():\n global x\n x = 1\n") + sink,
		"lambdas in each other":  strings.Repeat("lambda: ", 150) + "1\n",
		"f-strings":              fill("f'{x:{x}}'\n"),
		"brackets that are open": fill("("),
	} {
		begun := time.Now()
		_ = awscode.Read(script)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s took %v", name, took)
		}
	}
	if got := awscode.Read(strings.Repeat("#", awscode.MaxBytes+1)); got.Complete {
		t.Error("a script that is too long is read")
	}
}

// BenchmarkRead reads a script of 2 KiB as agents write them.
func BenchmarkRead(b *testing.B) {
	code, err := os.ReadFile("testdata/report.py")
	if err != nil {
		b.Fatal(err)
	}
	script := string(code)
	if got := awscode.Read(script); !got.Complete || len(got.Calls) != 5 {
		b.Fatalf("%+v", got)
	}
	b.SetBytes(int64(len(script)))
	b.ReportAllocs()
	for b.Loop() {
		awscode.Read(script)
	}
}
