// Package mcp reads and rewrites the messages of the Model Context Protocol:
// JSON-RPC requests of clients, results of servers, Server-Sent Events. It
// knows no HTTP client and no policy.
//
// Requests are parsed strictly, because a second parser behind this one could
// read a lenient one's input otherwise. Results are passed byte for byte but
// for list entries that are cut out and cacheScope, which is made private; events
// are written anew.
package mcp

import (
	"encoding/base64"
	"slices"
	"strings"
)

// Protocol versions that change what an intermediary must do.
const (
	// VersionBatch is the only version with batches; it is also what an absent
	// MCP-Protocol-Version header means.
	VersionBatch = "2025-03-26"
	// VersionStateless is the first version without sessions.
	VersionStateless = "2026-07-28"
)

// publishedVersions are the revisions of the protocol that can be spoken over HTTP.
var publishedVersions = []string{VersionBatch, "2025-06-18", "2025-11-25", VersionStateless}

// VersionLabel is a version as a label: a client may write anything there.
func VersionLabel(version string) string {
	if slices.Contains(publishedVersions, version) {
		return version
	}
	return LabelOther
}

// JSON-RPC error codes. Those of the application lie outside -32768..-32000.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	// CodeHeaderMismatch is for 2026-07-28 headers that disagree with the body.
	CodeHeaderMismatch = -32020
)

// IsStateless reports whether a protocol version has no sessions. Versions are
// dates, so later ones compare greater.
func IsStateless(version string) bool { return version >= VersionStateless }

// DecodeHeader reads a value of the Mcp-Name or Mcp-Method header, which is
// Base64 where it could not be sent as it is: =?base64?...?=.
func DecodeHeader(value string) (string, bool) {
	encoded, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value, true
	}
	encoded, ok = strings.CutSuffix(encoded, "?=")
	if !ok {
		return "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	return string(decoded), err == nil
}
