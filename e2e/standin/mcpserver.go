package standin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scope of the stand-in's signatures.
const (
	Region  = "us-east-1"
	Service = "aws-mcp"
)

// sessionHeader carries the verified role session from the check to the tools.
const sessionHeader = "Standin-Role-Session"

// MCPServer is an MCP server of the official SDK behind a check of signatures.
type MCPServer struct {
	// URL is the endpoint, with path /mcp, set by NewMCPServer.
	URL    string
	Faults faults
	// Verified counts requests whose signature was good, Refused the others.
	Verified atomic.Int64
	Refused  atomic.Int64
	// Seen is called with each request before it is checked; it may be nil.
	Seen func(*http.Request)

	handler http.Handler
	server  *httptest.Server
}

// MCPOptions configure NewMCPServer.
type MCPOptions struct {
	// STS knows the credentials; nil turns verification off.
	STS *STS
	// Stateless serves protocol 2026-07-28 instead of sessions.
	Stateless bool
	// JSON answers with application/json instead of an event stream.
	JSON bool
}

// NewMCPServer serves on a loopback port.
func NewMCPServer(options MCPOptions) *MCPServer {
	s := NewUnservedMCPServer(options)
	s.server = httptest.NewServer(s.Handler())
	s.URL = s.server.URL + "/mcp"
	return s
}

// NewUnservedMCPServer is a server whose Handler is served somewhere else.
func NewUnservedMCPServer(options MCPOptions) *MCPServer {
	s := &MCPServer{}
	server := newToolServer()
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: options.Stateless, JSONResponse: options.JSON, DisableLocalhostProtection: true})
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.verified(options.STS, handler))
	s.handler = mux
	return s
}

// Handler serves the endpoint, with path /mcp.
func (s *MCPServer) Handler() http.Handler { return s.handler }

// Close stops serving.
func (s *MCPServer) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

func (s *MCPServer) verified(sts *STS, next http.Handler) http.Handler {
	verifier := &Verifier{STS: sts, Region: Region, Service: Service}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Seen != nil {
			s.Seen(r)
		}
		if fault, fails := s.Faults.next(r); fails {
			if fault.Status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "7")
			}
			(&refusedSignature{status: fault.Status, code: fault.Code, message: fault.Message}).write(w)
			return
		}
		r.Header.Del(sessionHeader)
		if sts != nil {
			session, refused := verifier.Verify(r)
			if refused != nil {
				s.Refused.Add(1)
				refused.write(w)
				return
			}
			s.Verified.Add(1)
			r.Header.Set(sessionHeader, session.RoleARN+"/"+session.Name)
		}
		w.Header().Set("X-Amzn-Requestid", randomHex(8))
		next.ServeHTTP(w, r)
	})
}

type bucketInput struct {
	Bucket string `json:"bucket,omitempty" jsonschema:"name of the bucket"`
	Region string `json:"region,omitempty" jsonschema:"AWS region"`
}

type countInput struct {
	To          int `json:"to" jsonschema:"how far to count"`
	PauseMillis int `json:"pauseMillis,omitempty" jsonschema:"pause between two numbers"`
}

type echoInput struct {
	Text string `json:"text"`
}

func newToolServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "aws-standin", Version: "1"}, &mcp.ServerOptions{})
	destructive, closed := true, false
	mcp.AddTool(server, &mcp.Tool{
		Name: "aws___whoami", Description: "Tells which role session signed the request",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &closed},
	}, func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return text("%s", r.Extra.Header.Get(sessionHeader)), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{
		Name: "s3___list_objects", Description: "Lists objects of a bucket", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, func(_ context.Context, _ *mcp.CallToolRequest, in bucketInput) (*mcp.CallToolResult, any, error) {
		return text("%s in %s: report.csv, notes.txt", in.Bucket, in.Region), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{
		Name: "s3___delete_bucket", Description: "Deletes a bucket", Annotations: &mcp.ToolAnnotations{DestructiveHint: &destructive},
	}, func(_ context.Context, _ *mcp.CallToolRequest, in bucketInput) (*mcp.CallToolResult, any, error) {
		return text("deleted %s", in.Bucket), nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Gives its text back"},
		func(_ context.Context, _ *mcp.CallToolRequest, in echoInput) (*mcp.CallToolResult, any, error) {
			return text("%s", in.Text), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Counts with progress notifications"}, count)
	server.AddResource(&mcp.Resource{URI: "docs://public/start", Name: "start"}, readResource)
	server.AddResource(&mcp.Resource{URI: "docs://internal/plan", Name: "plan"}, readResource)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "docs://public/{page}", Name: "page"}, readResource)
	for _, name := range []string{"review", "deploy"} {
		server.AddPrompt(&mcp.Prompt{Name: name}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: name}}}}, nil
		})
	}
	return server
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

func count(ctx context.Context, r *mcp.CallToolRequest, in countInput) (*mcp.CallToolResult, any, error) {
	for n := 1; n <= in.To; n++ {
		if token := r.Params.GetProgressToken(); token != nil {
			err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(n), Total: float64(in.To)})
			if err != nil {
				return nil, nil, fmt.Errorf("notify: %w", err)
			}
		}
		select {
		case <-time.After(time.Duration(in.PauseMillis) * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("count: %w", ctx.Err())
		}
	}
	return text("counted to %d", in.To), nil, nil
}

func readResource(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, MIMEType: "text/plain", Text: strings.ToUpper(r.Params.URI)}}}, nil
}
