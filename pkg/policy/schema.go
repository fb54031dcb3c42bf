package policy

import (
	"fmt"

	"github.com/cedar-policy/cedar-go/types"
	schemaast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"

	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

func cedarString(s string) types.String { return types.String(s) }

func required(t schemaast.IsType) schemaast.Attribute { return schemaast.Attribute{Type: t} }

// entityTypes are those of the model; see shape in each entity's constructor.
func entityTypes() schemaast.Entities {
	inServer := []schemaast.EntityTypeRef{schemaast.EntityType(typeServer)}
	inGroup := []schemaast.EntityTypeRef{schemaast.EntityType(typeGroup)}
	tags := schemaast.Set(schemaast.String())
	return schemaast.Entities{
		"Group":  {},
		"Server": {},
		"User": {ParentTypes: inGroup, Tags: tags, Shape: schemaast.RecordType{
			"sub": required(schemaast.String()), "iss": required(schemaast.String()),
			"scopes": required(schemaast.Set(schemaast.String())),
		}},
		"Workload": {ParentTypes: inGroup, Tags: tags, Shape: schemaast.RecordType{
			"namespace": required(schemaast.String()), "serviceAccount": required(schemaast.String()),
		}},
		"ToolGroup": {ParentTypes: []schemaast.EntityTypeRef{schemaast.EntityType(typeToolGroup)}},
		"Tool": {ParentTypes: append(inServer[:1:1], schemaast.EntityType(typeToolGroup)), Shape: schemaast.RecordType{
			"name": required(schemaast.String()), "readOnly": required(schemaast.Bool()),
			"destructive": required(schemaast.Bool()), "idempotent": required(schemaast.Bool()),
			"openWorld": required(schemaast.Bool()),
		}},
		"Resource": {ParentTypes: inServer, Shape: schemaast.RecordType{"uri": required(schemaast.String())}},
		"Prompt":   {ParentTypes: inServer, Shape: schemaast.RecordType{"name": required(schemaast.String())}},
	}
}

func contextType(input, claims schemaast.RecordType) schemaast.RecordType {
	return schemaast.RecordType{
		contextInput: required(input),
		"claims":     required(claims),
		"server":     required(schemaast.String()),
		"role":       required(schemaast.String()),
		"pod": required(schemaast.RecordType{
			"namespace": required(schemaast.String()), "name": required(schemaast.String()),
			"serviceAccount": required(schemaast.String()),
		}),
		"now":        required(schemaast.Datetime()),
		contextAWS:   {Type: scriptType(), Optional: true},
		contextActor: {Type: schemaast.String(), Optional: true},
	}
}

// model is what a schema follows from, beside what is the same in all.
type model struct {
	principals []types.EntityType
	// inputs are the tools that get an action, with their arguments.
	inputs map[string]*argumentType
	own    ownTypes
	claims map[string]claimType
}

// schema is what policies are validated against: the model, an action per tool, and
// whatever entities.json and claims.json bring.
func (m *model) schema() (*resolved.Schema, error) {
	principals, toolInputs, own := m.principals, m.inputs, m.own
	principalRefs := make([]schemaast.EntityTypeRef, len(principals))
	for i, p := range principals {
		principalRefs[i] = schemaast.EntityType(p)
	}
	appliesTo := func(resource types.EntityType, input schemaast.RecordType) *schemaast.AppliesTo {
		return &schemaast.AppliesTo{
			Principals: principalRefs,
			Resources:  []schemaast.EntityTypeRef{schemaast.EntityType(resource)},
			Context:    contextType(input, claimsType(m.claims)),
		}
	}
	none := schemaast.RecordType{}
	actions := schemaast.Actions{
		cedarString(string(CallTool)):     {AppliesTo: appliesTo(typeTool, none)},
		cedarString(string(ReadResource)): {AppliesTo: appliesTo(typeResource, none)},
		cedarString(string(GetPrompt)):    {AppliesTo: appliesTo(typePrompt, none)},
	}
	for name, input := range toolInputs {
		if IsReservedTool(name) {
			continue
		}
		actions[cedarString(name)] = schemaast.Action{
			Parents:   []schemaast.ParentRef{schemaast.ParentRefFromID(cedarString(string(CallTool)))},
			AppliesTo: appliesTo(typeTool, input.recordType()),
		}
	}
	text := &schemaast.Schema{Namespaces: schemaast.Namespaces{
		namespace: {Entities: entityTypes(), Actions: actions},
	}}
	if err := own.addTo(text); err != nil {
		return nil, err
	}
	result, err := schema.NewSchemaFromAST(text).Resolve()
	if err != nil {
		return nil, fmt.Errorf("resolve the schema: %w", err)
	}
	return result, nil
}

// contextSize is about how many attributes the context of an action has beside its
// arguments and the claims.
const contextSize = 16

// size is about how many types the schema has.
func (m *model) size() int {
	size := builtInActions * contextSize
	for _, input := range m.inputs {
		size += contextSize + len(m.claims) + input.size()
	}
	for _, own := range m.own {
		size += 1 + len(own.attributes)
	}
	return size
}
