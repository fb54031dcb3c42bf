package yamledit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Set adds, replaces or removes the value at a JSON pointer (RFC 6901), as the
// operations add, replace and remove of RFC 6902 do; "-" stands for the end of a list.
func (o *Object) Set(operation, pointer string, value any) error {
	o.prepare()
	added, err := toNode(value)
	if err != nil {
		return err
	}
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for n := range tokens {
		tokens[n] = pointerUnescape.Replace(tokens[n])
	}
	parent := o.node
	for _, token := range tokens[:len(tokens)-1] {
		// What is added is easier to read in a block, and a block cannot stand
		// inside braces.
		parent.Style &^= yaml.FlowStyle
		if parent = member(parent, token); parent == nil {
			return fmt.Errorf("%s: %s: no such field", o, pointer)
		}
	}
	last := tokens[len(tokens)-1]
	if operation == "remove" {
		err = remove(parent, last)
	} else {
		err = set(parent, operation, last, added)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", o, pointer, err)
	}
	o.document.changed = true
	return nil
}

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

// prepare makes the object's tree one in which every value stands where it is
// used, so that changing one changes no other.
func (o *Object) prepare() {
	if !o.flat && hasAliases(o.node) {
		*o.node = *flattened(o.node)
	}
	// What is added has none.
	o.flat = true
}

func toNode(value any) (*yaml.Node, error) {
	// It quotes what YAML 1.1 and 1.2 read differently.
	text, err := sigsyaml.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return document.Content[0], nil
}

func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for n := 0; n+1 < len(node.Content) && node.Kind == yaml.MappingNode; n += 2 {
		if node.Content[n].Value == key {
			return node.Content[n+1]
		}
	}
	return nil
}

func member(node *yaml.Node, token string) *yaml.Node {
	if node.Kind != yaml.SequenceNode {
		return child(node, token)
	}
	index, err := strconv.Atoi(token)
	if err != nil || index < 0 || index >= len(node.Content) {
		return nil
	}
	return node.Content[index]
}

func remove(parent *yaml.Node, token string) error {
	if parent.Kind == yaml.SequenceNode {
		index, err := strconv.Atoi(token)
		if err != nil || index < 0 || index >= len(parent.Content) {
			return errors.New("no such place in the list")
		}
		parent.Content = slices.Delete(parent.Content, index, index+1)
		return nil
	}
	for n := 0; n+1 < len(parent.Content) && parent.Kind == yaml.MappingNode; n += 2 {
		if parent.Content[n].Value == token {
			parent.Content = slices.Delete(parent.Content, n, n+2)
			return nil
		}
	}
	return errors.New("no such field")
}

func set(parent *yaml.Node, operation, token string, value *yaml.Node) error {
	parent.Style &^= yaml.FlowStyle
	switch parent.Kind {
	case yaml.MappingNode:
		for n := 0; n+1 < len(parent.Content); n += 2 {
			if parent.Content[n].Value == token {
				parent.Content[n+1] = value
				return nil
			}
		}
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: token}, value)
		return nil
	case yaml.SequenceNode:
		if token == "-" {
			parent.Content = append(parent.Content, value)
			return nil
		}
		index, err := strconv.Atoi(token)
		if err != nil || index < 0 || index > len(parent.Content) {
			return errors.New("no such place in the list")
		}
		if operation == "replace" {
			parent.Content[index] = value
			return nil
		}
		parent.Content = slices.Insert(parent.Content, index, value)
		return nil
	}
	return errors.New("not a list and not a mapping")
}

func hasAliases(node *yaml.Node) bool {
	return node.Kind == yaml.AliasNode || slices.ContainsFunc(node.Content, hasAliases)
}

// maxNodes bounds what a document with aliases may expand to.
const maxNodes = 1 << 17

// expandedSize is how many nodes a tree has when each alias is replaced by what
// it stands for. Sizes that are known are in known; 0 marks a node that is
// being measured.
func expandedSize(node *yaml.Node, known map[*yaml.Node]int) (int, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	size, measured := known[node]
	switch {
	case measured && size == 0:
		return 0, fmt.Errorf("line %d: an anchor contains itself", node.Line)
	case measured:
		return size, nil
	}
	known[node] = 0
	size = 1
	for _, content := range node.Content {
		more, err := expandedSize(content, known)
		if err != nil {
			return 0, err
		}
		if size += more; size > maxNodes {
			return 0, fmt.Errorf("line %d: the aliases expand to more than %d nodes", node.Line, maxNodes)
		}
	}
	known[node] = size
	return size, nil
}

// flattened copies a tree with every alias replaced by what it stands for and
// every merge key (<<) by the members that it brings.
func flattened(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return flattened(node.Alias)
	}
	flat := *node
	flat.Anchor = ""
	flat.Content = nil
	var merged []*yaml.Node
	for n, content := range node.Content {
		if node.Kind == yaml.MappingNode && n%2 == 1 && node.Content[n-1].Tag == "!!merge" {
			merged = append(merged, content)
			continue
		}
		if node.Kind == yaml.MappingNode && n%2 == 0 && content.Tag == "!!merge" {
			continue
		}
		flat.Content = append(flat.Content, flattened(content))
	}
	for _, source := range merged {
		merge(&flat, flattened(source))
	}
	return &flat
}

// merge adds the members of source that target lacks.
// https://yaml.org/type/merge.html
func merge(target, source *yaml.Node) {
	if source.Kind == yaml.SequenceNode {
		for _, part := range source.Content {
			merge(target, part)
		}
		return
	}
	for n := 0; n+1 < len(source.Content); n += 2 {
		if child(target, source.Content[n].Value) == nil {
			target.Content = append(target.Content, source.Content[n], source.Content[n+1])
		}
	}
}
