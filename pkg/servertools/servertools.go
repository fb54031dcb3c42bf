// Package servertools asks an upstream for its tools as a caller would through the sidecar:
// it runs the sidecar's own pipeline in this process, without policies, so that the list is
// what the server has.
package servertools

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/audit"
	"github.com/countersign-io/countersign/pkg/authconfig"
	"github.com/countersign-io/countersign/pkg/liveconfig"
	"github.com/countersign-io/countersign/pkg/proxy"
	"github.com/countersign-io/countersign/pkg/sessionid"
	"github.com/countersign-io/countersign/pkg/telemetry"
)

const (
	// maxPages bounds the pages of a list, maxAnswer each answer.
	maxPages  = 200
	maxAnswer = 16 << 20
	// protocolVersion is spoken with the server.
	protocolVersion = "2025-11-25"
	headerTimeout   = 10 * time.Second
)

// Request says whom to ask, and as whom.
type Request struct {
	// Files are the auth-config.
	Files authconfig.Files
	// Token is the caller's.
	Token string
	// Upstream is a name; default the first.
	Upstream string
	// ExchangeCredential is the file for identity.oidc.exchange.
	ExchangeCredential string
}

// List gives the tools of the server as it writes them.
func List(ctx context.Context, r Request) ([]jsontext.Value, error) {
	dir, err := os.MkdirTemp("", "countersign-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(r.Token), 0o600); err != nil {
		return nil, err
	}
	metrics := telemetry.NewMetrics()
	configs := liveconfig.NewStore(liveconfig.Options{
		RootsFile: os.Getenv(
			"AWS_CA_BUNDLE",
		), ServiceAccountToken: tokenFile, ExchangeCredential: r.ExchangeCredential,
		Observer: metrics, ExchangeObserver: metrics,
	})
	if err := configs.Load(withoutPolicies(r.Files)); err != nil {
		return nil, err
	}
	defer configs.Close()
	path, err := pathOf(configs.Current(), r.Upstream)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var records audit.Recent
	server := proxy.New(proxy.Options{
		Configs: configs, Metrics: metrics, Audit: audit.NewLog(io.Discard), Recent: &records, SessionKeys: sessionid.NewKeys(),
		LoopbackOnly: true,
	})
	web := &http.Server{Handler: server, ReadHeaderTimeout: headerTimeout}
	go func() { _ = web.Serve(listener) }()
	defer func() { _ = web.Close() }()
	session := &client{url: "http://" + listener.Addr().String() + path, token: r.Token, records: &records}
	return session.tools(ctx)
}

// withoutPolicies allows every tool, so that none is hidden.
func withoutPolicies(files authconfig.Files) authconfig.Files {
	open := maps.Clone(files)
	had := false
	for name := range files {
		if strings.HasSuffix(name, authconfig.PolicySuffix) {
			delete(open, name)
			had = true
		}
	}
	for _, name := range []string{
		authconfig.FileTools, authconfig.FileToolsLock, authconfig.FileClaims, authconfig.FileEntities,
	} {
		delete(open, name)
	}
	if had {
		open["all"+authconfig.PolicySuffix] = "permit (principal, action, resource);"
	}
	return open
}

func pathOf(snapshot *liveconfig.Snapshot, upstream string) (string, error) {
	for i, u := range snapshot.Upstreams {
		if u.Name == upstream || upstream == "" && i == 0 {
			paths := u.ListenPaths(i == 0)
			path := paths[len(paths)-1]
			if u.URL.RawQuery != "" {
				path += "?" + u.URL.RawQuery
			}
			return path, nil
		}
	}
	return "", fmt.Errorf("the auth-config has no upstream %q", upstream)
}

// RefusedError is an answer that is an error: the server's, or the sidecar's own, which has a
// Reason of docs/operations.md.
type RefusedError struct{ Method, Message, Reason string }

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return e.Method + ": the server refuses: " + e.Message
	}
	return e.Method + ": " + e.Message + " (" + e.Reason + ")"
}

// client speaks as much MCP as a list of tools takes.
type client struct {
	url, token, session string
	id                  int
	// records say why the sidecar refuses, which callers are not told of every refusal.
	records *audit.Recent
}

// reason is that of the newest record.
func (c *client) reason() string {
	lines, _ := c.records.After(0)
	if len(lines) == 0 {
		return ""
	}
	var record struct {
		Reason  string `json:"reason"`
		Failure string `json:"failure"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &record); err != nil {
		return ""
	}
	return cmp.Or(record.Failure, record.Reason)
}

func (c *client) tools(ctx context.Context) ([]jsontext.Value, error) {
	_, err := c.call(ctx, "initialize", map[string]any{
		"protocolVersion": protocolVersion, "capabilities": map[string]any{},
		"clientInfo": map[string]string{"name": "kubectl-countersign", "version": "1"},
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.send(ctx, map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"}, 0); err != nil {
		return nil, err
	}
	var all []jsontext.Value
	params := map[string]any{}
	for range maxPages {
		result, err := c.call(ctx, "tools/list", params)
		if err != nil {
			return nil, err
		}
		var page struct {
			Tools      []jsontext.Value `json:"tools"`
			NextCursor string           `json:"nextCursor"`
		}
		if err := json.Unmarshal(result, &page); err != nil {
			return nil, fmt.Errorf("the server's list of tools: %w", err)
		}
		all = append(all, page.Tools...)
		if page.NextCursor == "" {
			return all, nil
		}
		params["cursor"] = page.NextCursor
	}
	return nil, fmt.Errorf("the server's list of tools has more than %d pages", maxPages)
}

func (c *client) call(ctx context.Context, method string, params any) (jsontext.Value, error) {
	c.id++
	text, err := c.send(ctx, map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params}, c.id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	var answer struct {
		Result jsontext.Value `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("%s: the answer is no JSON-RPC message: %w", method, err)
	}
	if answer.Error != nil {
		return nil, &RefusedError{Method: method, Message: answer.Error.Message, Reason: c.reason()}
	}
	return answer.Result, nil
}

// send gives the answer with the id; 0 is for what gets none.
func (c *client) send(ctx context.Context, message any, id int) ([]byte, error) {
	text, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if c.id > 1 || id == 0 {
		r.Header.Set("Mcp-Protocol-Version", protocolVersion)
	}
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if session := response.Header.Get("Mcp-Session-Id"); session != "" {
		c.session = session
	}
	body := io.LimitReader(response.Body, maxAnswer)
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case kind == "text/event-stream":
		return findAnswer(body, id)
	case response.StatusCode < http.StatusMultipleChoices:
		return io.ReadAll(body)
	}
	said, err := io.ReadAll(io.LimitReader(body, maxRefusal))
	if err != nil || isRPC(said) {
		return said, err
	}
	return nil, fmt.Errorf("%s: %s", response.Status, refusalIn(said))
}

// maxRefusal is what is read of an answer that is an error.
const maxRefusal = 64 << 10

func isRPC(text []byte) bool {
	var message struct {
		Version string `json:"jsonrpc"`
	}
	return json.Unmarshal(text, &message) == nil && message.Version != ""
}

// refusalIn is what an answer says that is no message of JSON-RPC: an error of OAuth
// (RFC 6750, section 3), or any text.
func refusalIn(text []byte) string {
	var oauth struct {
		Description string `json:"error_description"`
		Error       string `json:"error"`
	}
	if json.Unmarshal(text, &oauth) == nil && oauth.Error != "" {
		return cmp.Or(oauth.Description, oauth.Error)
	}
	return strings.TrimSpace(string(text[:min(len(text), 1<<10)]))
}

// findAnswer reads events until the answer comes.
func findAnswer(body io.Reader, id int) ([]byte, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxAnswer)
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if part, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(part, []byte(" "))...)
			continue
		}
		if len(line) > 0 || len(data) == 0 {
			continue
		}
		var message struct {
			ID jsontext.Value `json:"id"`
		}
		if json.Unmarshal(data, &message) == nil && string(message.ID) == fmt.Sprint(id) {
			return data, nil
		}
		data = nil
	}
	return nil, errors.Join(lines.Err(), errors.New("the stream ended without the answer"))
}
