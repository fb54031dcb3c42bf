package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/countersign-io/countersign/e2e/standin"
)

const toolPolicies = `
@id("readers")
permit(principal, action in MCP::Action::"CallTool", resource) when { resource.name == "aws___run_script" || resource.name == "echo" || resource.name == "count" };
@id("s3-in-us")
permit(principal in MCP::Group::"s3-readers", action == MCP::Action::"aws___get_regional_availability", resource)
when { context.input has region && context.input.region == "us-east-1" };
@id("admins")
permit(principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
@id("never-prod")
forbid(principal, action == MCP::Action::"aws___get_presigned_url", resource) when { context.input has bucket && context.input.bucket == "prod" };
permit(principal, action == MCP::Action::"ReadResource", resource) when { resource.uri like "docs://public/*" };
permit(principal, action == MCP::Action::"GetPrompt", resource == MCP::Prompt::"review");
`

func TestAnMCPClientUsesAWSAsItsCaller(t *testing.T) {
	for _, mode := range []standin.MCPOptions{{}, {Stateless: true}, {JSON: true}, {Stateless: true, JSON: true}} {
		t.Run(fmt.Sprintf("stateless=%t json=%t", mode.Stateless, mode.JSON), func(t *testing.T) {
			b := newBed(t, bedOptions{mcp: mode, files: map[string]string{"tools.cedar": toolPolicies}})
			alice := b.client(b.token("alice", map[string]any{"groups": []string{"s3-readers"}}), nil)
			admin := b.client(b.token("root", map[string]any{"groups": []string{"admins"}, "org": "engineering"}), nil)
			guest := b.client(b.token("auth0|guest", nil), nil)

			t.Run("the role is chosen by claim, by CEL, by fallback", func(t *testing.T) {
				for session, want := range map[*mcp.ClientSession]string{
					alice: "arn:aws:sts::123456789012:assumed-role/S3Read/alice",
					admin: "arn:aws:sts::123456789012:assumed-role/Admin/root",
					guest: "arn:aws:sts::123456789012:assumed-role/Fallback/auth0-guest-",
				} {
					got, err := callText(t, session, standin.ToolRunScript, map[string]any{"code": standin.ScriptWhoAmI})
					if err != nil || !strings.Contains(got, `"return_value":"`+want) {
						t.Errorf("whoami: %q, %v; want %q", got, err, want)
					}
				}
			})
			t.Run("each caller's list shows what some call could be allowed", func(t *testing.T) {
				for session, want := range map[*mcp.ClientSession][]string{
					alice: {"aws___get_regional_availability", "aws___run_script", "count", "echo"},
					admin: slices.Sorted(slices.Values(append([]string{"count", "echo"}, standin.AWSTools...))),
					guest: {"aws___run_script", "count", "echo"},
				} {
					if got := toolNames(t, session); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
						t.Errorf("tools %v, want %v", got, want)
					}
				}
			})
			t.Run("a call is denied by tool and by argument", func(t *testing.T) {
				if _, err := callText(t, alice, "aws___get_regional_availability", map[string]any{"region": "us-east-1"}); err != nil {
					t.Errorf("allowed call: %v", err)
				}
				for session, call := range map[*mcp.ClientSession]mcp.CallToolParams{
					alice: {Name: "aws___get_regional_availability", Arguments: map[string]any{"region": "eu-west-1"}},
					admin: {Name: "aws___get_presigned_url", Arguments: map[string]any{"bucket": "prod"}},
					guest: {Name: "aws___get_presigned_url", Arguments: map[string]any{"bucket": "x"}},
				} {
					if _, err := callText(t, session, call.Name, call.Arguments); err == nil || !strings.Contains(err.Error(), "not allowed for this caller") {
						t.Errorf("%s: %v, want a denial", call.Name, err)
					}
				}
			})
			t.Run("resources, templates and prompts are filtered and decided", func(t *testing.T) {
				resources, err := alice.ListResources(t.Context(), nil)
				if err != nil || len(resources.Resources) != 1 || resources.Resources[0].URI != "docs://public/start" {
					t.Errorf("resources: %v, %v", resources, err)
				}
				templates, err := alice.ListResourceTemplates(t.Context(), nil)
				if err != nil || len(templates.ResourceTemplates) != 1 {
					t.Errorf("templates: %v, %v", templates, err)
				}
				prompts, err := alice.ListPrompts(t.Context(), nil)
				if err != nil || len(prompts.Prompts) != 1 || prompts.Prompts[0].Name != "review" {
					t.Errorf("prompts: %v, %v", prompts, err)
				}
				if _, err := alice.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "docs://internal/plan"}); err == nil {
					t.Error("an internal resource was read")
				}
				if _, err := alice.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "deploy"}); err == nil {
					t.Error("a prompt without a permit was given")
				}
			})
			if refused := b.upstream.Refused.Load(); refused != 0 || b.upstream.Verified.Load() == 0 {
				t.Errorf("the upstream refused %d signatures and verified %d", refused, b.upstream.Verified.Load())
			}
			if granted := len(b.sts.Granted()); granted != 3 {
				t.Errorf("%d exchanges for three tokens", granted)
			}
		})
	}
}

func TestAStreamArrivesPieceByPiece(t *testing.T) {
	b := newBed(t, bedOptions{files: map[string]string{"tools.cedar": toolPolicies}})
	var mu sync.Mutex
	var at []time.Time
	session := b.client(b.token("alice", nil), &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
		},
	})
	params := &mcp.CallToolParams{Name: "count", Arguments: map[string]any{"to": 4, "pauseMillis": 60}}
	params.SetProgressToken("p")
	if _, err := session.CallTool(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(at) != 4 || at[3].Sub(at[0]) < 100*time.Millisecond {
		t.Errorf("%d notifications over %v; they were held back", len(at), at[len(at)-1].Sub(at[0]))
	}
}

func TestAClientThatGoesAwayCancelsTheUpstream(t *testing.T) {
	gone := make(chan struct{})
	upstream := plainUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		// net/http notices a closed connection only once the body is read.
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	b := newBed(t, bedOptions{upstreamURL: upstream})
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(callTool(1, "echo", "{}")))
	r.Header.Set("Authorization", "Bearer "+b.token("alice", nil))
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = response.Body.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Fatal("the upstream's request goes on")
	}
}
