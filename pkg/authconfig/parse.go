package authconfig

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"

	"github.com/countersign-io/countersign/pkg/toolslock"
)

// Parse decodes and validates an auth-config. The error, if any, is an Errors
// that names every fault. Policies, matchers, entities.json and tools.json are
// carried as text: package compile validates those too, and is what programs
// call.
func Parse(files Files) (*Config, error) {
	config, errs := ParseAll(files)
	if err := errs.AsError(); err != nil {
		return nil, err
	}
	return config, nil
}

// ParseAll is Parse for callers that look for further faults. The Config is
// filled as far as it could be read and is nil when the YAML could not be.
func ParseAll(files Files) (*Config, Errors) {
	var errs Errors
	config := &Config{Hash: files.Hash()}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		total += len(text)
		switch {
		case name == FileConfig:
		case name == FileEntities:
			config.Entities = []byte(text)
		case name == FileTools:
			config.Tools = []byte(text)
		case name == FileClaims:
			config.Claims = []byte(text)
		case name == FileToolsLock:
			lock, err := toolslock.Parse([]byte(text))
			if err != nil {
				errs.Addf(FileToolsLock, "%v", err)
			}
			config.ToolsLock = lock
		case name == FileCA:
			config.CA = []byte(text)
			checkCertificates(text, &errs)
		case strings.HasSuffix(name, PolicySuffix) && name != PolicySuffix:
			config.PolicyFiles = append(config.PolicyFiles, PolicyFile{Name: name, Text: text})
		default:
			errs.Addf(name, "unknown key; an auth-config has %s, *%s, %s, %s, %s, %s and %s",
				FileConfig, PolicySuffix, FileEntities, FileTools, FileToolsLock, FileClaims, FileCA)
		}
	}
	if total > maxConfigBytes {
		errs.Addf(FileConfig, "all keys together are longer than %d bytes", maxConfigBytes)
		return nil, errs
	}
	text, ok := files[FileConfig]
	if !ok {
		errs.Addf(FileConfig, "is missing")
		return nil, errs
	}
	var wire wireConfig
	decodeErrs := decodeYAML([]byte(text), &wire)
	if isUnreadable(decodeErrs) {
		return nil, append(errs, decodeErrs...)
	}
	v := validator{config: config, badPaths: pathsOf(decodeErrs)}
	v.run(&wire)
	return config, slices.Concat(errs, decodeErrs, v.errs)
}

// isUnreadable tells a file that gave no tree at all from one with bad fields.
func isUnreadable(errs Errors) bool {
	return slices.ContainsFunc(errs, func(e Error) bool { return e.Path == FileConfig })
}

func pathsOf(errs Errors) map[string]bool {
	paths := make(map[string]bool, len(errs))
	for _, e := range errs {
		paths[e.Path] = true
	}
	return paths
}

func checkCertificates(text string, errs *Errors) {
	rest, count := []byte(text), 0
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		count++
		if block.Type != "CERTIFICATE" {
			errs.Addf(FileCA, "block %d is a %q, not a CERTIFICATE", count, block.Type)
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			errs.Addf(FileCA, "block %d: %v", count, err)
		}
	}
	if count == 0 {
		errs.Addf(FileCA, "holds no PEM certificate")
	}
}
