package awscode_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/pkg/awscode"
)

// rule says of scripts which calls are seen in them; refused are incomplete.
type rule struct {
	seen    map[string]string
	refused []string
}

func (r rule) check(t *testing.T) {
	t.Helper()
	for script, want := range r.seen {
		got := awscode.Read(script)
		if seen := strings.Join(calls(got), " "); !got.Complete || seen != want {
			t.Errorf("sees %q, complete %v (line %d: %s), want %q\n%s", seen, got.Complete, got.Line, got.Reason, want, script)
		}
	}
	for _, script := range r.refused {
		if got := awscode.Read(script); got.Complete || got.Reason == "" || got.Line < 1 {
			t.Errorf("%+v\n%s", got, script)
		}
	}
}

// do is a call of S3 with an operation that is an expression.
func do(operation string) string { return fmt.Sprintf(call, `"s3"`, operation) }

// indented puts lines into a block.
func indented(lines string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n    ") + "\n"
}

func TestLinesEndAsPythonEndsThem(t *testing.T) {
	rule{
		seen: map[string]string{
			"# a comment\r" + do(`"A"`):                         "s3:A",
			"x = 1\r\n" + do(`"A"`):                             "s3:A",
			"# \u2028 \u0085 \v " + do(`"A"`):                   "",
			"if 1:\n  x = 1\n\fy = 2\n" + do(`"A"`):             "s3:A",
			"\ufeff# -*- coding: utf-8 -*-\n" + do(`"A"`):       "s3:A",
			"#!/usr/bin/python\n# vim: set coding=UTF-8 :\n1":   "",
			"1\n2\n# -*- coding: latin-1 -*-\n":                 "",
			"x = (1,\n  2)\ny = 1 + \\\n  2\n" + do(`"A"`):      "s3:A",
			"x = 'a' \"b\" '''c\n'''\n" + do(`"A" 'B' """C"""`): "s3:ABC",
			do(`"\x41\u0042\103"`) + do(`r"A"`) + do(`u"B"`):    "s3:A s3:ABC s3:B",
			do(`f"{'A'}{"B"}"`) + do(`f'''{f"{'C'}"}'''`):       "s3:AB s3:C",
			do(`f"A{{B}}"`): "s3:A{B}",
			"async def f(a, /, b=1, *c, d, e=2, **g) -> int: pass": "",
			"type X[T] = list[T]\nclass C[T]: pass\n":              "",
		},
		refused: []string{
			"x = 1\x00", "# coding: latin-1\n1", "\n# -*- coding: cp1252 -*-\n", "\xff", "if 1:\nx = 1\n", "if 1:\n\tx = 1\n    y = 2\n", "x = '\n'", "f'{'", "(]", "x = 08\n",
			strings.Repeat("[", 201) + strings.Repeat("]", 201),
		},
	}.check(t)
}

func TestNamesAreComparedInNFKC(t *testing.T) {
	rule{
		seen:    map[string]string{"ｓ = \"A\"\n" + do("s"): "s3:A", "await ｃall_boto3(service_name='s3', ｏperation_name='A')": "s3:A"},
		refused: []string{"ｅval('1')", "x = ().__ｃlass__", "def ｃall_boto3(): pass\n"},
	}.check(t)
}

func TestTheWaysOutAreOnlyCalled(t *testing.T) {
	rule{
		seen: map[string]string{do(`"A"`): "s3:A", "t = [call_boto3(service_name='s3', operation_name=o) for o in ('A', 'B')]\n": "s3:A s3:B"},
		refused: []string{
			"f = call_boto3\n", "f = (call_boto3,)\n", "print(call_boto3)\n", "del call_boto3\n", "call_boto3 = 1\n", "call_boto3: int\n", "import json as call_boto3\n",
			"def f(call_boto3): pass\n", "def call_boto3(): pass\n", "class call_boto3: pass\n", "for call_boto3 in []: pass\n", "lambda make_request: 1\n", "x.call_boto3(a=1)\n",
			"def f():\n    return make_request\n", "call_boto3('s3', 'A')\n", "call_boto3(*a)\n", "await (call_boto3)(service_name='s3')\n", "call_boto3.__call__(service_name='s3')\n",
			"try:\n    pass\nexcept Exception as call_boto3:\n    pass\n", "match 1:\n    case call_boto3: pass\n", "global call_boto3\n", "from json import loads as make_request\n",
		},
	}.check(t)
}

func TestLoadedNamesAreBoundOrListed(t *testing.T) {
	rule{
		seen: map[string]string{
			"x = 1\nprint(len(str(x)), sorted([1]), max(1, 2), isinstance(x, int), ValueError, True, None, ...)\n":               "",
			"asyncio.sleep(1), json.dumps(1), datetime.datetime, re.compile('a'), math.pi, time.time(), collections.Counter()\n": "",
		},
		refused: []string{
			"globals()\n", "locals()\n", "vars()\n", "getattr(1, 'a')\n", "setattr(1, 'a', 2)\n", "delattr(1, 'a')\n", "eval('1')\n", "exec('1')\n", "compile('1', '', 'eval')\n", "open('x')\n",
			"input()\n", "dir()\n", "help()\n", "super()\n", "object()\n", "property()\n", "breakpoint()\n", "__import__('os')\n", "__builtins__\n", "__name__\n", "aws_mcp\n", "nonesuch\n", "os\n", "memoryview\n",
			"eval = 1\n", "def globals(): pass\n", "boto3\n",
		},
	}.check(t)
}

func TestTypeIsOnlyAskedForItsName(t *testing.T) {
	rule{
		seen:    map[string]string{"print(type(1).__name__)\n": "", "try:\n    pass\nexcept Exception as e:\n    print(type(e).__name__)\n": ""},
		refused: []string{"type(1)\n", "type('C', (), {})\n", "t = type\n", "type(1).__mro__\n", "type(1).mro()\n", "type(1, 2, 3).__name__\n", "x._private\n", "().__class__\n", "'{0._x}'.__format__\n"},
	}.check(t)
}

func TestAttributesNeverReachFrames(t *testing.T) {
	var refused []string
	for _, attribute := range []string{
		"f_globals", "f_back", "gi_frame", "gi_code", "cr_frame", "cr_await", "ag_frame", "tb_frame", "tb_next", "co_consts", "get_stack", "print_stack", "current_task",
		"all_tasks", "get_coro", "get_loop", "sys", "os", "builtins", "modules", "subprocess", "with_traceback", "mro", "attrgetter", "methodcaller",
	} {
		refused = append(refused, "x = [1]\nx."+attribute+"\n", "import asyncio\nasyncio."+attribute+"\n")
	}
	rule{seen: map[string]string{"x = {}\nx.get('a'), x.items(), 'a'.upper().split(','), [].append(1)\n": ""}, refused: refused}.check(t)
}

func TestImportsAreListed(t *testing.T) {
	rule{
		seen: map[string]string{
			"import json, re\nimport math as m\njson.loads('1'), re.sub('a', 'b', 'c'), m.sqrt(2)\n": "", "from datetime import datetime, timedelta as delta\ndelta(days=1), datetime.now()\n": "",
			"from collections import defaultdict, Counter\nfrom typing import Any, Optional\nx: Optional[Any] = None\n": "", "import asyncio\nawait asyncio.gather()\n": "",
		},
		refused: []string{
			"import os\n", "import sys\n", "import boto3\n", "import aws_mcp\n", "from aws_mcp import x\n", "import urllib.request\n", "from json import *\n", "from . import x\n", "from .x import y\n",
			"from asyncio import current_task\n", "from json import codecs\n", "import json\nx = json\n", "import json\nprint(json)\n", "import json as j\nj.decoder\n", "import operator\n", "import functools\nfunctools.partial\n",
			"import pickle\n", "import inspect\n", "import importlib\n", "import ctypes\n", "import types\n",
		},
	}.check(t)
}

func TestAttributesAreStoredOnSelfOnly(t *testing.T) {
	const simple = "class C:\n    def __init__(self, x):\n        self.x = x\n    def go(self):\n        self.y = self.x\n"
	rule{
		seen: map[string]string{simple + "c = C(1)\nc.go()\n": ""},
		refused: []string{
			simple + "c = C(1)\nc.x = 2\n", "import json\njson.x = 1\n", "class C(list):\n    def go(self):\n        self.x = 1\n", "class C(metaclass=int):\n    def go(self):\n        self.x = 1\n",
			"class C:\n    def go(self):\n        self.x = 1\n    def __getattr__(self, n):\n        return n\n", "def d(c): return c\n@d\nclass C:\n    def go(self):\n        self.x = 1\n",
			"class C:\n    def go(self):\n        del self.x\n", "class C:\n    def go(self, other):\n        other.x = 1\n", "class C:\n    def go(self):\n        self = [1]\n        self.x = 1\n",
		},
	}.check(t)
}

func TestNamesHavePythonsScopes(t *testing.T) {
	rule{
		seen: map[string]string{
			"o = \"A\"\ndef f():\n    o = \"B\"\n" + do("o"):                                             "s3:A",
			"o = \"A\"\nasync def f():\n" + indented(do("o")):                                            "s3:A",
			"o = \"A\"\nclass C:\n    o = \"B\"\n    async def f(self):\n" + indented(indented(do("o"))): "s3:A",
			"[o for o in (\"B\",)]\no = \"A\"\n" + do("o"):                                               "s3:A",
			"def f():\n    global o\n    o = \"B\"\no = \"A\"\nf()\n" + do("o"):                          "s3:A s3:B",
			"def f():\n    o = \"A\"\n    def g():\n        nonlocal o\n        o = \"B\"\n    g()\n" + indented("call_boto3(service_name=\"s3\", operation_name=o)\n"): "s3:A s3:B",
			"[(o := \"A\") for x in (1,)]\n" + do("o"): "s3:A",
		},
	}.check(t)
}

func TestANameHasTheUnionOfItsBindings(t *testing.T) {
	rule{
		seen: map[string]string{
			"o = \"A\"\n" + do("o") + "o = \"B\"\n":                      "s3:A s3:B",
			"if False:\n    o = \"B\"\nelse:\n    o = \"A\"\n" + do("o"): "s3:A s3:B",
			"o: str = \"A\"\n" + do("o"):                                 "s3:A",
			"a = b = \"A\"\n" + do("a"):                                  "s3:A",
			"a, (b, c) = \"A\", (\"B\", \"C\")\n" + do("c"):              "s3:C",
			"if (o := \"A\"):\n" + indented(do("o")):                     "s3:A",
			"async def f(o=\"A\"):\n" + indented(do("o")) + "f()\n":      "s3:A",
			"for o in (\"A\", \"B\"):\n    pass\n" + do("o"):             "s3:A s3:B",
		},
	}.check(t)
}

func TestWhatGivesNoKnownValue(t *testing.T) {
	rule{refused: []string{
		"o = \"A\"\no += \"B\"\n" + do("o"), "o = \"A\"\ndel o\no = print()\n" + do("o"), "with x() as o:\n" + indented(do("o")), "import json\nwith json.loads('1') as o:\n" + indented(do("o")),
		"try:\n    pass\nexcept Exception as o:\n" + indented(do("o")), "match \"A\":\n    case str() as o:\n" + indented(indented(do("o"))), "async def g():\n    yield \"A\"\nasync for o in g():\n" + indented(do("o")),
		"first, *rest = (\"A\", \"B\")\n" + do("first"), "*o, = (\"A\",)\n" + do("o"), "from json import loads as o\n" + do("o"), "async def f(*o):\n" + indented(do("o")) + "f(\"A\")\n",
		"async def f(**o):\n" + indented(do("o")) + "f(a=\"A\")\n", "def o(): pass\n" + do("o"), "class o: pass\n" + do("o"), "def f[o](): pass\n" + do("o"), "o: str\n" + do("o"),
	}}.check(t)
}

func TestALoopsTargetHasTheLoopsValues(t *testing.T) {
	loop := "o = \"X\"\nfor o in (\"A\", \"B\"):\n"
	rule{
		seen: map[string]string{
			loop + indented(do("o")):                                                                          "s3:A s3:B",
			loop + indented("o = \"Y\"\n"+do("o")):                                                            "s3:A s3:B s3:X s3:Y",
			loop + indented("async def f():\n"+indented(do("o"))+"await f()\n"):                               "s3:A s3:B s3:X",
			"o = \"X\"\ndef g():\n    global o\n    o = \"Z\"\n" + "for o in (\"A\",):\n" + indented(do("o")): "s3:A s3:X s3:Z",
			"[await call_boto3(service_name=\"s3\", operation_name=o) for o in (\"A\", \"B\")]\n":             "s3:A s3:B",
		},
	}.check(t)
}

func TestCyclesOfCopiesAddNothing(t *testing.T) {
	rule{
		seen:    map[string]string{"a = \"A\"\nwhile 1:\n    b = a\n    a = b\n" + do("a"): "s3:A", "def f(x):\n    return call_boto3(service_name=\"s3\", operation_name=x), f(x)\nf(\"A\")\n": "s3:A"},
		refused: []string{"a = \"A\"\nwhile 1:\n    a = a + \"A\"\n" + do("a"), "a = \"A\"\nwhile 1:\n    b = f\"{a}x\"\n    a = b\n" + do("a"), "a = b\nb = a\n" + do("a") + "def f(x):\n" + indented(do("x"))},
	}.check(t)
}

func TestValuesThatAreFollowed(t *testing.T) {
	rule{
		seen: map[string]string{
			do(`"A" + "B"`): "s3:AB", do(`"%s%s" % ("A", "B")`): "s3:AB", do(`"A%s" % "B"`): "s3:AB", do(`"{}{}".format("A", "B")`): "s3:AB", do(`"{1}{0}".format("B", "A")`): "s3:AB",
			do(`"{a}{b}".format(a="A", b="B")`): "s3:AB", do(`f"{'A'}{'B'!s}{1}{True}{None}"`): "s3:AB1TrueNone", do(`"A" if print() else "B"`): "s3:A s3:B",
			do(`"A" or "B"`): "s3:A s3:B", do(`("A", "B")[print()]`): "s3:A s3:B",
		},
		refused: []string{
			do(`f"{'A'!r}"`), do(`f"{'A':>4}"`), do(`f"{'A'=}"`), do(`"%r" % "A"`), do(`"%5s" % "A"`), do(`"{0.x}".format("A")`), do(`"{0[0]}".format("A")`), do(`"{:>4}".format("A")`), do(`"A" * 2`), do(`b"A"`), do(`"\N{LATIN SMALL LETTER A}"`),
			do(`"A" - "B"`), do(`print() and "A" or "B"`),
		},
	}.check(t)
}

func TestNoOtherMethodOrOperatorIsFollowed(t *testing.T) {
	rule{refused: []string{
		do(`"a".upper()`), do(`"aB".swapcase()`), do(`"".join(["A", "B"])`), do(`"xA".lstrip("x")`), do(`"A,B".split(",")[0]`), do(`"AB"[0]`), do(`"BA"[::-1]`), do(`"xA".replace("x", "")`),
		do(`str("A")`), do(`chr(65)`), do(`bytes([65]).decode()`), do(`"A".format_map({})`), do(`max("A", "B")`), do(`(lambda: "A")()`), do(`await print()`),
	}}.check(t)
}

func TestRowsStayTogether(t *testing.T) {
	two := `[("s3", "ListBuckets"), ("lambda", "ListFunctions")]`
	sink := fmt.Sprintf(call, "s", "o")
	want := "lambda:ListFunctions s3:ListBuckets"
	rule{
		seen: map[string]string{
			"for s, o in " + two + ":\n" + indented(sink): want, "rows = " + two + "\nfor s, o in rows:\n" + indented(sink): want,
			"for s, o in {\"s3\": \"ListBuckets\", \"lambda\": \"ListFunctions\"}.items():\n" + indented(sink):         want,
			"async def f(s, o):\n" + indented(sink) + "f(\"s3\", \"ListBuckets\")\nf(\"lambda\", \"ListFunctions\")\n": want,
			"async def f(s, o):\n" + indented(sink) + "for a, b in " + two + ":\n    f(a, b)\n":                        want,
			"for i, (s, o) in enumerate(" + two + "):\n" + indented(sink):                                              want,
			"for s in (\"s3\", \"ec2\"):\n    for o in (\"A\", \"B\"):\n" + indented(indented(sink)):                   "ec2:A ec2:B s3:A s3:B",
			"[call_boto3(service_name=s, operation_name=o) for s, o in " + two + "]\n":                                 want,
		},
		refused: []string{"for s in (" + strings.Repeat("\"a\", ", 40) + "):\n    for o in (" + numbered(40) + "):\n" + indented(indented(sink))},
	}.check(t)
}

// numbered are n strings.
func numbered(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("\"O%d\"", i))
	}
	return strings.Join(all, ", ")
}

func TestCollectionsAreKnownByTheirUses(t *testing.T) {
	list, loop := "t = [\"A\", \"B\"]\n", "for o in t:\n"+indented(do("o"))
	table := "t = {\"a\": \"A\", \"b\": \"B\"}\n"
	seen, refused := map[string]string{}, []string{}
	for _, use := range []string{"len(t)", "sorted(t)", "list(t)", "tuple(t)", "set(t)", "\"A\" in t", "\"A\" not in t", "t[0]", "for x in t: pass", "[x for x in t]", "enumerate(t)", ""} {
		seen[list+use+"\n"+loop] = "s3:A s3:B"
	}
	for _, use := range []string{
		"t.append(\"C\")", "t.extend([1])", "t[0] = \"C\"", "del t[0]", "x = t", "print(t)", "f(t)", "t += [1]", "x = [t]", "x = (t, 1)", "(lambda: t)()", "reversed(t)", "t.sort()", "t.copy()", "x = {1: t}", "x = t or 1", "t * 2", "f\"{t}\"",
		"list(map(print, t))", "zip(t, t)", "assert t == 1",
	} {
		refused = append(refused, "def f(x): pass\n"+list+use+"\n"+loop)
	}
	for _, use := range []string{"t[\"a\"]", "t.get(\"a\")", "t.get(\"a\", \"A\")"} {
		seen[table+do(use)] = "s3:A"
	}
	seen[table+"for k, v in t.items():\n"+indented(do("v"))] = "s3:A s3:B"
	seen[table+"for v in t.values():\n"+indented(do("v"))] = "s3:A s3:B"
	seen[table+"for k in t.keys():\n"+indented(do("t[k]"))] = "s3:A s3:B"
	seen[table+"for k in t:\n"+indented(do("k"))] = "s3:a s3:b"
	seen["t = dict(a=\"A\")\n"+do("t[\"a\"]")] = "s3:A"
	refused = append(
		refused, table+"t.update(a=1)\n"+do("t[\"a\"]"), table+"t.setdefault(\"c\", 1)\n"+do("t[\"a\"]"), table+"t.pop(\"a\")\n"+do("t[\"a\"]"), table+"i = t.items()\n"+do("t[\"a\"]"),
		"t = dict([(\"a\", \"A\")])\n"+do("t[\"a\"]"), "x = [1]\nt = [*x, \"A\"]\n"+loop, "x = {}\nt = {**x, \"a\": \"A\"}\n"+do("t[\"a\"]"), "t = list((\"A\",))\nt.append(1)\n"+loop, "t = [[\"A\"]]\nt[0].append(\"B\")\nfor x in t:\n    for o in x:\n"+indented(indented(do("o"))),
	)
	rule{seen: seen, refused: refused}.check(t)
}

func TestParametersHaveTheArgumentsOfAllCalls(t *testing.T) {
	f := "async def f(o, p=\"P\"):\n" + indented(do("o")+do("p"))
	rule{
		seen: map[string]string{
			f + "f(\"A\")\nf(o=\"B\", p=\"Q\")\n": "s3:A s3:B s3:P s3:Q", f + "import asyncio\nasyncio.gather(f(\"A\"), f(\"B\"))\n": "s3:A s3:B s3:P",
			"async def f(o, *rest, **more):\n" + indented(do("o")) + "f(\"A\", 1, x=2)\n": "s3:A",
		},
		refused: []string{
			f, f + "g = f\nf(\"A\")\n", f + "f(\"A\")\nmap(f, [\"B\"])\n", f + "f(*[\"A\"])\n", f + "f(**{\"o\": \"A\"})\n", f + "f(\"A\")\nf = print\n", f + "f(\"A\")\n" + f, "def d(x): return x\n@d\n" + f + "f(\"A\")\n",
			f + "f(\"A\")\nf.__defaults__\n", f + "f(\"A\")\nf(print())\n",
		},
	}.check(t)
}

func TestMethodsAreFollowedByTheirNames(t *testing.T) {
	c := "class C:\n    def __init__(self, s):\n        self.s = s\n    async def go(self, o):\n        await call_boto3(service_name=self.s, operation_name=o)\n"
	rule{
		seen: map[string]string{c + "C(\"s3\").go(\"A\")\n": "s3:A", c + "a, b = C(\"s3\"), C(\"ec2\")\na.go(\"A\")\nb.go(\"B\")\n": "ec2:A ec2:B s3:A s3:B"},
		refused: []string{
			c + "c = C(\"s3\")\ng = c.go\nc.go(\"A\")\n", c + "c = C(\"s3\")\nc.go(\"A\")\nprint(C.go)\n", c + "    go2 = go\nC(\"s3\").go(\"A\")\n", c + "    s = \"ec2\"\nC(\"s3\").go(\"A\")\n",
			c + "class D:\n    @property\n    def s(self):\n        return 1\nC(\"s3\").go(\"A\")\n", c + "C(print()).go(\"A\")\n", c + "class D:\n    def go(self, o):\n        return o\nC(\"s3\").go(\"A\")\nD().go(print())\n",
		},
	}.check(t)
}

func TestWhatEachCallGives(t *testing.T) {
	rule{
		seen: map[string]string{
			`call_boto3(service_name="s3", operation_name="A", region_name="eu-west-1", params={"a": 1})`: "s3:A@eu-west-1",
			`call_boto3(service_name=None, operation_name="A")`:                                           "",
			"s = None\ns = s or \"s3\"\ncall_boto3(service_name=s, operation_name=\"A\")":                 "s3:A",
			`call_boto3(service_name="s3", operation_name="A", region_name=None)`:                         "s3:A",
			`call_boto3(service_name="s3", operation_name="A", region_name=str(1))`:                       "s3:A@*",
			`call_boto3(service_name="s3", operation_name="A", params=print())`:                           "s3:A",
			`make_request(method="get", url=print(), service_name="es", headers={})`:                      "es:GET",
			`call_boto3(**{"service_name": "s3", "operation_name": "A"}, region_name="eu-west-1")`:        "s3:A@eu-west-1",
		},
		refused: []string{
			`call_boto3(service_name="s3")`, `call_boto3(operation_name="A")`, `call_boto3(service_name="s3", operation_name=1)`, `call_boto3(service_name="s3", operation_name="A", endpoint_url="x")`,
			`call_boto3(service_name="s3", operation_name="A", **print())`, `make_request(service_name="es", url="x")`, `make_request(method="GET", url="x")`,
		},
	}.check(t)
	got := awscode.Read(`call_boto3(service_name="s3", operation_name="A", params={"Key": 1, "VersionId": 2})`)
	if c := got.Calls[0]; !c.MayHave("VersionId") || c.MayHave("Version") || c.Line != 1 {
		t.Errorf("%+v", c)
	}
	for _, params := range []string{"print()", "{**{}}", "{str(1): 1}", "p"} {
		got := awscode.Read("p = {}\ncall_boto3(service_name='s3', operation_name='A', params=" + params + ")")
		if !slices.ContainsFunc(got.Calls, func(c awscode.Call) bool { return c.MayHave("anything") }) {
			t.Errorf("params=%s: %+v", params, got)
		}
	}
}

// TestTricksThatOnceWorked are scripts that a reviewer had called complete, and that
// made another call.
func TestTricksThatOnceWorked(t *testing.T) {
	b := func(operation string) string {
		return "await call_boto3(service_name=\"s3\", operation_name=" + operation + ")\n"
	}
	evil := "def evil(r):\n    r[1] = \"DeleteBucket\"\n    return 0\n"
	object := "class C:\n    async def %s(self, o=\"ListBuckets\", **k):\n        return call_boto3(service_name=\"s3\", operation_name=o)\no = C()\no.%[1]s(\"ListBuckets\")\n"
	rule{refused: []string{
		"class C: pass\nmatch C():\n    case C(__reduce_ex__=r): x = r\n", "match 1:\n    case int(gi_frame=g): pass\n",
		"class C:\n    async def go(self, o):\n        " + b("o") + "c = C()\nc.go(\"A\")\nmatch c:\n    case C(go=g): g(\"B\")\n",
		"re = (\n re\n)\nre.enum\n", "class re:\n    x = re\n", "type = (\n type\n)\ntype(1)\n", "def g():\n    def f[re](): pass\n    return re\n", "def g():\n    (re): int\n    return re\n",
		"x = y = [\"ListBuckets\"]\ny[0] = \"DeleteBucket\"\n" + b("x[0]"), "(a, b) = c = ([\"ListBuckets\"], 1)\nc[0][0] = \"DeleteBucket\"\n" + b("a[0]"), "y = (x := [\"ListBuckets\"])\ny[0] = \"DeleteBucket\"\n" + b("x[0]"),
		"rows = [[\"ListBuckets\"]]\nrows[0:1][0][0] = \"DeleteBucket\"\n" + b("rows[0][0]"), "d = {\"a\": [[\"ListBuckets\"]]}\nd.get(\"a\")[:][0][0] = \"DeleteBucket\"\n" + b("d[\"a\"][0][0]"),
		evil + "for s, o in sorted([[\"s3\", \"ListBuckets\"]], key=evil):\n    " + b("o"), evil + "rows = [[\"s3\", \"ListBuckets\"]]\nfor s, o in sorted(rows, key=evil):\n    " + b("o"),
		evil + "d = {\"a\": [\"s3\", \"ListBuckets\"]}\nfor k, r in sorted(d.items(), key=evil):\n    " + b("r[1]"),
		"class C:\n    async def m(self):\n        " + b("self.stop") + "await C.m(slice(\"DeleteBucket\"))\n", "class C:\n    def m(self):\n        return self.stop\n    x = m(1)\n    def n(self):\n        self.stop = \"A\"\n        " + b("self.stop"),
		"class Outer:\n    class C:\n        async def m(self, o):\n            " + b("o") + "    c = C()\nOuter.c.m(\"ListBuckets\")\nOuter.C.m(0, \"DeleteBucket\")\n",
		"class C:\n    rows = [\"ListBuckets\"]\n    gen = (call_boto3(service_name=\"s3\", operation_name=o) for o in rows)\nC.rows[0] = \"DeleteBucket\"\n",
		fmt.Sprintf(object, "encode") + "json.dumps(1, cls=lambda **kw: o)\n", fmt.Sprintf(object, "acquire") + "async with asyncio.Condition(o): pass\n", fmt.Sprintf(object, "keys") + "dict(o)\n",
		fmt.Sprintf(object, "keys") + "x = {**o}\n", fmt.Sprintf(object, "keys") + "def g(**k): pass\ng(**o)\n", fmt.Sprintf(object, "as_integer_ratio") + "import statistics\nstatistics.mean([o])\n",
		fmt.Sprintf(object, "run") + "asyncio.create_task(o, context=o)\n",
		"DeleteBucket = \"ListBuckets\"\nclass C:\n    async def m[DeleteBucket](self):\n        " + b("f\"{DeleteBucket}\"") + "await C().m()\n",
	}, seen: map[string]string{
		"for d in ({}, {\"region_name\": \"us-east-1\"}):\n    await call_boto3(service_name=\"s3\", operation_name=\"A\", **d, **{\"region_name\": \"eu-west-1\"})\n":            "s3:A@*",
		"op = \"DeleteBucket\"\ndef g():\n    op = \"ListBuckets\"\n    class C:\n        c = call_boto3(service_name=\"s3\", operation_name=op)\n        op = \"ListBuckets\"\n": "s3:DeleteBucket s3:ListBuckets",
		"for k in (\"a\", \"b\"):\n    d = {k: \"ListBuckets\"}\n    " + b("d.get(\"a\", \"DeleteBucket\")"):                                                                      "s3:DeleteBucket s3:ListBuckets",
	}}.check(t)
}

func TestWhatTakesLongIsCountedInSteps(t *testing.T) {
	var names, keywords strings.Builder
	for n := range 8_000 {
		fmt.Fprintf(&names, "a%d,", n)
		fmt.Fprintf(&keywords, "a%d=1,", n)
	}
	for name, script := range map[string]string{
		"many parameters":   "def f(" + names.String() + "): pass\nf(" + keywords.String() + ")\n" + do("f"),
		"many imports":      strings.Repeat("import re\n", 10_000) + strings.Repeat("re.A\n", 10_000),
		"many uses":         "r = [" + strings.Repeat("[],", 20_000) + "]\n" + strings.Repeat("r[0]\n", 10_000) + "for o in r:\n    " + do("o"),
		"many keywords":     "print(" + keywords.String() + ")\n",
		"many targets":      strings.Repeat("x=[]\n", 10_000) + "for " + names.String() + " in x: pass\no = x[0]\n" + do("o"),
		"many objects":      "class C: pass\n" + strings.Repeat("c=C()\n", 20_000) + strings.Repeat("c.a\n", 20_000),
		"one long target":   "class C: pass\n" + strings.Repeat("a,", 20_000) + "=" + strings.Repeat("C(),", 20_000) + "\n",
		"names in a circle": circle(2_000),
	} {
		begun := time.Now()
		_ = awscode.Read(script)
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	if r := awscode.Read("x." + strings.Repeat("_", 100_000)); len(r.Reason) > 1_000 {
		t.Errorf("a reason of %d bytes", len(r.Reason))
	}
}

// circle are names each of which is the next one's.
func circle(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d = a%d\n", i, (i+1)%n)
	}
	return b.String() + do("a0")
}

func TestAReasonNamesWhatToMend(t *testing.T) {
	for script, want := range map[string]string{
		`call_boto3("s3", "ListBuckets")`:                               "call_boto3 is used otherwise than in a call with keyword arguments",
		`call_boto3(service="s3", operation="ListBuckets")`:             "the argument service of the call is not known",
		`call_boto3(service_name="s3")`:                                 "the call has no operation_name",
		`call_boto3(service_name=str(1), operation_name="ListBuckets")`: "service_name of the call is not a constant, nor can it be followed to constants",
		`call_boto3(service_name="s3", operation_name="a".upper())`:     "operation_name of the call is not a constant, nor can it be followed to constants",
		`make_request(url="x", service_name="es")`:                      "the call has no method",
	} {
		if got := awscode.Read(script); got.Complete || got.Reason != want {
			t.Errorf("%s: %s", script, got.Reason)
		}
	}
}

// TestNoScriptMakesTheReaderFail: a fault would be caught, and be incomplete.
func TestNoScriptMakesTheReaderFail(t *testing.T) {
	for _, script := range []string{
		"class C:\n    x = 1\ndef g():\n    global x\n    print(x)\n", "class C:\n    global f\n    def f(self): pass\nf(1)\n", "class C:\n    for r in []: pass\n    nonlocal_ = r\n",
		"class C:\n    async def m[T](self): pass\n", "class O:\n    class C[T]: pass\n",
	} {
		if r := awscode.Read(script); r.Cause == awscode.CauseReader {
			t.Errorf("%s", script)
		}
	}
}
