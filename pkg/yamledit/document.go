// Package yamledit reads files of Kubernetes objects, changes single fields of
// them and writes them again. What is not changed stays as it was written,
// comments and order included.
package yamledit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsjson "sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"
)

// Document is one YAML document of a file.
type Document struct {
	// separator is the line before it, text what follows, both as read.
	separator, text string
	root            yaml.Node
	changed         bool
	// compact is whether the author writes lists in the column of their key.
	compact bool
}

// Object is a Kubernetes object: a document, or an item of a List.
type Object struct {
	Kind, Namespace, Name string

	document *Document
	node     *yaml.Node
	// flat is set once the tree is known to have no aliases.
	flat bool
}

// separatorLine is a line that begins a document: alone, with a comment, or with
// the document's first line behind it.
// https://yaml.org/spec/1.2.2/#91-documents
var separatorLine = regexp.MustCompile(`(?m)^---(?:[ \t]*(?:#[^\n]*)?\r?(?:\n|$)|[ \t])`)

// Read splits a file into its documents. JSON is YAML too.
func Read(text string) ([]*Document, error) {
	var documents []*Document
	separator, begin := "", 0
	cut := func(end int) error {
		d := &Document{separator: separator, text: text[begin:end]}
		if err := d.parse(); err != nil {
			return fmt.Errorf("document %d: %w", len(documents)+1, err)
		}
		// What stands before the first separator is a document only if there is
		// something in it.
		if separator != "" || d.text != "" {
			documents = append(documents, d)
		}
		return nil
	}
	for _, at := range separatorLine.FindAllStringIndex(text, -1) {
		if err := cut(at[0]); err != nil {
			return nil, err
		}
		separator, begin = text[at[0]:at[1]], at[1]
	}
	if err := cut(len(text)); err != nil {
		return nil, err
	}
	return documents, nil
}

func (d *Document) parse() error {
	decoder := yaml.NewDecoder(strings.NewReader(d.text))
	if err := decoder.Decode(&d.root); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read YAML: %w", err)
	}
	// One that ends with "..." could hide another, which would be lost.
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("read YAML: a document must begin with a line ---")
	}
	if hasAliases(&d.root) {
		if _, err := expandedSize(&d.root, map[*yaml.Node]int{}); err != nil {
			return fmt.Errorf("read YAML: %w", err)
		}
	}
	var probe any
	if len(d.root.Content) == 0 {
		d.compact = true
		return nil
	}
	if err := d.root.Decode(&probe); err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	d.compact = isCompact(d.root.Content[0])
	return nil
}

// Objects are the objects of a document: none when it holds only comments, the
// items of a List.
func (d *Document) Objects() ([]*Object, error) {
	if len(d.root.Content) == 0 || d.root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return d.objects(d.root.Content[0], 0)
}

func (d *Document) objects(node *yaml.Node, depth int) ([]*Object, error) {
	const deepest = 8
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode || depth > deepest {
		return nil, fmt.Errorf("line %d: not a Kubernetes object", node.Line)
	}
	var header struct {
		Kind     string
		Metadata struct {
			Namespace, Name string
			GenerateName    string `yaml:"generateName"`
		}
	}
	if err := node.Decode(&header); err != nil {
		return nil, fmt.Errorf("line %d: not a Kubernetes object: %w", node.Line, err)
	}
	if header.Kind == "" {
		return nil, fmt.Errorf("line %d: not a Kubernetes object: kind is missing", node.Line)
	}
	items := child(node, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		name := header.Metadata.Name
		if name == "" {
			name = header.Metadata.GenerateName
		}
		return []*Object{
			{Kind: header.Kind, Namespace: header.Metadata.Namespace, Name: name, document: d, node: node},
		}, nil
	}
	var all []*Object
	for _, item := range items.Content {
		objects, err := d.objects(item, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// String is how messages name the object.
func (o *Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Decode reads the object, or the part of it at path, as the API server would:
// case-sensitively. Fields that target lacks are passed over.
func (o *Object) Decode(target any, path ...string) error {
	node := o.node
	for _, key := range path {
		if node = member(resolve(node), key); node == nil {
			return fmt.Errorf("%s: no field %s", o, key)
		}
	}
	text, err := toJSON(node)
	if err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(text, target); err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	return nil
}

// YAML is the object as it was written, where it is a document of its own, and
// written anew where it is an item of a List.
func (o *Object) YAML() (string, error) {
	if len(o.document.root.Content) == 1 && o.document.root.Content[0] == o.node {
		return o.document.text, nil
	}
	text, err := yaml.Marshal(o.node)
	if err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	return string(text), nil
}

// toJSON reads scalars as Kubernetes does (YAML 1.1).
func toJSON(node *yaml.Node) ([]byte, error) {
	text, err := yaml.Marshal(flattened(node))
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	return sigsyaml.YAMLToJSON(text)
}

// WriteYAML writes the documents, unchanged ones to the letter.
func WriteYAML(w io.Writer, documents []*Document) error {
	for n, d := range documents {
		separator, text := d.separator, d.text
		if n > 0 && separator == "" {
			separator = "---\n"
		}
		if d.changed {
			var b bytes.Buffer
			encoder := yaml.NewEncoder(&b)
			encoder.SetIndent(2)
			if d.compact {
				encoder.CompactSeqIndent()
			}
			if err := encoder.Encode(&d.root); err != nil {
				return fmt.Errorf("write YAML: %w", err)
			}
			text = b.String()
		}
		if n+1 < len(documents) && text != "" && text[len(text)-1] != '\n' {
			text += "\n"
		}
		if _, err := io.WriteString(w, separator+text); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// WriteJSON writes each document that holds something, one after the other, as
// kubectl reads them.
func WriteJSON(w io.Writer, documents []*Document) error {
	for _, d := range documents {
		if len(d.root.Content) == 0 {
			continue
		}
		text, err := toJSON(d.root.Content[0])
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := json.Indent(&b, text, "", "  "); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		b.WriteByte('\n')
		if _, err := w.Write(b.Bytes()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// isCompact reports whether the first list below a key begins in the key's own
// column, as kubectl writes it.
func isCompact(node *yaml.Node) bool {
	for n := 0; n+1 < len(node.Content) && node.Kind == yaml.MappingNode; n += 2 {
		key, value := node.Content[n], node.Content[n+1]
		if value.Kind == yaml.SequenceNode && value.Style&yaml.FlowStyle == 0 {
			return value.Column == key.Column
		}
		if value.Kind == yaml.MappingNode && hasBlockList(value) {
			return isCompact(value)
		}
	}
	return true
}

func hasBlockList(node *yaml.Node) bool {
	return slices.ContainsFunc(node.Content, func(n *yaml.Node) bool {
		return n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle == 0 ||
			n.Kind == yaml.MappingNode && hasBlockList(n)
	})
}
