package awsscript_test

import (
	"fmt"
	"strings"
)

// scriptWriter writes scripts whose every call is made in every run, in forms that
// the reader follows. The same state gives the same script.
type scriptWriter struct {
	state  uint64
	out    strings.Builder
	names  int
	indent int
}

var someCalls = [][2]string{
	{"s3", "ListBuckets"}, {"ec2", "DescribeInstances"}, {"ec2", "DescribeVpcs"}, {"lambda", "ListFunctions"}, {"sqs", "ListQueues"},
	{"iam", "ListRoles"}, {"sns", "ListTopics"}, {"dynamodb", "ListTables"}, {"kms", "ListKeys"}, {"rds", "DescribeDBInstances"},
}

func (w *scriptWriter) pick(n int) int {
	w.state ^= w.state << 13
	w.state ^= w.state >> 7
	w.state ^= w.state << 17
	return int(w.state % uint64(n))
}

func (w *scriptWriter) call() (service, operation string) {
	c := someCalls[w.pick(len(someCalls))]
	return c[0], c[1]
}

func (w *scriptWriter) name() string {
	w.names++
	return fmt.Sprintf("n%d", w.names)
}

func (w *scriptWriter) line(format string, args ...any) {
	w.out.WriteString(strings.Repeat("    ", w.indent))
	fmt.Fprintf(&w.out, format+"\n", args...)
}

func (w *scriptWriter) write() string {
	forms := []func(){
		w.plain, w.named, w.loop, w.dictionary, w.lists, w.helper, w.method, w.formatted, w.gather, w.keywords, w.conditional, w.walrus,
	}
	w.line("import asyncio")
	for range 3 + w.pick(4) {
		forms[w.pick(len(forms))]()
	}
	return w.out.String()
}

func (w *scriptWriter) do(service, operation string) {
	w.line("await call_boto3(service_name=%s, operation_name=%s)", service, operation)
}

func quote(text string) string { return fmt.Sprintf("%q", text) }

func (w *scriptWriter) plain() {
	service, operation := w.call()
	w.do(quote(service), quote(operation))
}

func (w *scriptWriter) named() {
	service, operation := w.call()
	s, o := w.name(), w.name()
	w.line("%s, %s = %q, %q", s, o, service, operation)
	w.line("if True:")
	w.indent++
	w.do(s, o)
	w.indent--
}

func (w *scriptWriter) rows() string {
	var rows []string
	for range 1 + w.pick(3) {
		service, operation := w.call()
		rows = append(rows, fmt.Sprintf("(%q, %q)", service, operation))
	}
	return "[" + strings.Join(rows, ", ") + "]"
}

func (w *scriptWriter) loop() {
	rows, s, o := w.name(), w.name(), w.name()
	w.line("%s = %s", rows, w.rows())
	w.line("for %s, %s in %s:", s, o, rows)
	w.indent++
	w.do(s, o)
	w.indent--
}

func (w *scriptWriter) dictionary() {
	table, s, o := w.name(), w.name(), w.name()
	service, operation := w.call()
	w.line("%s = {%q: %q}", table, service, operation)
	w.line("for %s, %s in %s.items():", s, o, table)
	w.indent++
	w.do(s, o)
	w.indent--
}

func (w *scriptWriter) lists() {
	table, s, all, o := w.name(), w.name(), w.name(), w.name()
	w.line(`%s = {"ec2": ["DescribeVpcs", "DescribeSubnets"], "iam": ["ListUsers"]}`, table)
	w.line("for %s, %s in %s.items():", s, all, table)
	w.line("    for %s in %s:", o, all)
	w.indent += 2
	w.do(s, o)
	w.indent -= 2
}

func (w *scriptWriter) helper() {
	f := w.name()
	w.line("async def %s(service, operation, *, times=1):", f)
	w.indent++
	w.line("for _ in range(times):")
	w.indent++
	w.do("service", "operation")
	w.indent -= 2
	for range 1 + w.pick(2) {
		service, operation := w.call()
		w.line("await %s(%q, operation=%q)", f, service, operation)
	}
}

func (w *scriptWriter) method() {
	c, m := w.name(), w.name()
	service, operation := w.call()
	w.line("class C%s:", c)
	w.line("    def __init__(self, service):")
	w.line("        self.%s_service = service", c)
	w.line("    async def %s(self, operation):", m)
	w.indent += 2
	w.do("self."+c+"_service", "operation")
	w.indent -= 2
	w.line("%s = C%s(%q)", c, c, service)
	w.line("await %s.%s(%q)", c, m, operation)
}

func (w *scriptWriter) formatted() {
	kind := w.name()
	w.line("for %s in (\"Instances\", \"Volumes\"):", kind)
	w.indent++
	w.do(`"ec2"`, [...]string{`f"Describe{` + kind + `}"`, `"Describe%s" % ` + kind, `"Describe{}".format(` + kind + `)`, `"Describe" + ` + kind}[w.pick(4)])
	w.indent--
}

func (w *scriptWriter) gather() {
	f := w.name()
	service, operation := w.call()
	w.line("async def %s(region):", f)
	w.line("    return await call_boto3(service_name=%q, operation_name=%q, region_name=region)", service, operation)
	w.line("await asyncio.gather(*[%s(r) for r in (\"eu-west-1\", \"us-east-1\")])", f)
}

func (w *scriptWriter) keywords() {
	k := w.name()
	service, operation := w.call()
	w.line("%s = dict(service_name=%q, operation_name=%q)", k, service, operation)
	w.line("await call_boto3(**%s)", k)
}

func (w *scriptWriter) conditional() {
	o := w.name()
	w.line(`for %s in ("ListRoles", "ListUsers"):`, o)
	w.indent++
	w.do(`"iam"`, fmt.Sprintf(`"ListUsers" if %s == "ListUsers" else "ListRoles"`, o))
	w.indent--
}

func (w *scriptWriter) walrus() {
	s := w.name()
	service, operation := w.call()
	w.line("if (%s := %q):", s, service)
	w.indent++
	w.do(s, quote(operation))
	w.indent--
}
