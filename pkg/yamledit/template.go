package yamledit

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxTemplateDepth is how deep in an object templates are looked for.
const maxTemplateDepth = 16

// PodTemplates gives the paths of every Pod template in the object, by its shape and
// whatever its kind: a mapping with a spec that has a list of containers. A Pod
// itself has the empty path. Kinds come and go, and operators nest templates in
// roles, groups and lists.
func (o *Object) PodTemplates() [][]string {
	var found [][]string
	walkMappings(o.node, nil, 0, func(path []string, node *yaml.Node) bool {
		if !isTemplate(node) {
			return true
		}
		found = append(found, path)
		return false
	})
	return found
}

// Annotated gives the paths of all that carries an annotation of this name, in
// metadata of any kind: somebody expects something of it.
func (o *Object) Annotated(name string) [][]string {
	var found [][]string
	walkMappings(o.node, nil, 0, func(path []string, node *yaml.Node) bool {
		if len(path) > 0 && path[len(path)-1] == "annotations" && child(node, name) != nil {
			found = append(found, path[:len(path)-1])
		}
		return true
	})
	return found
}

// isTemplate reports whether a mapping has the shape of a Pod or of a template.
func isTemplate(node *yaml.Node) bool {
	spec := child(node, "spec")
	if spec == nil {
		return false
	}
	containers := resolve(child(spec, "containers"))
	return containers != nil && containers.Kind == yaml.SequenceNode
}

func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// walkMappings visits every mapping below a node, from the outside in; visit
// reports whether to go on below it.
func walkMappings(node *yaml.Node, path []string, depth int, visit func([]string, *yaml.Node) bool) {
	node = resolve(node)
	if node == nil || depth > maxTemplateDepth {
		return
	}
	below := func(key string) []string { return append(path[:len(path):len(path)], key) }
	switch node.Kind {
	case yaml.MappingNode:
		if !visit(path, node) {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			walkMappings(node.Content[i+1], below(node.Content[i].Value), depth+1, visit)
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			walkMappings(item, below(strconv.Itoa(i)), depth+1, visit)
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
}

// OptsOut reports whether the annotation of this name, beside others at the path, is
// "false".
func (o *Object) OptsOut(path []string, name string) bool {
	node := o.node
	for _, key := range append(path[:len(path):len(path)], "annotations", name) {
		if node = member(resolve(node), key); node == nil {
			return false
		}
	}
	return resolve(node).Value == "false"
}
