// Package policy decides with Cedar whether a caller may use a tool, a resource
// or a prompt. It knows callers and messages only as values; nothing here does
// I/O.
//
// The model follows the conventions of cedar-for-agents and AgentCore Policy:
// everything lies in namespace MCP, every tool has an action of its own in
// MCP::Action::"CallTool".
package policy

import (
	"github.com/cedar-policy/cedar-go/types"
)

const namespace = "MCP"

// The entity types of the model. Entities of these types other than Group and
// Server come from the request, never from entities.json.
const (
	typeGroup    types.EntityType = namespace + "::Group"
	typeServer   types.EntityType = namespace + "::Server"
	typeUser     types.EntityType = namespace + "::User"
	typeWorkload types.EntityType = namespace + "::Workload"
	typeTool     types.EntityType = namespace + "::Tool"
	typeResource types.EntityType = namespace + "::Resource"
	typePrompt   types.EntityType = namespace + "::Prompt"
	// typeToolGroup is for groups of tools, which entities.json makes.
	typeToolGroup types.EntityType = namespace + "::ToolGroup"
	typeAction    types.EntityType = namespace + "::Action"
)

// Action is one of the built-in actions.
type Action string

// The built-in actions. A tools/call is asked with an action named like its
// tool, which is in CallTool.
const (
	CallTool     Action = "CallTool"
	ReadResource Action = "ReadResource"
	GetPrompt    Action = "GetPrompt"
)

// builtInActions is how many there are beside those of tools: CallTool, ReadResource
// and GetPrompt.
const builtInActions = 3

// IsReservedTool tells tool names that are those of built-in actions: a policy
// on the action would decide on the tool too, so such tools are always denied.
func IsReservedTool(name string) bool {
	switch Action(name) {
	case CallTool, ReadResource, GetPrompt:
		return true
	}
	return false
}

// Pod is where the sidecar runs; all fields are empty outside a cluster.
type Pod struct {
	Namespace      string
	Name           string
	ServiceAccount string
}

func (p Pod) record() types.Record {
	return types.NewRecord(types.RecordMap{
		"namespace":      types.String(p.Namespace),
		"name":           types.String(p.Name),
		"serviceAccount": types.String(p.ServiceAccount),
	})
}

func actionUID(name string) types.EntityUID {
	return types.NewEntityUID(typeAction, types.String(name))
}

var (
	callToolUID     = actionUID(string(CallTool))
	readResourceUID = actionUID(string(ReadResource))
	getPromptUID    = actionUID(string(GetPrompt))
)
