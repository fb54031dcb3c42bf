package inject

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Operation is one operation of a JSON patch (RFC 6902).
type Operation struct {
	// Op is add, or replace for an object of ours that is out of date.
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch collects operations. It addresses members of the Pod one by one and
// never writes a list or an object of the user's anew: fields that our version
// of the API does not know stay where they are.
type patch struct {
	operations []Operation
}

func (p *patch) add(value any, path ...any) {
	p.operations = append(p.operations, Operation{Op: "add", Path: pointer(path), Value: value})
}

func (p *patch) replace(value any, path ...any) {
	p.operations = append(p.operations, Operation{Op: "replace", Path: pointer(path), Value: value})
}

// pointer renders a JSON pointer (RFC 6901).
func pointer(tokens []any) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		switch t := token.(type) {
		case int:
			b.WriteString(strconv.Itoa(t))
		case string:
			b.WriteString(pointerEscape.Replace(t))
		}
	}
	return b.String()
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// appendAll adds values at the end of the list at path, which has length
// members now and is made where there is none.
func appendAll[T any](p *patch, values []T, length int, path ...any) {
	if len(values) == 0 {
		return
	}
	if length == 0 {
		p.add(values, path...)
		return
	}
	for _, value := range values {
		p.add(value, append(path[:len(path):len(path)], "-")...)
	}
}

// setMember sets one member of a map of strings, which is made where there is
// none.
func setMember(p *patch, current map[string]string, key, value string, path ...any) {
	existing, has := current[key]
	switch {
	case has && existing == value:
	case len(current) == 0:
		p.add(map[string]string{key: value}, path...)
	default:
		p.add(value, append(path[:len(path):len(path)], key)...)
	}
}

// containerList is one of the two lists of a Pod's containers, by its field.
type containerList struct {
	field      string
	containers []corev1.Container
}

func containerLists(pod *corev1.Pod) []containerList {
	return []containerList{{"initContainers", pod.Spec.InitContainers}, {"containers", pod.Spec.Containers}}
}
