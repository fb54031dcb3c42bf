package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

const (
	// maxChanges bounds the changes that are told.
	maxChanges = 8
	// maxChangeTime bounds how long they are looked for.
	maxChangeTime = 2 * time.Second
)

// ChangeKind says what a Change does.
type ChangeKind string

// The kinds of changes.
const (
	// ChangeAdd adds a policy: Text is that policy.
	ChangeAdd ChangeKind = "add"
	// ChangeExempt adds a condition to a forbid: Text is that condition.
	ChangeExempt ChangeKind = "exempt"
	// ChangeRelax takes a part away from a permit that fits but for it: Text is the part.
	// It allows others as well.
	ChangeRelax ChangeKind = "relax"
)

// Change is one change of the policies, after which a request that is denied would be
// allowed.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// Policy is the id of the policy to change; empty for a new one.
	Policy string `json:"policy,omitempty"`
	// Part names what of the policy changes: principal, action, resource, when or unless.
	Part string `json:"part,omitempty"`
	// Text is Cedar.
	Text string `json:"text"`
	// WithAnother is set where the change is not enough: it takes every other forbid's exemption
	// too, and where nothing permits the request one of the other changes.
	WithAnother bool `json:"withAnother,omitzero"`
}

// Text is one policy as the auth-config has it.
type Text struct {
	ID   string `json:"id"`
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Texts are all policies, in their order.
func (s *Set) Texts() []Text {
	if s == nil {
		return nil
	}
	texts := make([]Text, len(s.policies))
	for i, p := range s.policies {
		texts[i] = Text{
			ID: string(p.id), File: p.file, Line: p.position.Line, Text: string(p.policy.MarshalCedar()),
		}
	}
	return texts
}

// Changes are the small changes after which a request that is denied would be allowed,
// those first that allow the caller this very tool, with any arguments. Each was tried. There are none where the request is
// allowed, and none where no policy can allow it.
func (s *Set) Changes(ctx context.Context, r Request) []Change {
	denied := s.Decide(ctx, r)
	if denied.Allowed || denied.Reserved || denied.Argument != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxChangeTime)
	defer cancel()
	trial, err := s.newTrial(ctx, &r)
	if err != nil {
		return nil
	}
	return trial.changes(denied.Policies)
}

// trial tries changed policies on one request.
type trial struct {
	set     *Set
	ctx     context.Context //nolint:containedctx // bounds one trial
	request *Request
	target  *target
	context types.Record
}

func (s *Set) newTrial(ctx context.Context, r *Request) (*trial, error) {
	input, _, err := readArguments(r.Arguments, s.inputType(r), everything)
	if err != nil {
		return nil, err
	}
	t := *s.targetOf(r)
	return &trial{set: s, ctx: ctx, request: r, target: &t, context: s.context(r, input, everything)}, nil
}

// allows reports whether these policies, and no others, allow the request.
func (t *trial) allows(policies policyList) bool {
	t.target.policies = policies
	return t.ctx.Err() == nil && t.set.authorize(t.ctx, t.request, t.target, t.context).Allowed
}

func (t *trial) changes(forbids []string) []Change {
	policies, changes := slices.Clone(t.set.policies), []Change(nil)
	for i := range policies {
		if slices.Contains(forbids, string(policies[i].id)) {
			change, exempted := t.exempt(policies[i])
			policies[i], changes = exempted, append(changes, change)
		}
	}
	if len(changes) > maxChanges {
		return nil // that is no small change
	}
	enough := len(changes) > 0 && t.allows(policies)
	for i := range changes {
		changes[i].WithAnother = !enough || len(changes) > 1
	}
	if enough {
		return changes
	}
	if t.request.Script != nil && !t.request.Script.Complete {
		return nil // a permit would allow this caller every script
	}
	text := t.grant()
	parsed, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil || !t.allows(append(slices.Clone(policies), namedPolicy{id: "new", policy: parsed[0]})) {
		return nil
	}
	changes = append(changes, Change{Kind: ChangeAdd, Text: text})
	return append(changes, t.relaxed(policies, maxChanges-len(changes))...)
}

// subject is what the request does and to what, as conditions and scopes write it.
func (t *trial) subject() (principal, action, resource string) {
	principal = "principal == " + t.request.Principal.entity.UID.String()
	action = "action == " + t.target.action.UID.String()
	if t.request.Action == CallTool { // the action names the tool
		return principal, action, "resource in " + types.NewEntityUID(typeServer, types.String(t.request.Server)).
			String()
	}
	return principal, action, "resource == " + t.target.resource.UID.String()
}

// grant is the least permit that fits the request: of a script it allows what this one does.
func (t *trial) grant() string {
	principal, action, resource := t.subject()
	text := fmt.Sprintf("permit (\n  %s,\n  %s,\n  %s\n)", principal, action, resource)
	if script := t.request.Script; script != nil && script.Complete {
		actions := make([]types.Value, len(script.Actions))
		for i, name := range script.Actions {
			actions[i] = types.String(name)
		}
		text += fmt.Sprintf(
			"\nwhen { context has aws && context.aws.complete && %s.containsAll(context.aws.actions) }",
			types.NewSet(actions...).MarshalCedar(),
		)
	}
	return text + ";"
}

// exempt makes a forbid pass over the request, and others like it of this caller.
func (t *trial) exempt(p namedPolicy) (Change, namedPolicy) {
	principal, action, resource := t.subject()
	condition := fmt.Sprintf("unless { %s && %s && %s }", principal, action, resource)
	change := Change{Kind: ChangeExempt, Policy: string(p.id), Part: "unless", Text: condition}
	parsed, err := cedar.NewPolicyListFromBytes("", []byte("forbid (principal, action, resource) "+condition+";"))
	if err != nil {
		return change, p
	}
	changed := *policyAST(p.policy)
	changed.Conditions = append(slices.Clone(changed.Conditions), policyAST(parsed[0]).Conditions...)
	p.policy = policyOf(&changed)
	return change, p
}

// relaxed are the permits that would fit but for one part.
func (t *trial) relaxed(policies policyList, most int) []Change {
	var changes []Change
	for i := range policies {
		if len(changes) >= most || t.ctx.Err() != nil {
			break
		}
		tree := policyAST(policies[i].policy)
		if tree.Effect != ast.EffectPermit {
			continue
		}
		for _, part := range withoutOnePart(tree) {
			changed := policies[i]
			changed.policy = policyOf(part.rest)
			// By itself first, which is quick; then beside all others, whose forbids count.
			if !t.allows(policyList{changed}) {
				continue
			}
			all := slices.Clone(policies)
			all[i] = changed
			if t.allows(all) {
				changes = append(changes, Change{
					Kind: ChangeRelax, Policy: string(changed.id), Part: part.name, Text: part.text,
				})
				break
			}
		}
	}
	return changes
}

// partOf is a policy without one of its parts.
type partOf struct {
	name, text string
	rest       *ast.Policy
}

func withoutOnePart(p *ast.Policy) []partOf {
	var parts []partOf
	add := func(name string, remove func(rest *ast.Policy), keep func(alone *ast.Policy)) {
		rest := *p
		remove(&rest)
		alone := &ast.Policy{
			Effect: p.Effect, Principal: ast.ScopeTypeAll{}, Action: ast.ScopeTypeAll{}, Resource: ast.ScopeTypeAll{},
		}
		keep(alone)
		parts = append(parts, partOf{name: name, text: partText(name, alone), rest: &rest})
	}
	if _, all := p.Principal.(ast.ScopeTypeAll); !all {
		add("principal", func(rest *ast.Policy) { rest.Principal = ast.ScopeTypeAll{} },
			func(alone *ast.Policy) { alone.Principal = p.Principal })
	}
	if _, all := p.Action.(ast.ScopeTypeAll); !all {
		add("action", func(rest *ast.Policy) { rest.Action = ast.ScopeTypeAll{} },
			func(alone *ast.Policy) { alone.Action = p.Action })
	}
	if _, all := p.Resource.(ast.ScopeTypeAll); !all {
		add("resource", func(rest *ast.Policy) { rest.Resource = ast.ScopeTypeAll{} },
			func(alone *ast.Policy) { alone.Resource = p.Resource })
	}
	for i, condition := range p.Conditions {
		name := "when"
		if condition.Condition == ast.ConditionUnless {
			name = "unless"
		}
		add(name, func(rest *ast.Policy) { rest.Conditions = slices.Delete(slices.Clone(p.Conditions), i, i+1) },
			func(alone *ast.Policy) { alone.Conditions = p.Conditions[i : i+1] })
	}
	return parts
}

// partText is the part as Cedar writes it, on one line.
func partText(name string, alone *ast.Policy) string {
	text := strings.Join(strings.Fields(string(policyOf(alone).MarshalCedar())), " ")
	begin := strings.Index(text, "(")
	if begin < 0 {
		return text
	}
	if name == "when" || name == "unless" {
		if at := strings.Index(text, ") "+name); at >= 0 {
			return strings.TrimSuffix(text[at+2:], ";")
		}
		return text
	}
	end := strings.LastIndex(text, ")")
	for _, scope := range strings.Split(strings.Trim(text[begin+1:end], " "), ", ") {
		if scope = strings.TrimSuffix(strings.TrimSpace(scope), ","); strings.HasPrefix(scope, name+" ") {
			rest := text[strings.Index(text, scope):end] // a set of actions has commas of its own
			for _, other := range []string{", principal", ", action", ", resource"} {
				rest, _, _ = strings.Cut(rest, other)
			}
			return strings.TrimSpace(rest)
		}
	}
	return text
}

func policyOf(tree *ast.Policy) *cedar.Policy {
	return cedar.NewPolicyFromAST((*cedarast.Policy)(tree))
}

// NamedTool is a tool that a policy names.
type NamedTool struct{ Policy, Tool string }

// NamedTools are the tools that policies name as actions, in the policies' order.
func (s *Set) NamedTools() []NamedTool {
	if s == nil {
		return nil
	}
	var named []NamedTool
	for _, p := range s.policies {
		for _, uid := range namedActions(policyAST(p.policy)) {
			if tool := string(uid.ID); !IsReservedTool(tool) {
				named = append(named, NamedTool{Policy: string(p.id), Tool: tool})
			}
		}
	}
	return named
}
