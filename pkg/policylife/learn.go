package policylife

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// By says to whom learned policies are given.
type By string

// To whom they may be given.
const (
	// ByCaller gives each caller what this caller did: the least.
	ByCaller By = "caller"
	// ByRole gives all callers of a role what some of them did.
	ByRole By = "role"
)

// Learner makes policies of what was seen: of the calls that were allowed, and served.
type Learner struct {
	by   By
	seen map[holder]map[string]*use
	// actions are those of scripts, by role.
	actions map[string]map[string]bool
	// Unread counts scripts that could not be read: no policy is made for them.
	Unread int
}

type holder struct{ subject, upstream string }

// use is how one tool was called.
type use struct {
	plain   bool
	actions map[string]bool
}

// NewLearner makes one.
func NewLearner(by By) *Learner {
	return &Learner{by: by, seen: map[holder]map[string]*use{}, actions: map[string]map[string]bool{}}
}

// Add takes a record.
func (l *Learner) Add(line []byte) {
	var record Record
	if json.Unmarshal(line, &record) != nil || record.Method != methodCall || record.Tool == "" ||
		record.Decision != "allow" {
		return
	}
	subject := record.Caller
	if l.by == ByRole {
		subject = record.Role
	}
	if subject == "" {
		return
	}
	if record.AWS != nil && !record.AWS.Complete {
		l.Unread++
		return
	}
	if record.Failure != "" {
		return // nothing was served
	}
	at := holder{subject, record.Upstream}
	if l.seen[at] == nil {
		l.seen[at] = map[string]*use{}
	}
	tool := l.seen[at][record.Tool]
	if tool == nil {
		tool = &use{actions: map[string]bool{}}
		l.seen[at][record.Tool] = tool
	}
	if record.AWS == nil {
		tool.plain = true
		return
	}
	if l.actions[record.Role] == nil {
		l.actions[record.Role] = map[string]bool{}
	}
	for _, action := range record.AWS.Actions {
		tool.actions[action], l.actions[record.Role][action] = true, true
	}
}

// Policies is Cedar that allows what was seen, and nothing else.
func (l *Learner) Policies() string {
	var b strings.Builder
	holders := slices.SortedFunc(maps.Keys(l.seen), func(a, b holder) int {
		return strings.Compare(a.subject+"\x00"+a.upstream, b.subject+"\x00"+b.upstream)
	})
	for _, at := range holders {
		var plain []string
		for _, tool := range slices.Sorted(maps.Keys(l.seen[at])) {
			if l.seen[at][tool].plain {
				plain = append(plain, tool)
			}
		}
		if len(plain) > 0 {
			l.write(&b, at, actionScope(plain), "")
		}
		for _, tool := range slices.Sorted(maps.Keys(l.seen[at])) {
			if u := l.seen[at][tool]; !u.plain {
				l.write(&b, at, actionScope([]string{tool}), scriptCondition(u.actions))
			}
		}
	}
	return b.String()
}

func (l *Learner) write(b *strings.Builder, at holder, action, condition string) {
	principal, role := "principal", ""
	if l.by == ByRole {
		role = fmt.Sprintf("when { context.role == %s }\n", quoted(at.subject))
	} else {
		kind := types.EntityType("MCP::User")
		if strings.HasPrefix(at.subject, "system:serviceaccount:") {
			kind = "MCP::Workload"
		}
		principal = "principal == " + types.NewEntityUID(kind, types.String(at.subject)).String()
	}
	server := types.NewEntityUID("MCP::Server", types.String(at.upstream)).String()
	text := fmt.Sprintf(
		"permit (\n  %s,\n  %s,\n  resource in %s\n)\n%s%s",
		principal,
		action,
		server,
		role,
		condition,
	)
	b.WriteString(strings.TrimRight(text, "\n") + ";\n\n")
}

func actionScope(tools []string) string {
	uids := make([]string, len(tools))
	for i, tool := range tools {
		uids[i] = types.NewEntityUID("MCP::Action", types.String(tool)).String()
	}
	if len(uids) == 1 {
		return "action == " + uids[0]
	}
	return "action in [\n    " + strings.Join(uids, ",\n    ") + "\n  ]"
}

func scriptCondition(actions map[string]bool) string {
	names := make([]string, 0, len(actions))
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		names = append(names, quoted(action))
	}
	return fmt.Sprintf("when { context has aws && context.aws.complete && [%s].containsAll(context.aws.actions) }\n",
		strings.Join(names, ", "))
}

func quoted(text string) string { return string(types.String(text).MarshalCedar()) }

// SessionPolicies are inline policies for awsSts.roleMappings[].sessionPolicy, by role: what
// scripts of the role did.
func (l *Learner) SessionPolicies() map[string]jsontext.Value {
	policies := map[string]jsontext.Value{}
	for role, actions := range l.actions {
		if role == "" || len(actions) == 0 {
			continue
		}
		text, err := json.Marshal(map[string]any{
			"Version": "2012-10-17",
			"Statement": []any{map[string]any{
				"Effect": "Allow", "Action": slices.Sorted(maps.Keys(actions)), "Resource": "*",
			}},
		}, json.Deterministic(true))
		if err == nil {
			policies[role] = text
		}
	}
	return policies
}
