// Package standin holds stand-ins for what the sidecar talks to: an OIDC
// issuer, AWS STS, and an MCP server behind a check of SigV4 signatures. Tests,
// the demo and the benchmark use them. They check what they are given as the
// real ones do, and latency and failures can be set.
package standin
