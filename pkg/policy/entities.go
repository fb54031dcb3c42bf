package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	schemaast "github.com/cedar-policy/cedar-go/x/exp/schema/ast"
	"github.com/go-json-experiment/json"

	"github.com/countersign-io/countersign/pkg/authconfig"
)

// ownTypes are the entity types that entities.json brings, with the shape that
// its entities have. The user writes no schema, so it is read off the data.
type ownTypes map[types.EntityType]*ownType

type ownType struct {
	count      int
	attributes map[types.String]*ownAttribute
	parents    map[types.EntityType]bool
	tags       schemaast.IsType
}

type ownAttribute struct {
	typ   schemaast.IsType
	count int
}

// parseEntities reads entities.json, which may hold Groups, Servers and types
// of the user's own.
func parseEntities(text []byte) (types.EntityMap, ownTypes, authconfig.Errors) {
	var errs authconfig.Errors
	var entities types.EntityMap
	bounds := jsonBounds{depth: maxEntityDepth, values: maxEntityValues, setWork: maxSetWork, noSetsIn: "parents"}
	if err := bounds.check(text); err != nil {
		errs.Addf(authconfig.FileEntities, "%v", err)
		return nil, nil, errs
	}
	if err := json.Unmarshal(text, &entities); err != nil {
		errs.Addf(authconfig.FileEntities, "is not a list of Cedar entities: %v", err)
		return nil, nil, errs
	}
	own := ownTypes{}
	uids := make([]types.EntityUID, 0, len(entities))
	for uid := range entities {
		uids = append(uids, uid)
	}
	slices.SortFunc(uids, func(a, b types.EntityUID) int { return strings.Compare(a.String(), b.String()) })
	for _, uid := range uids {
		if uid.Type == typeTool {
			if err := own.observeTool(entities[uid]); err != nil {
				errs.Addf(authconfig.FileEntities, "%s: %v", uid, err)
			}
			continue
		}
		if isRequestType(uid.Type) {
			errs.Addf(
				authconfig.FileEntities,
				"%s: entities of type %s come from requests and cannot be static",
				uid,
				uid.Type,
			)
			continue
		}
		if err := own.observe(entities[uid]); err != nil {
			errs.Addf(authconfig.FileEntities, "%s: %v", uid, err)
		}
	}
	return entities, own, errs
}

func isRequestType(t types.EntityType) bool {
	switch t {
	case typeUser, typeWorkload, typeTool, typeResource, typePrompt:
		return true
	}
	// Actions exist in every namespace.
	return t == "Action" || strings.HasSuffix(string(t), "::Action")
}

// builtInToolAttributes come from tools.json, or are MCP's defaults.
var builtInToolAttributes = []types.String{"name", "readOnly", "destructive", "idempotent", "openWorld"}

// observeTool takes what entities.json may say of a tool: groups that it is in, and
// attributes of names that are not built in.
func (o ownTypes) observeTool(tool types.Entity) error {
	for parent := range tool.Parents.All() {
		if parent.Type != typeToolGroup {
			return fmt.Errorf(
				"cannot be in %s: a tool is in its server, and in groups of type %s",
				parent,
				typeToolGroup,
			)
		}
	}
	for name := range tool.Attributes.All() {
		if slices.Contains(builtInToolAttributes, name) {
			return fmt.Errorf("attribute %q is built in: tools.json says it", string(name))
		}
	}
	if tool.Tags.Len() > 0 {
		return errors.New("a tool has no tags")
	}
	return o.observe(tool)
}

func (o ownTypes) observe(entity types.Entity) error {
	t := o[entity.UID.Type]
	if t == nil {
		t = &ownType{attributes: map[types.String]*ownAttribute{}, parents: map[types.EntityType]bool{}}
		o[entity.UID.Type] = t
	}
	t.count++
	for parent := range entity.Parents.All() {
		if isRequestType(parent.Type) {
			return fmt.Errorf("cannot be in %s", parent)
		}
		t.parents[parent.Type] = true
	}
	for name, value := range entity.Attributes.All() {
		if err := t.observeAttribute(name, value); err != nil {
			return fmt.Errorf("attribute %q: %w", string(name), err)
		}
	}
	for name, value := range entity.Tags.All() {
		typ, err := typeOfValue(value)
		if err == nil {
			typ, err = mergeTypes(t.tags, typ)
		}
		if err != nil {
			return fmt.Errorf("tag %q: %w", string(name), err)
		}
		t.tags = typ
	}
	return nil
}

func (t *ownType) observeAttribute(name types.String, value types.Value) error {
	typ, err := typeOfValue(value)
	if err != nil {
		return err
	}
	attribute := t.attributes[name]
	if attribute == nil {
		attribute = &ownAttribute{}
		t.attributes[name] = attribute
	}
	merged, err := mergeTypes(attribute.typ, typ)
	if err != nil {
		return err
	}
	attribute.count++
	attribute.typ = merged
	return nil
}

// addTo declares the types, and all types that they name as parents.
func (o ownTypes) addTo(model *schemaast.Schema) error {
	for _, t := range o {
		for parent := range t.parents {
			if o[parent] == nil && parent != typeGroup && parent != typeServer && parent != typeToolGroup {
				return fmt.Errorf("%s: the type %s of a parent has no entity", authconfig.FileEntities, parent)
			}
		}
	}
	for name, t := range o {
		if name == typeTool {
			t.addToTools(model.Namespaces[namespace].Entities)
			continue
		}
		path, ident := types.Path(""), string(name)
		if i := strings.LastIndex(ident, "::"); i >= 0 {
			path, ident = types.Path(ident[:i]), ident[i+2:]
		}
		declared := schemaast.Entity{Shape: schemaast.RecordType{}}
		if t.tags != nil {
			declared.Tags = settled(t.tags)
		}
		for parent := range t.parents {
			declared.ParentTypes = append(declared.ParentTypes, schemaast.EntityType(parent))
		}
		for attribute, a := range t.attributes {
			declared.Shape[attribute] = schemaast.Attribute{Type: settled(a.typ), Optional: a.count < t.count}
		}
		if path == "" {
			if model.Entities == nil {
				model.Entities = schemaast.Entities{}
			}
			model.Entities[schemaast.Ident(ident)] = declared
			continue
		}
		space := model.Namespaces[path]
		if space.Entities == nil {
			space.Entities = schemaast.Entities{}
		}
		space.Entities[schemaast.Ident(ident)] = declared
		model.Namespaces[path] = space
	}
	return nil
}

// addToTools adds the attributes that some tools have to the type of all of them.
func (t *ownType) addToTools(entities schemaast.Entities) {
	tool := entities["Tool"]
	for attribute, a := range t.attributes {
		tool.Shape[attribute] = schemaast.Attribute{Type: settled(a.typ), Optional: true}
	}
	entities["Tool"] = tool
}

// settled makes sets of which only empty ones were seen sets of strings.
func settled(t schemaast.IsType) schemaast.IsType {
	switch typ := t.(type) {
	case schemaast.SetType:
		if typ.Element == nil {
			return schemaast.Set(schemaast.String())
		}
		return schemaast.Set(settled(typ.Element))
	case schemaast.RecordType:
		record := schemaast.RecordType{}
		for name, attribute := range typ {
			attribute.Type = settled(attribute.Type)
			record[name] = attribute
		}
		return record
	}
	return t
}

var errMixedTypes = errors.New("values of different types")

func typeOfValue(value types.Value) (schemaast.IsType, error) {
	switch v := value.(type) {
	case types.String:
		return schemaast.String(), nil
	case types.Long:
		return schemaast.Long(), nil
	case types.Boolean:
		return schemaast.Bool(), nil
	case types.Decimal:
		return schemaast.Decimal(), nil
	case types.Datetime:
		return schemaast.Datetime(), nil
	case types.Duration:
		return schemaast.Duration(), nil
	case types.IPAddr:
		return schemaast.IPAddr(), nil
	case types.EntityUID:
		return schemaast.EntityType(v.Type), nil
	case types.Set:
		var element schemaast.IsType
		for member := range v.All() {
			typ, err := typeOfValue(member)
			if err == nil {
				element, err = mergeTypes(element, typ)
			}
			if err != nil {
				return nil, err
			}
		}
		// Of an empty set nothing is known yet; see settled.
		return schemaast.Set(element), nil
	case types.Record:
		record := schemaast.RecordType{}
		for name, member := range v.All() {
			typ, err := typeOfValue(member)
			if err != nil {
				return nil, err
			}
			record[name] = required(typ)
		}
		return record, nil
	}
	return nil, fmt.Errorf("a value of type %T has no place in the schema", value)
}

// mergeTypes joins the types of one attribute in several entities: records may
// differ in what they have, nothing else may differ.
func mergeTypes(a, b schemaast.IsType) (schemaast.IsType, error) {
	if a == nil || b == nil {
		if a == nil {
			return b, nil
		}
		return a, nil
	}
	switch left := a.(type) {
	case schemaast.RecordType:
		if right, ok := b.(schemaast.RecordType); ok {
			return mergeRecords(left, right)
		}
	case schemaast.SetType:
		if right, ok := b.(schemaast.SetType); ok {
			element, err := mergeTypes(left.Element, right.Element)
			if err != nil {
				return nil, err
			}
			return schemaast.Set(element), nil
		}
	default:
		// The rest are comparable: basic, extension and entity types.
		switch b.(type) {
		case schemaast.RecordType, schemaast.SetType:
		default:
			if a == b {
				return a, nil
			}
		}
	}
	return nil, errMixedTypes
}

func mergeRecords(a, b schemaast.RecordType) (schemaast.IsType, error) {
	merged := schemaast.RecordType{}
	for name, attribute := range a {
		_, inBoth := b[name]
		attribute.Optional = attribute.Optional || !inBoth
		merged[name] = attribute
	}
	for name, attribute := range b {
		existing, inBoth := merged[name]
		if !inBoth {
			attribute.Optional = true
			merged[name] = attribute
			continue
		}
		typ, err := mergeTypes(existing.Type, attribute.Type)
		if err != nil {
			return nil, err
		}
		merged[name] = schemaast.Attribute{Type: typ, Optional: existing.Optional || attribute.Optional}
	}
	return merged, nil
}
