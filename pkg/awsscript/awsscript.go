// Package awsscript says what a script for AWS's MCP server does to AWS: it puts
// the calls that pkg/awscode reads together with what pkg/awsiam knows of them.
package awsscript

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/awscode"
	"github.com/countersign-io/countersign/pkg/awsiam"
)

const (
	// Anything stands in every set of an incomplete script, for what is not known
	// of it, so that a rule which wants a set to be within another denies.
	Anything = "*"
	// DefaultRegion stands for the Region of a call that names none.
	DefaultRegion = "default"
	// maxCalls bounds the calls of one script.
	maxCalls = 1_000
)

// The causes for which a script is incomplete, beside those of package awscode.
const (
	// CauseOperation: the IAM actions of an operation are not known.
	CauseOperation awscode.Cause = "operation"
	// CauseArguments: the tool's arguments are not those of a script.
	CauseArguments awscode.Cause = "arguments"
)

// Effects are what a script can do. Sets are sorted, each member once.
type Effects struct {
	// Calls are "service:Operation" with boto3's service names, Actions those of IAM
	// that they need, Services boto3's names, Regions those of the calls,
	// DefaultRegion where none is given, and Levels access levels by name.
	Calls    []string
	Actions  []string
	Services []string
	Regions  []string
	Levels   []string
	// ReadOnly: it is complete and has no level but List and Read.
	ReadOnly bool
	// Secrets: an answer may hold a secret or a credential.
	Secrets bool
	// Complete: it can do nothing else. Otherwise Cause and Reason say why that
	// cannot be said, and Line where in the script, from 1, or 0.
	Complete bool
	Cause    awscode.Cause
	Reason   string
	Line     int
	// Unsigned are those of Calls that AWS takes without a signature: no policy of
	// IAM stops them.
	Unsigned []string
	// Steps is what reading it took.
	Steps int
}

// Of gives the effects of a script.
func Of(code string) *Effects {
	reading := awscode.Read(code)
	b := newBuilder()
	for i := range reading.Calls {
		b.add(&reading.Calls[i])
	}
	e := b.effects()
	e.Steps = reading.Steps
	if !reading.Complete {
		e.incomplete(reading.Cause, reading.Reason, reading.Line)
	}
	return e
}

// OfArguments gives the effects of a call of a tool whose argument of the name is
// the script, from the call's arguments, a JSON object or nothing.
func OfArguments(arguments jsontext.Value, argument string) *Effects {
	code, fault := scriptIn(arguments, argument)
	if fault != "" {
		e := newBuilder().effects()
		e.incomplete(CauseArguments, fault, 0)
		return e
	}
	return Of(code)
}

// scriptIn finds the script, or says why the arguments have none that could be
// decided on. An argument beside it may change what the script does.
func scriptIn(arguments jsontext.Value, argument string) (code, fault string) {
	decoder := jsontext.NewDecoder(bytes.NewReader(arguments))
	if token, err := decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return "", fmt.Sprintf("the call has no argument %q", argument)
	}
	found := false
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return "", "the arguments cannot be read"
		}
		if name.String() != argument {
			return "", "the tool is not known to have the argument " + quoted(name.String())
		}
		value, err := decoder.ReadToken()
		if err != nil || value.Kind() != '"' {
			return "", fmt.Sprintf("the argument %q is not a string", argument)
		}
		code, found = value.String(), true
	}
	if !found {
		return "", fmt.Sprintf("the call has no argument %q", argument)
	}
	return code, ""
}

// quoted bounds what a caller wrote.
func quoted(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return fmt.Sprintf("%q", text)
}

// builder gathers effects.
type builder struct {
	calls, actions, services, regions, unsigned map[string]bool
	levels                                      awsiam.Levels
	secrets                                     bool
	cause                                       awscode.Cause
	reason                                      string
	line                                        int
}

func newBuilder() *builder {
	return &builder{
		calls: map[string]bool{}, actions: map[string]bool{}, services: map[string]bool{}, regions: map[string]bool{},
		unsigned: map[string]bool{},
	}
}

func (b *builder) add(c *awscode.Call) {
	var o awsiam.Operation
	var known bool
	if c.Request {
		o, known = awsiam.NeedsRequest(c.Service, c.Operation)
	} else {
		o, known = awsiam.Needs(c.Service, c.Operation, c.MayHave)
	}
	if !known {
		b.fail(CauseOperation, "the IAM actions of "+quoted(c.Service+":"+c.Operation)+" are not known", c.Line)
		return
	}
	if b.calls[o.Call()] = true; len(b.calls) > maxCalls {
		delete(b.calls, o.Call())
		b.fail(awscode.CauseSteps, fmt.Sprintf("the script has more than %d different calls", maxCalls), c.Line)
		return
	}
	b.services[o.Service] = true
	region := c.Region
	switch {
	case region == "":
		region = DefaultRegion
	case !authconfig.IsRegion(region):
		region = Anything // no Region, and perhaps a pattern or a variable of IAM
	}
	b.regions[region] = true
	for _, action := range o.Actions {
		b.actions[action.Name] = true
	}
	b.levels |= o.Levels()
	b.secrets = b.secrets || o.Secret
	if o.Unsigned {
		b.unsigned[o.Call()] = true
	}
}

// fail keeps the first reason in the script.
func (b *builder) fail(cause awscode.Cause, reason string, line int) {
	if b.reason == "" || line < b.line {
		b.cause, b.reason, b.line = cause, reason, line
	}
}

func (b *builder) effects() *Effects {
	e := &Effects{
		Calls: sorted(b.calls), Actions: sorted(b.actions), Services: sorted(b.services), Regions: sorted(b.regions),
		Levels: b.levels.Names(), ReadOnly: b.levels.ReadOnly(), Secrets: b.secrets, Complete: true,
		Unsigned: sorted(b.unsigned),
	}
	if b.reason != "" {
		e.incomplete(b.cause, b.reason, b.line)
	}
	return e
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// incomplete makes the effects those of a script that may do anything beside.
func (e *Effects) incomplete(cause awscode.Cause, reason string, line int) {
	if e.Complete || line < e.Line {
		e.Cause, e.Reason, e.Line = cause, reason, line
	}
	if !e.Complete {
		return
	}
	for _, set := range []*[]string{&e.Calls, &e.Actions, &e.Services, &e.Regions} {
		if !slices.Contains(*set, Anything) {
			*set = append([]string{Anything}, *set...)
		}
	}
	e.Levels = awsiam.LevelNames()
	e.ReadOnly, e.Secrets, e.Complete = false, true, false
}

// AsIncomplete gives the same script as one that cannot be read to its end.
func (e *Effects) AsIncomplete() *Effects {
	c := *e
	for _, set := range []*[]string{&c.Calls, &c.Actions, &c.Services, &c.Regions} {
		*set = slices.Clone(*set)
	}
	c.incomplete(awscode.CauseValue, "", 0)
	return &c
}

// UsesKMS reports whether one of the services calls KMS for its callers.
func (e *Effects) UsesKMS() bool { return slices.ContainsFunc(e.Services, awsiam.UsesKMS) }

// RequestedRegions are the Regions in which AWS sees the calls, sorted; the
// default is that of calls which name none. It is false where one is not known.
func (e *Effects) RequestedRegions(byDefault string) ([]string, bool) {
	regions := map[string]bool{}
	for _, region := range e.Regions {
		switch region {
		case Anything:
			return nil, false
		case DefaultRegion:
			region = byDefault
		}
		regions[region] = true
	}
	for _, service := range e.Services {
		if global := awsiam.GlobalRegion(service); global != "" {
			regions[global] = true
		}
	}
	return sorted(regions), true
}
