package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	schemaast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"

	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/mcp"
)

// argumentKind is the Cedar type of an argument; kindAny is for JSON Schemas
// that no single Cedar type can hold.
type argumentKind int

const (
	kindAny argumentKind = iota
	kindString
	kindBool
	kindLong
	kindDecimal
	kindSet
	kindRecord
)

// argumentType is the type of one argument or of all of them.
type argumentType struct {
	kind       argumentKind
	element    *argumentType
	properties map[string]*argumentType
	required   map[string]bool
}

// A nil argumentType is one that nothing is known of.
func (t *argumentType) is(kind argumentKind) bool { return t != nil && t.kind == kind }

func (t *argumentType) fits(json jsontext.Kind) bool {
	if t == nil {
		return true
	}
	switch t.kind {
	case kindString:
		return json == '"'
	case kindBool:
		return json == 't' || json == 'f'
	case kindLong, kindDecimal:
		return json == '0'
	case kindSet:
		return json == '['
	case kindRecord:
		return json == '{'
	default:
		return true
	}
}

func (t *argumentType) property(name string) *argumentType {
	if t == nil {
		return nil
	}
	return t.properties[name]
}

func (t *argumentType) items() *argumentType {
	if t == nil {
		return nil
	}
	return t.element
}

// schemaType is false for a type that the schema has to leave out.
func (t *argumentType) schemaType() (schemaast.IsType, bool) {
	switch {
	case t == nil:
	case t.kind == kindString:
		return schemaast.String(), true
	case t.kind == kindBool:
		return schemaast.Bool(), true
	case t.kind == kindLong:
		return schemaast.Long(), true
	case t.kind == kindDecimal:
		return schemaast.Decimal(), true
	case t.kind == kindSet:
		if element, ok := t.element.schemaType(); ok {
			return schemaast.Set(element), true
		}
	case t.kind == kindRecord:
		return t.recordType(), true
	}
	return nil, false
}

// size is how many types it is made of.
func (t *argumentType) size() int {
	if t == nil {
		return 0
	}
	size := 1 + t.element.size()
	for _, property := range t.properties {
		size += property.size()
	}
	return size
}

func (t *argumentType) recordType() schemaast.RecordType {
	record := schemaast.RecordType{}
	if t == nil {
		return record
	}
	for name, property := range t.properties {
		if typ, ok := property.schemaType(); ok {
			record[cedarString(name)] = schemaast.Attribute{Type: typ, Optional: !t.required[name]}
		}
	}
	return record
}

// toolAnnotations are MCP's, as far as they say what a tool does.
type toolAnnotations struct {
	ReadOnly    *bool `json:"readOnlyHint"`
	Destructive *bool `json:"destructiveHint"`
	Idempotent  *bool `json:"idempotentHint"`
	OpenWorld   *bool `json:"openWorldHint"`
}

// toolHints are a tool's annotations with MCP's defaults for those that it lacks.
type toolHints struct{ readOnly, destructive, idempotent, openWorld bool }

var defaultHints = toolHints{destructive: true, openWorld: true}

func (a *toolAnnotations) hints() toolHints {
	hint := func(value *bool, fallback bool) bool {
		if value != nil {
			return *value
		}
		return fallback
	}
	return toolHints{
		readOnly:    hint(a.ReadOnly, defaultHints.readOnly),
		destructive: hint(a.Destructive, defaultHints.destructive),
		idempotent:  hint(a.Idempotent, defaultHints.idempotent),
		openWorld:   hint(a.OpenWorld, defaultHints.openWorld),
	}
}

// savedTool is one tool of tools.json.
type savedTool struct {
	hints toolHints
	input *argumentType
}

// jsonSchema is the part of a JSON Schema that has a meaning in Cedar.
type jsonSchema struct {
	Type       jsontext.Value            `json:"type"`
	Properties map[string]jsontext.Value `json:"properties"`
	Required   []string                  `json:"required"`
	Items      jsontext.Value            `json:"items"`
	AnyOf      []jsontext.Value          `json:"anyOf"`
	OneOf      []jsontext.Value          `json:"oneOf"`
	Enum       []jsontext.Value          `json:"enum"`
}

// parseTools reads a saved tools/list result, bare or inside its JSON-RPC
// answer.
func parseTools(text []byte) (map[string]*savedTool, authconfig.Errors) {
	var errs authconfig.Errors
	bounds := jsonBounds{depth: maxSchemaDepth, values: math.MaxInt, setWork: math.MaxInt64}
	if err := bounds.check(text); err != nil {
		errs.Addf(authconfig.FileTools, "%v", err)
		return nil, errs
	}
	list, err := readToolList(text)
	if err != nil {
		errs.Addf(authconfig.FileTools, "is not a tools/list result: %v", err)
		return nil, errs
	}
	if len(list.Tools) > maxTools {
		errs.Addf(authconfig.FileTools, "has more than %d tools: save those that policies are about", maxTools)
		return nil, errs
	}
	if list.Tools == nil {
		errs.Addf(authconfig.FileTools, "has no tools: it must be a saved tools/list result")
	}
	if list.NextCursor != nil {
		errs.Addf(authconfig.FileTools, "is one page of several (it has a nextCursor): save the whole list")
	}
	tools := make(map[string]*savedTool, len(list.Tools))
	for i, tool := range list.Tools {
		path := fmt.Sprintf("%s: tools[%d]", authconfig.FileTools, i)
		switch {
		case tool.Name == "":
			errs.Addf(path, "has no name")
			continue
		case IsReservedTool(tool.Name):
			errs.Addf(path, "bears the name of the built-in action %q and is always denied", tool.Name)
		case tools[tool.Name] != nil:
			errs.Addf(path, "is a second tool %q", tool.Name)
		}
		tools[tool.Name] = &savedTool{hints: tool.Annotations.hints(), input: inputType(tool.InputSchema)}
	}
	return tools, errs
}

// toolList is a tools/list result.
type toolList struct {
	Tools []struct {
		Name        string          `json:"name"`
		InputSchema jsontext.Value  `json:"inputSchema"`
		Annotations toolAnnotations `json:"annotations"`
	} `json:"tools"`
	NextCursor *string `json:"nextCursor"`
}

// readToolList reads a tools/list result, bare or inside its JSON-RPC answer.
func readToolList(text []byte) (*toolList, error) {
	var saved struct {
		toolList
		Result *toolList `json:"result"`
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, err
	}
	if saved.Result != nil {
		return saved.Result, nil
	}
	return &saved.toolList, nil
}

// ParamHeaders are the arguments that headers repeat, by tool, as tools.json has
// them; what it cannot read it leaves to Compile to tell.
func ParamHeaders(tools []byte) map[string][]mcp.ParamHeader {
	if tools == nil {
		return nil
	}
	list, err := readToolList(tools)
	if err != nil {
		return nil
	}
	headers := map[string][]mcp.ParamHeader{}
	for _, tool := range list.Tools {
		if found := mcp.ParamHeaders(tool.InputSchema); len(found) > 0 {
			headers[tool.Name] = found
		}
	}
	return headers
}

func inputType(schema jsontext.Value) *argumentType {
	if t := typeOfSchema(schema); t.is(kindRecord) {
		return t
	}
	return &argumentType{kind: kindRecord}
}

// typeOfSchema is nil for a schema that says nothing, that allows several
// types, or that is not understood.
func typeOfSchema(text jsontext.Value) *argumentType {
	var schema jsonSchema
	if text.Kind() != '{' || json.Unmarshal(text, &schema) != nil {
		return nil
	}
	if branch := soleBranch(append(schema.AnyOf, schema.OneOf...)); len(schema.Type) == 0 && branch != nil {
		return typeOfSchema(branch)
	}
	if len(schema.Type) == 0 && len(schema.Enum) > 0 &&
		!slices.ContainsFunc(schema.Enum, func(v jsontext.Value) bool { return v.Kind() != '"' }) {
		return &argumentType{kind: kindString}
	}
	switch soleType(schema.Type) {
	case "string":
		return &argumentType{kind: kindString}
	case "boolean":
		return &argumentType{kind: kindBool}
	case "integer":
		return &argumentType{kind: kindLong}
	case "number":
		return &argumentType{kind: kindDecimal}
	case "array":
		return &argumentType{kind: kindSet, element: typeOfSchema(schema.Items)}
	case "object":
		t := &argumentType{kind: kindRecord, properties: map[string]*argumentType{}, required: map[string]bool{}}
		for name, property := range schema.Properties {
			t.properties[name] = typeOfSchema(property)
		}
		for _, name := range schema.Required {
			t.required[name] = true
		}
		return t
	}
	return nil
}

// soleBranch reads anyOf [T, {"type": "null"}], as many generators write what is
// optional.
func soleBranch(branches []jsontext.Value) jsontext.Value {
	branches = slices.DeleteFunc(branches, func(branch jsontext.Value) bool {
		var schema jsonSchema
		return json.Unmarshal(branch, &schema) == nil && string(schema.Type) == `"null"`
	})
	if len(branches) != 1 {
		return nil
	}
	return branches[0]
}

// soleType reads "string" and ["string", "null"]; null is left out of a
// record, so it is no type of its own.
func soleType(text jsontext.Value) string {
	var one string
	if json.Unmarshal(text, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(text, &several) != nil {
		return ""
	}
	several = slices.DeleteFunc(several, func(s string) bool { return s == "null" })
	if len(several) != 1 {
		return ""
	}
	return several[0]
}
