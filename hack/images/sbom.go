package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/countersign-io/countersign/hack/ociarchive"
)

// spdx lists what a Go binary was made of, as its own build information tells.
// https://spdx.github.io/spdx-spec/v2.3/
func spdx(binary, name, version, architecture string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read build information: %w", err)
	}
	type reference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	type pkg struct {
		ID       string      `json:"SPDXID"`
		Name     string      `json:"name"`
		Version  string      `json:"versionInfo"`
		Download string      `json:"downloadLocation"`
		Licence  string      `json:"licenseConcluded"`
		Analyzed bool        `json:"filesAnalyzed"`
		External []reference `json:"externalRefs,omitempty"`
	}
	type relationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
	packages := []pkg{
		{
			ID:       "SPDXRef-Main",
			Name:     info.Main.Path + "/cmd/" + name,
			Version:  version,
			Download: "NOASSERTION",
			Licence:  "Apache-2.0",
		},
		{
			ID:       "SPDXRef-Go",
			Name:     "stdlib",
			Version:  strings.TrimPrefix(info.GoVersion, "go"),
			Download: "NOASSERTION",
			Licence:  "BSD-3-Clause",
			External: []reference{
				{"PACKAGE-MANAGER", "purl", "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")},
			},
		},
	}
	relationships := []relationship{
		{"SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Main"},
		{"SPDXRef-Main", "DEPENDS_ON", "SPDXRef-Go"},
	}
	for n, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		id := fmt.Sprintf("SPDXRef-Module-%d", n+1)
		packages = append(
			packages,
			pkg{ID: id, Name: module.Path, Version: module.Version, Download: "NOASSERTION", Licence: "NOASSERTION",
				External: []reference{
					{"PACKAGE-MANAGER", "purl", "pkg:golang/" + module.Path + "@" + module.Version},
				}},
		)
		relationships = append(relationships, relationship{"SPDXRef-Main", "DEPENDS_ON", id})
	}
	text, err := json.MarshalIndent(map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
		"name":              "countersign-" + name,
		"documentNamespace": "https://countersign.io/sbom/" + name + "/" + version + "/" + architecture,
		"creationInfo": map[string]any{
			"created":  ociarchive.Epoch.Format("2006-01-02T15:04:05Z"),
			"creators": []string{"Tool: countersign-images"},
		},
		"packages": packages, "relationships": relationships,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write SBOM: %w", err)
	}
	return append(text, '\n'), nil
}
