package standin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// addTestTools adds what tests need and AWS's server does not have: an echo, a slow
// count, resources and prompts.
func addTestTools(server *mcp.Server) {
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Gives its text back"},
		func(_ context.Context, _ *mcp.CallToolRequest, in echoInput) (*mcp.CallToolResult, any, error) {
			return text("%s", in.Text), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Counts with progress notifications"}, count)
	server.AddResource(&mcp.Resource{URI: "docs://public/start", Name: "start"}, readResource)
	server.AddResource(&mcp.Resource{URI: "docs://internal/plan", Name: "plan"}, readResource)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "docs://public/{page}", Name: "page"}, readResource)
	for _, name := range []string{"review", "deploy"} {
		server.AddPrompt(
			&mcp.Prompt{Name: name},
			func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{
					Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: name}}},
				}, nil
			},
		)
	}
}

type countInput struct {
	To          int `json:"to"                    jsonschema:"how far to count"`
	PauseMillis int `json:"pauseMillis,omitempty" jsonschema:"pause between two numbers"`
}

type echoInput struct {
	Text string `json:"text"`
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

func count(ctx context.Context, r *mcp.CallToolRequest, in countInput) (*mcp.CallToolResult, any, error) {
	for n := 1; n <= in.To; n++ {
		if err := notifyProgress(ctx, r, n, in.To); err != nil {
			return nil, nil, err
		}
		if err := pause(ctx, time.Duration(in.PauseMillis)*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return text("counted to %d", in.To), nil, nil
}

// notifyProgress tells how far a call is, where the client asked for it.
func notifyProgress(ctx context.Context, r *mcp.CallToolRequest, n, total int) error {
	token := r.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	err := r.Session.NotifyProgress(
		ctx,
		&mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(n), Total: float64(total)},
	)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pause: %w", ctx.Err())
	}
}

func readResource(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{
		Contents: []*mcp.ResourceContents{
			{URI: r.Params.URI, MIMEType: "text/plain", Text: strings.ToUpper(r.Params.URI)},
		},
	}, nil
}
