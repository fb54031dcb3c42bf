package authconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxYAMLDepth bounds nesting; the deepest field of an auth-config lies at 6.
const maxYAMLDepth = 32

// decoder fills wire types from YAML nodes. The yaml package's own strict
// decoding stops at the first error of a kind and knows no field paths, so the
// tree is walked here.
type decoder struct {
	errs Errors
}

// decodeYAML reads exactly one document into target and reports every unknown
// field, duplicate and wrong type.
func decodeYAML(text []byte, target any) Errors {
	d := &decoder{}
	reader := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := reader.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return Errors{{Path: FileConfig, Message: "is empty"}}
		}
		return Errors{yamlSyntaxError(err)}
	}
	var second yaml.Node
	if err := reader.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return Errors{yamlSyntaxError(err)}
		}
		d.errs.AddAt(FileConfig, nodePosition(&second), "holds more than one YAML document")
		return d.errs
	}
	if len(document.Content) != 1 {
		return Errors{{Path: FileConfig, Message: "is empty"}}
	}
	d.value("", document.Content[0], reflect.ValueOf(target).Elem(), 0)
	return d.errs
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func yamlSyntaxError(err error) Error {
	e := Error{Path: FileConfig, Message: err.Error()}
	if m := yamlLine.FindStringSubmatch(firstLine(err.Error())); m != nil {
		e.Message = m[2]
		if line, convErr := strconv.Atoi(m[1]); convErr == nil {
			e.Position = Position{Line: line, Column: 1}
		}
	}
	return e
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func nodePosition(n *yaml.Node) Position { return Position{Line: n.Line, Column: n.Column} }

func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, depth int) {
	if depth > maxYAMLDepth {
		d.errs.AddAt(path, nodePosition(n), "is nested too deeply")
		return
	}
	// Aliases can make a small file expand without bound and let one line
	// change another far away; nothing in an auth-config needs them.
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.errs.AddAt(orFile(path), nodePosition(n), "YAML anchors and aliases are not supported")
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		if v.Type() == authorizationType || v.Type() == exchangeType {
			// The key is there: its children are commented out, perhaps. Absent
			// it would mean that every tool is allowed, or that AWS STS takes the
			// callers' own tokens.
			v.Set(reflect.New(v.Type().Elem()))
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(path, n, v, depth)
	case reflect.Slice:
		if v.Type() == oneOrMoreType && n.Kind == yaml.ScalarNode {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			d.scalar(path, n, v.Index(0))
			return
		}
		d.sequence(path, n, v, depth)
	case reflect.Map:
		d.stringMap(path, n, v)
	default:
		d.scalar(path, n, v)
	}
}

func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(path, n, "a mapping")
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		fieldPath := strings.TrimPrefix(path+"."+key.Value, ".")
		if seen[key.Value] {
			d.errs.AddAt(fieldPath, nodePosition(key), "is set twice")
			continue
		}
		seen[key.Value] = true
		field, ok := fieldByTag(v, key.Value)
		if key.Kind != yaml.ScalarNode || !ok {
			d.errs.AddAt(fieldPath, nodePosition(key), "unknown field%s", suggestion(v, key.Value))
			continue
		}
		d.value(fieldPath, value, field, depth+1)
	}
}

func (d *decoder) sequence(path string, n *yaml.Node, v reflect.Value, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(path, n, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i), depth+1)
	}
}

// stringMap fills a map[string]string, whose names are the user's own.
func (d *decoder) stringMap(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(path, n, "a mapping")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := path + "." + key.Value
		text := reflect.New(v.Type().Elem()).Elem()
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || value.Anchor != "":
			d.errs.AddAt(at, nodePosition(key), "must be a name with a string")
		case v.MapIndex(reflect.ValueOf(key.Value)).IsValid():
			d.errs.AddAt(at, nodePosition(key), "is set twice")
		default:
			d.scalar(at, value, text)
			v.SetMapIndex(reflect.ValueOf(key.Value), text)
		}
	}
}

var oneOrMoreType = reflect.TypeFor[oneOrMore]()

var (
	authorizationType = reflect.TypeFor[*wireAuthorization]()
	exchangeType      = reflect.TypeFor[*wireExchange]()
)

var durationType = reflect.TypeFor[time.Duration]()

func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "an integer",
		reflect.Int64: "a duration such as 30s",
	}[v.Kind()]
	if n.Kind != yaml.ScalarNode {
		d.wrongType(path, n, want)
		return
	}
	switch {
	case v.Type() == durationType && n.Tag == "!!str":
		duration, err := time.ParseDuration(n.Value)
		if err != nil {
			d.wrongType(path, n, want)
			return
		}
		v.SetInt(int64(duration))
	case v.Kind() == reflect.String && n.Tag == "!!str":
		v.SetString(n.Value)
	case v.Kind() == reflect.Bool && n.Tag == "!!bool":
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.Kind() == reflect.Int && n.Tag == "!!int":
		number, err := strconv.Atoi(n.Value)
		if err != nil {
			d.wrongType(path, n, want)
			return
		}
		v.SetInt(int64(number))
	default:
		d.wrongType(path, n, want)
	}
}

func (d *decoder) wrongType(path string, n *yaml.Node, want string) {
	found := map[string]string{
		"!!str": "a string", "!!int": "an integer", "!!float": "a number", "!!bool": "a boolean",
		"!!map": "a mapping", "!!seq": "a list",
	}[n.ShortTag()]
	if found == "" {
		found = n.ShortTag()
	}
	d.errs.AddAt(orFile(path), nodePosition(n), "must be %s, not %s", want, found)
}

func orFile(path string) string {
	if path == "" {
		return FileConfig
	}
	return path
}

func fieldByTag(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// suggestion helps with a typo: a different case, or one letter added, dropped or
// changed.
func suggestion(v reflect.Value, name string) string {
	for i := range v.NumField() {
		known := v.Type().Field(i).Tag.Get("yaml")
		if strings.EqualFold(known, name) || isOneEditApart(known, name) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return ""
}

func isOneEditApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
