package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Set adds or replaces the value at a JSON pointer (RFC 6901), as the
// operations add and replace of RFC 6902 do; "-" stands for the end of a list.
func (o *Object) Set(operation, pointer string, value any) error {
	if err := o.prepare(); err != nil {
		return err
	}
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
		if parent = member(parent, token); parent == nil {
			return fmt.Errorf("%s: %s: no such field", o, pointer)
		}
	}
	if err := set(parent, operation, tokens[len(tokens)-1], added); err != nil {
		return fmt.Errorf("%s: %s: %w", o, pointer, err)
	}
	o.document.changed = true
	return nil
}

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")

// prepare makes the object's tree one in which every value stands where it is
// used, so that changing one changes no other.
func (o *Object) prepare() error {
	if !hasAliases(o.node) {
		return nil
	}
	flat, err := flattened(o.node)
	if err != nil {
		return err
	}
	*o.node = *flat
	return nil
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

func set(parent *yaml.Node, operation, token string, value *yaml.Node) error {
	// A block cannot stand inside braces.
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

// maxNodes bounds what aliases may expand to.
const maxNodes = 1 << 20

// flattened copies a tree with every alias replaced by what it stands for and
// every merge key (<<) by the members that it brings.
func flattened(node *yaml.Node) (*yaml.Node, error) {
	left := maxNodes
	return flatten(node, &left)
}

func flatten(node *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errors.New("the YAML expands to too much")
	}
	if node.Kind == yaml.AliasNode {
		return flatten(node.Alias, left)
	}
	flat := *node
	flat.Anchor = ""
	flat.Content = nil
	var merged []*yaml.Node
	for n, content := range node.Content {
		if node.Kind == yaml.MappingNode && n%2 == 1 && node.Content[n-1].Tag == "!!merge" {
			continue
		}
		if node.Kind == yaml.MappingNode && n%2 == 0 && content.Tag == "!!merge" {
			merged = append(merged, node.Content[n+1])
			continue
		}
		copied, err := flatten(content, left)
		if err != nil {
			return nil, err
		}
		flat.Content = append(flat.Content, copied)
	}
	for _, source := range merged {
		if err := merge(&flat, source, left); err != nil {
			return nil, err
		}
	}
	return &flat, nil
}

// merge adds the members of source that target lacks.
// https://yaml.org/type/merge.html
func merge(target, source *yaml.Node, left *int) error {
	flat, err := flatten(source, left)
	if err != nil {
		return err
	}
	if flat.Kind == yaml.SequenceNode {
		for _, part := range flat.Content {
			if err := merge(target, part, left); err != nil {
				return err
			}
		}
		return nil
	}
	for n := 0; n+1 < len(flat.Content); n += 2 {
		if child(target, flat.Content[n].Value) == nil {
			target.Content = append(target.Content, flat.Content[n], flat.Content[n+1])
		}
	}
	return nil
}
