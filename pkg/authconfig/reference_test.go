package authconfig

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/countersign-io/countersign/hack/doctable"
)

// fields are the paths of all fields below spec that hold a value.
func fields(path string, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		var all []string
		for i := range t.NumField() {
			all = append(all, fields(path+"."+t.Field(i).Tag.Get("yaml"), t.Field(i).Type)...)
		}
		return all
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return fields(path+"[]", t.Elem())
	}
	return []string{path}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("auth-config.md", "field")
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range doctable.Differences(fields("spec", reflect.TypeFor[wireSpec]()), table) {
		t.Error(difference)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	table, err := doctable.FirstColumn("auth-config.md", "key")
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{FileConfig, "*" + PolicySuffix, FileEntities, FileTools, FileToolsLock, FileClaims, FileCA}
	for _, difference := range doctable.Differences(keys, table) {
		t.Error(difference)
	}
	// Each is taken, and one that is not in the table is not.
	for _, key := range append(slices.Clone(table), "policy.ceder") {
		name := key
		if key == "*"+PolicySuffix {
			name = "x" + PolicySuffix
		}
		_, errs := ParseAll(Files{FileConfig: "kind: x\n", name: "x"})
		unknown := slices.ContainsFunc(errs, func(e Error) bool { return e.Path == name && len(e.Message) > 7 && e.Message[:7] == "unknown" })
		if unknown != (key == "policy.ceder") {
			t.Errorf("%s: %v", key, errs)
		}
	}
}
