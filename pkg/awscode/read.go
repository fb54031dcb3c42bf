// Package awscode reads a script for AWS's MCP server and says which calls of
// AWS it can make. It reads Python 3.12 and executes nothing.
//
// A script is complete if every call that it can make is known. Whatever the
// reader does not understand makes the script incomplete: what it understands
// stands in lists, and nothing is guessed.
//
// A script travels through these files: token.go and literal.go make tokens,
// parser.go, compound.go, pattern.go, expression.go and strings.go the tree of
// ast.go, which walk.go visits; bind.go finds scopes and bindings, capability.go
// whatever lists.go does not allow; value.go, text.go, collection.go, uses.go and
// function.go follow values into the calls.
package awscode

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds on a script.
const (
	// MaxBytes is how long a script may be.
	MaxBytes = 256 << 10
	// MaxDepth is how deep its expressions and blocks may be nested.
	MaxDepth = 200
)

// AnyRegion is the Region of a call whose Region is not known.
const AnyRegion = "*"

// Call is a call of AWS that a script can make.
type Call struct {
	// Service is the service's name in boto3, such as "s3".
	Service string
	// Operation is the API's operation, such as "ListBuckets", or for a request
	// of make_request its HTTP method.
	Operation string
	// Region is "" where the script gives none, or AnyRegion.
	Region string
	// Request: it is one of make_request.
	Request bool
	// parameters are the names in params, each between commas, or anyParameter.
	parameters string
	// Line is the first line, from 1, on which a call of it begins.
	Line int
}

// anyParameter is for a call whose params are not known.
const anyParameter = "*"

// MayHave reports whether the call may have a parameter, which is a member of params.
func (c *Call) MayHave(parameter string) bool {
	return c.parameters == anyParameter || strings.Contains(c.parameters, ","+parameter+",")
}

// Cause classes the reasons for which a script is incomplete.
type Cause string

// The causes.
const (
	// CauseText: it is too long, or no text.
	CauseText Cause = "text"
	// CauseSyntax: it does not parse.
	CauseSyntax Cause = "syntax"
	// CauseCapability: it uses what is on none of the lists of what is read.
	CauseCapability Cause = "capability"
	// CauseValue: the service, the operation or an argument of a call is not known.
	CauseValue Cause = "value"
	// CauseReader: the reader has a fault.
	CauseReader Cause = "reader"
	// CauseSteps: there is more to follow than is followed.
	CauseSteps Cause = "steps"
)

// Reading is what a script can do.
type Reading struct {
	// Calls are sorted, each once.
	Calls []Call
	// Complete: the script can make no other call. Otherwise Cause and Reason say
	// why that cannot be said, and Line where, from 1.
	Complete bool
	Cause    Cause
	Reason   string
	Line     int
	// Steps is how many values were followed; see maxSteps.
	Steps int
}

// Read reads a script. It never fails: what it cannot read is incomplete, and so is a
// script in which this reader makes a mistake of its own.
func Read(code string) (r Reading) {
	defer func() {
		if e := recover(); e != nil {
			r = Reading{Line: 1, Cause: CauseReader, Reason: "this reader fails on the script"}
		}
	}()
	if r, ok := readable(code); !ok {
		return r
	}
	source := strings.TrimPrefix(code, "\ufeff")
	if strings.Contains(source, "\r") {
		source = lineEnds.Replace(source)
	}
	body, failure := parse(source, MaxDepth)
	if failure != nil {
		return Reading{
			Line:   failure.line,
			Cause:  CauseSyntax,
			Reason: clipped("the script does not parse: " + failure.message),
		}
	}
	b := newBinder()
	b.bind(body, strings.Contains(source, "global") || strings.Contains(source, "nonlocal"))
	b.findPlainClasses()
	b.checkUses()
	b.link()
	return b.read()
}

// lineEnds makes \n of all that ends a line to Python.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// readable reports what makes a script incomplete before it is parsed.
// https://peps.python.org/pep-0263/
func readable(code string) (Reading, bool) {
	switch {
	case len(code) > MaxBytes:
		return Reading{Line: 1, Cause: CauseText, Reason: "the script is longer than 256 KiB"}, false
	case !utf8.ValidString(code):
		return Reading{Line: 1, Cause: CauseText, Reason: "the script is not UTF-8"}, false
	case strings.ContainsRune(code, 0):
		return Reading{Line: 1, Cause: CauseText, Reason: "the script has a NUL"}, false
	}
	rest := code
	for line := 1; line <= 2; line++ {
		end := strings.IndexAny(rest, "\r\n")
		if end < 0 {
			end = len(rest)
		}
		if declaresOtherEncoding(rest[:end]) {
			return Reading{
				Line: line, Cause: CauseText, Reason: "the script declares an encoding other than UTF-8",
			}, false
		}
		if strings.HasPrefix(rest[end:], "\r\n") {
			end++
		}
		rest = rest[min(end+1, len(rest)):]
	}
	return Reading{}, true
}

// declaresOtherEncoding reports whether a line is a comment with a coding cookie
// that is none of UTF-8's.
func declaresOtherEncoding(line string) bool {
	comment := strings.TrimLeft(strings.TrimPrefix(line, "\ufeff"), " \t\f")
	if !strings.HasPrefix(comment, "#") {
		return false
	}
	_, after, found := strings.Cut(comment, "coding")
	if !found || after == "" || after[0] != ':' && after[0] != '=' {
		return false
	}
	encoding, _, _ := strings.Cut(strings.TrimLeft(after[1:], " \t"), " ")
	switch strings.ToLower(strings.TrimRight(strings.ReplaceAll(encoding, "_", "-"), "\t\f")) {
	case "utf-8", "utf8", "utf-8-sig":
		return false
	}
	return true
}

// read follows values into the sinks.
func (b *binder) read() (r Reading) {
	a := &analysis{binder: b, tainted: map[node]bool{}, inside: map[node][]node{}}
	var found map[Call]int
	var open *problem
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(tooMuch); !ok {
				panic(e)
			}
			r = b.reading(found, &problem{1, CauseSteps, "the script has more than can be followed"})
		}
		r.Steps = a.steps
	}()
	a.solve(func() {
		found, open = map[Call]int{}, nil
		for _, c := range b.calls {
			if n, ok := c.function.(*name); ok && (n.id == sinkCall || n.id == sinkRequest) {
				reason := a.sink(c, n.id == sinkRequest, found)
				if reason != "" && (open == nil || c.at() < open.line) {
					open = &problem{c.at(), CauseValue, clipped(reason)}
				}
			}
		}
	})
	return b.reading(found, open)
}

// maxReason bounds a reason, in characters: names come from the script.
const maxReason = 200

func clipped(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	runes := []rune(reason)
	return string(runes[:min(len(runes), maxReason)]) + "..."
}

func (b *binder) reading(found map[Call]int, open *problem) Reading {
	r := Reading{Complete: true}
	for c, line := range found {
		c.Line = line
		r.Calls = append(r.Calls, c)
	}
	slices.SortFunc(r.Calls, func(x, y Call) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Operation, y.Operation),
			cmp.Compare(x.Region, y.Region), cmp.Compare(x.parameters, y.parameters))
	})
	for _, p := range []*problem{b.problem, open} {
		if p != nil && (r.Complete || p.line < r.Line) {
			r.Complete, r.Cause, r.Reason, r.Line = false, p.cause, p.reason, p.line
		}
	}
	return r
}

// decidingArguments are the first of a sink's arguments, which say what it calls.
const decidingArguments = 3

// The arguments of the sinks.
var (
	callArguments    = []string{"service_name", "operation_name", "region_name", "params"}
	requestArguments = []string{
		"service_name", "method", "region_name", "url", "params", "headers", "body", "data", "json", "timeout",
	}
)

// sink adds the calls that one use of a sink can make, or says why they are not
// known.
func (a *analysis) sink(c *call, request bool, found map[Call]int) (reason string) {
	names := callArguments
	if request {
		names = requestArguments
	}
	columns := make([][]alternative, 0, decidingArguments)
	for _, argument := range names[:decidingArguments] {
		columns = append(columns, a.sinkArgument(c, argument))
	}
	parameters := a.parameters(c)
	rows, ok := a.combine(columns)
	if !ok {
		return "the call has more combinations than can be followed"
	}
	for _, row := range rows {
		one := Call{
			Service: row.values[0].text, Operation: row.values[1].text, Request: request, parameters: parameters,
		}
		if request {
			one.Operation = strings.ToUpper(one.Operation)
		}
		if row.values[0].kind == valueNone || row.values[1].kind == valueNone {
			continue // it calls nothing
		}
		if row.values[0].kind != valueString {
			reason = c.unknown(names[0])
			continue
		}
		if row.values[1].kind != valueString {
			reason = c.unknown(names[1])
			continue
		}
		switch region := row.values[2]; region.kind {
		case valueNone:
		case valueString:
			one.Region = region.text
		default:
			one.Region = AnyRegion
		}
		if line, ok := found[one]; !ok || c.at() < line {
			found[one] = c.at()
		}
	}
	if other := a.otherArgument(c, names); other != "" {
		return other
	}
	return reason
}

// unknown says what is wrong with an argument that the call needs.
func (c *call) unknown(argument string) string {
	for _, k := range c.keywords {
		if k.name == argument || k.name == "" {
			return argument + " of the call is not a constant, nor can it be followed to constants"
		}
	}
	return "the call has no " + argument
}

// parameters gives the names in params where a dictionary stands there, and anyParameter
// where it is anything else.
func (a *analysis) parameters(c *call) string {
	names := ","
	for _, k := range c.keywords {
		switch {
		case k.name == "":
			return anyParameter
		case k.name != "params":
			continue
		}
		if none, ok := k.value.(*constant); ok && none.kind == constantNone {
			continue
		}
		keys, _, known := entries(k.value)
		if !known || !a.isLiteral(k.value) {
			return anyParameter
		}
		for _, key := range keys {
			for _, v := range a.eval(key) {
				if v.value.kind != valueString {
					return anyParameter
				}
				names += v.value.text + ","
			}
		}
	}
	return names
}

// sinkArgument gives the values of an argument, given by name or in **x. A
// Region that is not given is None.
func (a *analysis) sinkArgument(c *call, argument string) []alternative {
	absent := unknown
	if argument == "region_name" {
		absent = []alternative{{value: value{valueNone, "None"}}}
	}
	unpacked := 0
	for _, k := range c.keywords {
		if k.name == argument {
			return a.eval(k.value)
		}
		if k.name == "" {
			unpacked++
		}
	}
	if unpacked > 1 {
		return unknown // which of them has it is not followed
	}
	for _, k := range c.keywords {
		if k.name != "" {
			continue
		}
		literals, only := a.collections(k.value)
		if !only {
			return unknown
		}
		if len(literals) > 0 && !a.mayHave(literals, argument) {
			continue
		}
		return a.element(k.value, []alternative{{value: value{valueString, argument}}}, absent)
	}
	return absent
}

// mayHave reports whether one of the dictionaries may have a key.
func (a *analysis) mayHave(literals []held, key string) bool {
	for _, of := range literals {
		chosen, known := a.at(of.literal, []alternative{{value: value{valueString, key}}})
		if !known {
			return true
		}
		for _, c := range chosen {
			if !c.missing {
				return true
			}
		}
	}
	return false
}

// otherArgument reports an argument that the sink is not known to have.
func (a *analysis) otherArgument(c *call, names []string) string {
	for _, k := range c.keywords {
		if k.name != "" && !slices.Contains(names, k.name) {
			return "the argument " + k.name + " of the call is not known"
		}
		if k.name != "" {
			continue
		}
		literals, only := a.collections(k.value)
		if !only {
			return "the arguments of the call are not known"
		}
		for _, of := range literals {
			if _, _, ok := entries(of.literal); !ok || a.tainted[of.literal] {
				return "the arguments of the call are not known"
			}
		}
	}
	return ""
}
