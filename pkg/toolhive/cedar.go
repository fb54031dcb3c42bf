package toolhive

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"github.com/countersign-io/countersign/pkg/policy"
)

// translator turns ToolHive's Cedar policies into ours. ToolHive knows Client, Tool, Prompt
// and Resource, actions call_tool, get_prompt and read_resource, claims as claim_NAME on the
// principal and context, arguments as arg_NAME on the resource and context.
// https://docs.stacklok.com/toolhive/reference/authz-policy-reference
type translator struct {
	// server is the name of the upstream.
	server string
	// namesGroups is set once a policy named a group.
	namesGroups bool

	// Of the policy at hand: whether it permits, the attributes that it asks has of itself, and
	// the guards of those that it does not.
	permits bool
	asked   map[string]bool
	guards  []any
	hints   map[string]bool
}

// isForbid reports whether a text has a policy that forbids; one that cannot be read may.
func isForbid(text string) bool {
	list, err := cedar.NewPolicyListFromBytes("policy", []byte(text))
	if err != nil {
		return true
	}
	for _, p := range list {
		if p.Effect() == cedar.Forbid {
			return true
		}
	}
	return false
}

// errDead is for policies that ToolHive never evaluates.
var errDead = errors.New("ToolHive never evaluates it: lists are filtered by what may be called")

// translate gives our policy. The error says what of it has no counterpart.
func (t *translator) translate(text string) (policies []string, err error) {
	list, err := cedar.NewPolicyListFromBytes("policy", []byte(text))
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("it has %d policies in one text; write one in each", len(list))
	}
	for _, p := range list {
		t.permits, t.asked, t.hints = p.Effect() == cedar.Permit, map[string]bool{}, map[string]bool{}
		document, err := p.MarshalJSON()
		if err != nil {
			return nil, err
		}
		var tree map[string]any
		if err := json.Unmarshal(document, &tree); err != nil {
			return nil, err
		}
		if err := t.rewrite(tree); err != nil {
			return nil, err
		}
		if document, err = json.Marshal(tree); err != nil {
			return nil, err
		}
		var translated cedar.Policy
		if err := translated.UnmarshalJSON(document); err != nil {
			return nil, fmt.Errorf("the translation is no policy: %w", err)
		}
		policies = append(policies, string(translated.MarshalCedar()))
	}
	return policies, nil
}

// rewrite translates a policy in Cedar's JSON form.
// https://docs.cedarpolicy.com/policies/json-format.html
func (t *translator) rewrite(tree map[string]any) error {
	action, resource := object(tree["action"]), object(tree["resource"])
	if err := t.scope(object(tree["principal"])); err != nil {
		return err
	}
	if err := t.actionAndResource(tree, action, resource); err != nil {
		return err
	}
	conditions, _ := tree["conditions"].([]any)
	for _, one := range conditions {
		t.look(object(one)["body"])
	}
	translated := []any{}
	for _, one := range conditions {
		condition := object(one)
		kind := text(condition["kind"])
		t.guards = nil
		body, err := t.expression(condition["body"])
		if err != nil {
			return err
		}
		translated = append(translated, t.guarded(kind, body)...)
	}
	tree["conditions"] = translated
	return nil
}

// guarded has a claim or argument that is missing do what ToolHive does then, which is to deny:
// a permit does not apply, and a forbid does.
func (t *translator) guarded(kind string, body any) []any {
	condition := func(kind string, body any) any { return map[string]any{"kind": kind, "body": body} }
	if len(t.guards) == 0 {
		return []any{condition(kind, body)}
	}
	all := t.guards[0]
	for _, guard := range t.guards[1:] {
		all = and(all, guard)
	}
	switch {
	case t.permits && kind == "unless":
		return []any{condition("when", all), condition("unless", body)}
	case !t.permits && kind == "when":
		return []any{condition("when", map[string]any{
			"if-then-else": map[string]any{"if": all, "then": body, "else": literal(true)},
		})}
	}
	return []any{condition(kind, and(all, body))}
}

// look notes which attributes a policy asks has of, and which hints it compares.
func (t *translator) look(value any) {
	switch node := value.(type) {
	case []any:
		for _, member := range node {
			t.look(member)
		}
	case map[string]any:
		if has := object(node["has"]); has != nil {
			kind, name := attribute(has)
			t.asked[kind+" "+name] = true
		}
		for operator, sides := range node {
			if access := object(object(object(sides)["left"])["."]); access != nil && operator == "==" {
				if kind, name := attribute(access); kind == "own" {
					t.hints[name] = true
				}
			}
			if operator == "||" || operator == "!" || operator == "if-then-else" {
				t.asked["alternatives"] = true
			}
			t.look(sides)
		}
	}
}

// needs notes a guard, unless the policy has one of its own.
func (t *translator) needs(kind, name string, guard any) {
	if t.asked[kind+" "+name] {
		return
	}
	t.asked[kind+" "+name] = true
	t.guards = append(t.guards, guard)
}

func object(value any) map[string]any {
	members, _ := value.(map[string]any)
	return members
}

func entity(kind, id string) map[string]any { return map[string]any{"type": kind, "id": id} }

// ourTypes are ToolHive's entity types with ours.
var ourTypes = map[string]string{
	"Client": "MCP::User", "THVGroup": "MCP::Group", "Tool": "MCP::Tool", "Prompt": "MCP::Prompt",
}

func (t *translator) entity(e map[string]any) (map[string]any, error) {
	kind, _ := e["type"].(string)
	id, _ := e["id"].(string)
	switch {
	case ourTypes[kind] != "":
		return entity(ourTypes[kind], id), nil
	case kind == "MCP":
		return entity("MCP::Server", t.server), nil
	case kind == "Resource":
		return nil, fmt.Errorf(
			"the entity Resource::%q: ToolHive writes _ for many characters of a URI, which cannot be undone",
			id,
		)
	}
	return nil, fmt.Errorf("%s::%q has no counterpart", kind, id)
}

// scope translates that of the principal, or of a resource.
func (t *translator) scope(scope map[string]any) error {
	if kind, ok := scope["entity_type"].(string); ok {
		ours := ourTypes[kind]
		if ours == "" {
			return fmt.Errorf("%s has no counterpart", kind)
		}
		scope["entity_type"] = ours
	}
	for _, at := range []map[string]any{scope, object(scope["in"])} {
		if e := object(at["entity"]); e != nil {
			t.namesGroups = t.namesGroups || text(e["type"]) == "THVGroup"
			ours, err := t.entity(e)
			if err != nil {
				return err
			}
			at["entity"] = ours
		}
	}
	return nil
}

// builtIn are ToolHive's actions with ours, and the types of what they are about.
var builtIn = map[string]struct{ action, kind string }{
	"call_tool":     {"CallTool", "Tool"},
	"get_prompt":    {"GetPrompt", "Prompt"},
	"read_resource": {"ReadResource", "Resource"},
}

func (t *translator) actionAndResource(tree, action, resource map[string]any) error {
	var names []string
	switch op, _ := action["op"].(string); op {
	case "All":
		tree["action"] = map[string]any{"op": "All"}
		return t.scope(resource)
	case "==":
		names = []string{actionName(action["entity"])}
	case "in":
		list, _ := action["entities"].([]any)
		for _, e := range list {
			names = append(names, actionName(e))
		}
		if e := object(action["entity"]); e != nil {
			names = append(names, actionName(e))
		}
	}
	var entities []any
	callsTools := false
	for _, name := range names {
		callsTools = callsTools || name == "call_tool"
		ours, known := builtIn[name]
		switch {
		case strings.HasPrefix(name, "list_"):
			continue
		case !known:
			return fmt.Errorf("the action %q has no counterpart", name)
		}
		entities = append(entities, entity("MCP::Action", ours.action))
	}
	if len(entities) == 0 {
		return errDead
	}
	tree["action"] = map[string]any{"op": "in", "entities": entities}
	// A tool is named by its own action here.
	if e := object(resource["entity"]); resource["op"] == "==" && text(e["type"]) == "Tool" {
		switch {
		case !callsTools:
			return errDead // a prompt or a resource is no tool
		case policy.IsReservedTool(text(e["id"])):
			return fmt.Errorf("the tool %q bears the name of a built-in action", text(e["id"]))
		}
		tree["action"] = map[string]any{"op": "==", "entity": entity("MCP::Action", text(e["id"]))}
		tree["resource"] = map[string]any{"op": "in", "entity": entity("MCP::Server", t.server)}
		return nil
	}
	return t.scope(resource)
}

// actionName is empty for what is no action.
func actionName(value any) string {
	e := object(value)
	if text(e["type"]) != "Action" {
		return ""
	}
	return text(e["id"])
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// expression translates an expression in Cedar's JSON form.
func (t *translator) expression(value any) (any, error) {
	switch node := value.(type) {
	case []any:
		for i := range node {
			translated, err := t.expression(node[i])
			if err != nil {
				return nil, err
			}
			node[i] = translated
		}
		return node, nil
	case map[string]any:
		return t.node(node)
	}
	return value, nil
}

func (t *translator) node(node map[string]any) (any, error) {
	if e := object(object(node["Value"])["__entity"]); e != nil {
		ours, err := t.entity(e)
		return map[string]any{"Value": map[string]any{"__entity": ours}}, err
	}
	if _, literal := node["Value"]; literal {
		return node, nil
	}
	if has := object(node["has"]); has != nil {
		return t.has(has)
	}
	if access := object(node["."]); access != nil {
		return nil, fmt.Errorf("%s: only comparisons of it, contains and has can be carried over", pathOf(access))
	}
	for _, name := range slices.Sorted(maps.Keys(node)) {
		if compared, ok, err := t.comparison(name, object(node[name])); ok || err != nil {
			return compared, err
		}
		translated, err := t.expression(node[name])
		if err != nil {
			return nil, err
		}
		node[name] = translated
	}
	return node, nil
}

// attribute is what an access reads of: the kind is claim, argument, own, or empty for what
// is not ToolHive's.
func attribute(access map[string]any) (kind, name string) {
	variable := text(object(access["left"])["Var"])
	name = text(access["attr"])
	for _, row := range []struct {
		prefix, kind string
		of           []string
	}{
		{"claim_", "claim", []string{"principal", "context"}},
		{"claimset_", "claim", []string{"principal", "context"}},
		{"arg_", "argument", []string{"resource", "context"}},
	} {
		if rest, ok := strings.CutPrefix(name, row.prefix); ok && slices.Contains(row.of, variable) {
			return row.kind, rest
		}
	}
	if ours := ownAttributes[name]; variable == "resource" && ours != "" {
		return "own", ours
	}
	return "", ""
}

// ownAttributes are those of resources.
var ownAttributes = map[string]string{
	"name": "name", "uri": "uri", "readOnlyHint": "readOnly", "destructiveHint": "destructive",
	"idempotentHint": "idempotent", "openWorldHint": "openWorld",
}

func pathOf(access map[string]any) string {
	return text(object(access["left"])["Var"]) + "." + text(access["attr"])
}

func variable(name string) map[string]any { return map[string]any{"Var": name} }

func dot(left any, attr string) map[string]any {
	return map[string]any{".": map[string]any{"left": left, "attr": attr}}
}

func and(left, right any) map[string]any {
	return map[string]any{"&&": map[string]any{"left": left, "right": right}}
}

func literal(value any) map[string]any { return map[string]any{"Value": value} }

func input() map[string]any { return dot(variable("context"), "input") }

// has translates whether something is there.
func (t *translator) has(has map[string]any) (any, error) {
	switch kind, name := attribute(has); kind {
	case "claim":
		return hasTag(name), nil
	case "argument":
		return hasInput(name), nil
	case "own":
		// Ours are always there: the server's hint from tools.json, else MCP's default, which
		// assumes the worst. That is the same where the hint is compared as well.
		if t.permits && t.hints[name] && !t.asked["alternatives"] {
			return literal(true), nil
		}
	}
	return nil, fmt.Errorf("has %s has no counterpart here", pathOf(has))
}

// safest are the hints that nobody has by default.
var safest = map[string]bool{"readOnly": true, "destructive": false, "idempotent": true, "openWorld": false}

func hasTag(name string) map[string]any {
	return map[string]any{"hasTag": map[string]any{"left": variable("principal"), "right": literal(name)}}
}

func tag(name string) map[string]any {
	return map[string]any{"getTag": map[string]any{"left": variable("principal"), "right": literal(name)}}
}

func hasInput(name string) map[string]any {
	return map[string]any{"has": map[string]any{"left": input(), "attr": name}}
}

// comparison translates an operator with something of ToolHive's on its left.
func (t *translator) comparison(operator string, sides map[string]any) (any, bool, error) {
	access := object(object(sides["left"])["."])
	if access == nil {
		return nil, false, nil
	}
	right, err := t.expression(sides["right"])
	if err != nil {
		return nil, true, err
	}
	kind, name := attribute(access)
	compare := func(left, right any) (any, bool, error) {
		return map[string]any{operator: map[string]any{"left": left, "right": right}}, true, nil
	}
	if wanted, isHint := safest[name]; kind == "own" && isHint {
		// ToolHive denies where the server declares no hint; ours is then the default.
		if value, isBool := object(right)["Value"].(bool); operator != "==" || !isBool ||
			(value == wanted) != t.permits {
			return nil, true, fmt.Errorf(
				"%s %s ... differs where the server declares no hint",
				pathOf(access),
				operator,
			)
		}
	}
	switch kind {
	case "own":
		return compare(dot(variable("resource"), name), right)
	case "argument":
		t.needs(kind, name, hasInput(name))
		return compare(dot(input(), name), right)
	case "":
		return nil, true, fmt.Errorf("%s has no counterpart", pathOf(access))
	}
	// Claims are sets of texts here; one that is a text is a set of one.
	t.needs(kind, name, hasTag(name))
	switch {
	case operator == "contains" && isText(right), operator == "containsAny", operator == "containsAll":
		return compare(tag(name), right)
	case (operator == "==" || operator == "!=") && isText(right):
		return compare(tag(name), map[string]any{"Set": []any{right}})
	}
	return nil, true, fmt.Errorf("%s %s ...: a claim is a set of texts here; declare it in claims.json and compare "+
		"context.claims.%s", pathOf(access), operator, name)
}

func isText(value any) bool {
	_, ok := object(value)["Value"].(string)
	return ok
}
