package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// AWS's MCP server has these tools since August 2026. The schemas are theirs in
// spirit; what a tool answers is made up.
const (
	ToolRunScript    = "aws___run_script"
	ToolTasks        = "aws___get_tasks"
	ToolPresignedURL = "aws___get_presigned_url"
	ToolAvailability = "aws___get_regional_availability"
	ToolRegions      = "aws___list_regions"
	ToolReadDocs     = "aws___read_documentation"
	ToolSearchDocs   = "aws___search_documentation"
	ToolSkill        = "aws___retrieve_skill"
)

// AWSTools are the names of all of them, in order.
var AWSTools = []string{
	ToolPresignedURL, ToolAvailability, ToolTasks, ToolRegions, ToolReadDocs, ToolSkill, ToolRunScript, ToolSearchDocs,
}

// awsTool is one tool with its answer to arguments.
type awsTool struct {
	name, description, schema string
	readOnly                  bool
	answer                    func(ctx context.Context, r *mcp.CallToolRequest, arguments map[string]any) (any, error)
}

var awsTools = []awsTool{
	{
		name:        ToolRunScript,
		description: "Run Python in a sandbox; AWS is reached with await call_boto3(...) and make_request(...)",
		schema: `{"type":"object","properties":{` +
			`"code":{"type":"string","description":"Python code to execute"}},"required":["code"]}`,
	},
	{
		name: ToolTasks, description: "Ask how scripts are doing that run longer", readOnly: true,
		schema: `{"type":"object","properties":{` +
			`"task_ids":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":3},` +
			`"poll_iteration":{"type":"integer","minimum":1}},"required":["task_ids"]}`,
	},
	{
		name: ToolPresignedURL, description: "Make URLs with which files are uploaded to S3, or downloaded",
		schema: `{"type":"object","properties":{` +
			`"requests":{"type":"array","minItems":1,"maxItems":25,"items":{"type":"object",` +
			`"properties":{"operation":{"type":"string","enum":["upload","download"]},"bucket":{"type":"string"},` +
			`"key":{"type":"string"},` +
			`"region":{"type":"string"},"expires_in":{"type":"integer"}},` +
			`"required":["operation","bucket","key"]}}},"required":["requests"]}`,
		answer: presignedURLs,
	},
	{
		name: ToolAvailability, description: "Tell in which Regions products, APIs and resource types are there",
		readOnly: true,
		schema: `{"type":"object","properties":{` +
			`"resource_type":{"type":"string","description":"product, api or cfn"},` +
			`"regions":{"type":"array","items":{"type":"string"}},` +
			`"filters":{"type":"array","items":{"type":"string"}},` +
			`"next_token":{"type":"string"}},"required":["resource_type"]}`,
		answer: func(_ context.Context, _ *mcp.CallToolRequest, arguments map[string]any) (any, error) {
			return wrapped(
				map[string]any{
					"products": map[string]any{"AWS Lambda": map[string]any{"us-east-1": "isAvailableIn"}},
					"asked":    arguments["resource_type"],
				},
			), nil
		},
	},
	{
		name: ToolRegions, description: "List all Regions", readOnly: true, schema: `{"type":"object","properties":{}}`,
		answer: func(context.Context, *mcp.CallToolRequest, map[string]any) (any, error) {
			return wrapped(
				[]any{map[string]any{"region_id": "us-east-1", "region_long_name": "US East (N. Virginia)"}},
			), nil
		},
	},
	{
		name: ToolReadDocs, description: "Read pages of AWS's documentation", readOnly: true,
		schema: `{"type":"object","properties":{` +
			`"requests":{"type":"array","items":{"type":"object","properties":{"url":{"type":"string"},` +
			`"max_length":{"type":"integer"},"start_index":{"type":"integer"}},"required":["url"]}}}}`,
		answer: func(context.Context, *mcp.CallToolRequest, map[string]any) (any, error) {
			return wrapped([]any{map[string]any{"status": "SUCCESS", "content": "# A page"}}), nil
		},
	},
	{
		name: ToolSearchDocs, description: "Search AWS's documentation and skills", readOnly: true,
		schema: `{"type":"object","properties":{"search_phrase":{"type":"string"},"limit":{"type":"integer"},` +
			`"topics":{"type":"array","items":{"type":"string"}}},"required":["search_phrase"]}`,
		answer: func(_ context.Context, _ *mcp.CallToolRequest, arguments map[string]any) (any, error) {
			return wrapped(
				[]any{
					map[string]any{
						"rank_order": 1,
						"title":      arguments["search_phrase"],
						"url":        "https://docs.aws.amazon.com/x",
					},
				},
			), nil
		},
	},
	{
		name: ToolSkill, description: "Get the text of a skill", readOnly: true,
		schema: `{"type":"object","properties":{` +
			`"skill_name":{"type":"string"},"file":{"type":"string"}},"required":["skill_name"]}`,
		answer: func(_ context.Context, _ *mcp.CallToolRequest, arguments map[string]any) (any, error) {
			return map[string]any{
				"content": map[string]any{"skill_content": fmt.Sprint("# ", arguments["skill_name"])},
			}, nil
		},
	},
}

// wrapped is the envelope of the tools that only know things.
func wrapped(result any) any { return map[string]any{"content": map[string]any{"result": result}} }

func (s *MCPServer) addAWSTools(server *mcp.Server) {
	yes, no := true, false
	for _, tool := range awsTools {
		annotations := &mcp.ToolAnnotations{ReadOnlyHint: tool.readOnly, DestructiveHint: &yes, OpenWorldHint: &yes}
		if tool.readOnly {
			annotations.DestructiveHint, annotations.OpenWorldHint = &no, &no
		}
		server.AddTool(&mcp.Tool{
			Name: tool.name, Description: tool.description, InputSchema: json.RawMessage(tool.schema),
			Annotations: annotations,
		}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var arguments map[string]any
			if len(r.Params.Arguments) > 0 {
				if err := json.Unmarshal(r.Params.Arguments, &arguments); err != nil {
					return nil, fmt.Errorf("arguments: %w", err)
				}
			}
			answer, err := s.answerTool(ctx, &tool, r, arguments)
			if err != nil {
				return nil, err
			}
			encoded, err := json.Marshal(answer)
			if err != nil {
				return nil, fmt.Errorf("answer: %w", err)
			}
			return text("%s", encoded), nil
		})
	}
}

// answerTool gives a tool's answer. Scripts, and the tasks that long ones become, have
// a state of their own.
func (s *MCPServer) answerTool(
	ctx context.Context,
	tool *awsTool,
	r *mcp.CallToolRequest,
	arguments map[string]any,
) (any, error) {
	switch tool.name {
	case ToolRunScript:
		return s.runScript(ctx, r, arguments)
	case ToolTasks:
		return s.scripts.tell(arguments), nil
	}
	return tool.answer(ctx, r, arguments)
}

func presignedURLs(_ context.Context, _ *mcp.CallToolRequest, arguments map[string]any) (any, error) {
	requests, _ := arguments["requests"].([]any)
	results := make([]any, 0, len(requests))
	for _, request := range requests {
		asked, _ := request.(map[string]any)
		method := "GET"
		if asked["operation"] == "upload" {
			method = "PUT"
		}
		results = append(results, map[string]any{
			"method": method, "bucket": asked["bucket"], "key": asked["key"], "expires_in": 900,
			"url": fmt.Sprintf(
				"https://%v.s3.amazonaws.com/%v?X-Amz-Signature=stand-in",
				asked["bucket"],
				asked["key"],
			),
		})
	}
	return map[string]any{"results": slices.Clip(results)}, nil
}
