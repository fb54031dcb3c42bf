package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/batch"
	"github.com/countersign-io/countersign/pkg/awsscript"
	"github.com/go-json-experiment/json/jsontext"
)

// Request is one question: may the principal do this?
type Request struct {
	Principal *Principal
	// Server is the upstream's name, Host its host.
	Server string
	Host   string
	Action Action
	// Name is the tool's name, the resource's URI or the prompt's name.
	Name string
	// Arguments is a JSON object, or empty.
	Arguments jsontext.Value
	// Role is the ARN that would be used, or empty when there is none.
	Role string
	Now  time.Time
	// Script is what the call's script does, nil for calls without one. TakesScript
	// is set where the tool takes one and nothing is known of it.
	Script      *awsscript.Effects
	TakesScript bool
}

// Decision is the answer, with what an audit needs to know of it.
type Decision struct {
	Allowed bool
	// Policies are the ids of the policies that decided: the permits of an
	// allow, the forbids of a deny, nothing for a deny by default.
	Policies []string
	// Errors are the ids of policies whose evaluation failed, with the reason.
	Errors []string
	// Argument names the argument that no policy can compare, and ArgumentFault says
	// why; both are empty where that is not the reason of a denial.
	Argument      string
	ArgumentFault string
	// Reserved is set when the tool bears the name of a built-in action. No
	// mode lets such a call pass.
	Reserved bool
}

// Decide evaluates every policy. Forbid wins over permit, nothing is allowed by
// default, and a forbid policy that fails to evaluate denies: cedar-go would
// pass over it. What takes too long, or whose caller is gone, is denied.
func (s *Set) Decide(ctx context.Context, r Request) Decision {
	if r.Action == CallTool && IsReservedTool(r.Name) {
		return Decision{Reserved: true}
	}
	t := s.targetOf(&r)
	input, mismatches, err := readArguments(r.Arguments, s.inputType(&r), t.reads.of(contextInput))
	if err != nil {
		return Decision{Errors: []string{"the arguments cannot be read"}}
	}
	for _, of := range [][]mismatch{mismatches, r.Principal.mismatches, unknownRegions(r.Script)} {
		if m := s.undecidable(&r, t, of); m != nil {
			return m.denial()
		}
	}
	return s.authorize(ctx, &r, t, s.context(&r, input, t.reads))
}

// authorize asks the target's policies, where the whole context is known.
func (s *Set) authorize(ctx context.Context, r *Request, t *target, context types.Record) Decision {
	asked := &timely{policies: t.policies, begun: time.Now(), ctx: ctx}
	decision, diagnostic := cedar.Authorize(asked, s.entities(r, t), cedar.Request{
		Principal: r.Principal.entity.UID, Action: t.action.UID, Resource: t.resource.UID, Context: context,
	})
	if asked.late {
		return Decision{Errors: []string{"the decision took too long"}}
	}
	return s.decision(decision, &diagnostic)
}

// denial is the decision where nobody can say what the policies decide.
func (m *mismatch) denial() Decision {
	d := Decision{Errors: []string{m.name() + " " + m.why + ", and a policy reads it"}}
	if m.path[0] == contextInput {
		d.Argument = strings.TrimPrefix(m.name(), "input.")
		d.ArgumentFault = m.why
	}
	return d
}

func (s *Set) decision(decision cedar.Decision, diagnostic *cedar.Diagnostic) Decision {
	result := Decision{Allowed: decision == cedar.Allow}
	for _, failure := range diagnostic.Errors {
		result.Errors = append(result.Errors, string(failure.PolicyID)+": "+failure.Message)
		if s.forbids[failure.PolicyID] {
			// The permits did not decide any longer.
			if result.Allowed {
				result.Allowed, diagnostic.Reasons = false, nil
			}
			result.Policies = append(result.Policies, string(failure.PolicyID))
		}
	}
	for _, reason := range diagnostic.Reasons {
		result.Policies = append(result.Policies, string(reason.PolicyID))
	}
	return result
}

// ReadsActor reports whether a policy asks who acts for the caller.
func (s *Set) ReadsActor() bool {
	return slices.ContainsFunc(s.policies, func(p namedPolicy) bool { return p.reads.reads([]string{contextActor}) })
}

func (s *Set) inputType(r *Request) *argumentType {
	if r.Action != CallTool {
		return nil
	}
	if tool := s.tools[r.Name]; tool != nil {
		return tool.input
	}
	return nil
}

// context is the context of a request, as far as it is read.
func (s *Set) context(r *Request, input types.Value, read *reads) types.Record {
	record := newRecordDraft()
	if read.of(contextInput) != nil {
		record[contextInput] = input
	}
	if read.of("server") != nil {
		record["server"] = types.String(r.Host)
	}
	if read.of("role") != nil {
		record["role"] = types.String(r.Role)
	}
	if read.of("pod") != nil {
		record["pod"] = s.pod
	}
	if read.of("now") != nil {
		record["now"] = types.NewDatetime(r.Now)
	}
	if read.of("claims") != nil {
		record["claims"] = r.Principal.claims
	}
	if r.Principal.actor != "" && read.of(contextActor) != nil {
		record[contextActor] = types.String(r.Principal.actor)
	}
	switch {
	case read.of(contextAWS) == nil:
	case r.Script != nil:
		record[contextAWS] = scriptRecord(r.Script)
	case r.TakesScript:
		record[contextAWS] = batch.Ignore()
	}
	return record.finish()
}
