package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The scripts that examples and tests run.
const (
	// ScriptWhoAmI gives the ARN of the role session that signed the request.
	ScriptWhoAmI = `me = await call_boto3(service_name="sts", operation_name="GetCallerIdentity")
me["Arn"]`
	// ScriptListObjects gives the names of a bucket's objects.
	ScriptListObjects = `page = await call_boto3(service_name="s3", operation_name="ListObjectsV2",` +
		` region_name="us-east-1", params={"Bucket": "reports"})
page["Contents"]`
	// ScriptDeleteBucket deletes it.
	ScriptDeleteBucket = `await call_boto3(service_name="s3", operation_name="DeleteBucket",` +
		` params={"Bucket": "scratch"})`
)

// script is a run of the interpreter, which knows a few statements of Python, one a
// line: calls of call_boto3 and make_request with literals, asyncio.sleep,
// assignments of these, and a last line that is a name or an item of it.
type script struct {
	// caller is the ARN of the role session.
	caller string
	names  map[string]any
	calls  []any
	result any
}

var (
	statementCall  = regexp.MustCompile(`^(?:([a-z_]\w*)\s*=\s*)?(?:await\s+)?(call_boto3|make_request)\((.*)\)$`)
	statementSleep = regexp.MustCompile(`^await\s+asyncio\.sleep\(([0-9.]+)\)$`)
	statementValue = regexp.MustCompile(`^([a-z_]\w*)(?:\["(\w+)"\])?$`)
	keywordString  = regexp.MustCompile(`\b(\w+)\s*=\s*"([^"]*)"`)
	keywordParams  = regexp.MustCompile(`\bparams\s*=\s*(\{[^{}]*\})`)
)

// runScript answers aws___run_script.
func runScript(ctx context.Context, r *mcp.CallToolRequest, arguments map[string]any) (any, error) {
	code, _ := arguments["code"].(string)
	s := &script{caller: assumedRole(r.Extra.Header.Get(sessionHeader)), names: map[string]any{}, calls: []any{}}
	lines := strings.Split(code, "\n")
	for n, line := range lines {
		if err := s.statement(ctx, strings.TrimSpace(line)); err != nil {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("run: %w", ctx.Err())
			}
			return map[string]any{
				"status":    "error",
				"error":     fmt.Sprintf("line %d: %v", n+1, err),
				"api_calls": s.calls,
			}, nil
		}
		if err := notifyProgress(ctx, r, n+1, len(lines)); err != nil {
			return nil, err
		}
	}
	return map[string]any{"status": "success", "return_value": s.result, "api_calls": s.calls}, nil
}

func (s *script) statement(ctx context.Context, line string) error {
	if line == "" || strings.HasPrefix(line, "#") || line == "import asyncio" {
		return nil
	}
	if m := statementSleep.FindStringSubmatch(line); m != nil {
		seconds, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
		return pause(ctx, time.Duration(seconds*float64(time.Second)))
	}
	if m := statementCall.FindStringSubmatch(line); m != nil {
		answer, err := s.call(m[2], m[3])
		if m[1] != "" {
			s.names[m[1]] = answer
		}
		s.result = answer
		return err
	}
	if m := statementValue.FindStringSubmatch(line); m != nil {
		value, known := s.names[m[1]]
		if !known {
			return fmt.Errorf("name %q is not defined", m[1])
		}
		if m[2] != "" {
			object, _ := value.(map[string]any)
			value = object[m[2]]
		}
		s.result = value
		return nil
	}
	return fmt.Errorf("the stand-in's interpreter does not know this statement")
}

func (s *script) call(sink, written string) (any, error) {
	keywords := map[string]string{}
	for _, m := range keywordString.FindAllStringSubmatch(written, -1) {
		keywords[m[1]] = m[2]
	}
	params := map[string]any{}
	if m := keywordParams.FindStringSubmatch(written); m != nil {
		if err := json.Unmarshal([]byte(m[1]), &params); err != nil {
			return nil, fmt.Errorf("params: %w", err)
		}
	}
	operation := keywords["operation_name"]
	if sink == "make_request" {
		operation = keywords["method"] + " " + keywords["url"]
	}
	s.calls = append(
		s.calls,
		map[string]any{"service": keywords["service_name"], "operation": operation, "status": "success"},
	)
	switch keywords["service_name"] + ":" + operation {
	case "sts:GetCallerIdentity":
		return map[string]any{"Arn": s.caller}, nil
	case "s3:ListObjectsV2":
		return map[string]any{"Name": params["Bucket"], "Contents": []any{"report.csv", "notes.txt"}}, nil
	}
	return map[string]any{}, nil
}

// assumedRole turns a role's ARN with a session's name into the session's ARN.
func assumedRole(session string) string {
	prefix, rest, found := strings.Cut(session, ":role/")
	if !found {
		return session
	}
	return strings.Replace(prefix, ":iam:", ":sts:", 1) + ":assumed-role/" + rest
}
