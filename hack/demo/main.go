// Command demo starts stand-ins for an identity provider, AWS STS and an MCP
// server on AWS, puts the real sidecar binary before them, lets an unchanged
// MCP client act for three people and tells what happens. It fails when
// something is not as told.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/countersign-io/countersign/e2e/standin"
)

const (
	audience = "countersign"
	// awsAudience is what AWS trusts, and only the sidecar's client gets.
	awsAudience   = "sts.amazonaws.com"
	sidecarClient = "countersign-sidecar"
	sessions      = "arn:aws:sts::123456789012:assumed-role/"
)

// What the story comes to.
const (
	wantPeople    = 3
	wantExchanges = 7
	wantDenials   = 5
)

const authConfig = `apiVersion: countersign.io/v1alpha1
kind: AuthConfig
spec:
  upstreams:
  - name: aws
    url: %s
    region: us-east-1
    service: aws-mcp
    scripts: [{tool: aws___run_script, argument: code}]
  identity:
    source: bearer
    oidc:
      issuer: %q
      audience: countersign
      exchange: {client: {id: countersign-sidecar}}
  awsSts:
    region: us-east-1
    fallbackRoleArn: arn:aws:iam::123456789012:role/DefaultMCPRole
    roleMappings:
    - claim: s3-readers
      roleArn: arn:aws:iam::123456789012:role/S3ReadOnlyMCPRole
      priority: 10
    - matcher: '"admins" in claims["groups"] && claims["org"] == "engineering"'
      roleArn: arn:aws:iam::123456789012:role/AdminMCPRole
      priority: 1
`

const policies = `@id("everybody-searches")
permit (principal, action == MCP::Action::"aws___search_documentation", resource);

@id("scripts-that-read")
permit (principal, action == MCP::Action::"aws___run_script", resource)
when { context has aws && context.aws.readOnly && !context.aws.secrets };

@id("readers-ask-about-products")
permit (principal in MCP::Group::"s3-readers", action == MCP::Action::"aws___get_regional_availability", resource)
when { context.input has resource_type && context.input.resource_type == "product" };

@id("admins-use-every-tool")
permit (principal in MCP::Group::"admins", action in MCP::Action::"CallTool", resource);
`

func main() {
	sidecar := flag.String("sidecar", "bin/sidecar", "the sidecar binary")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := tell(ctx, *sidecar); err != nil {
		fmt.Fprintln(os.Stderr, "\nNOT AS TOLD:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

// story holds the cast.
type story struct {
	issuer  *standin.Issuer
	sts     *standin.STS
	aws     *standin.MCPServer
	sidecar *standin.Process
}

func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
func head(text string)               { fmt.Println("\n" + text) }

func tell(ctx context.Context, binary string) error {
	s := &story{issuer: standin.NewIssuer()}
	defer s.issuer.Close()
	s.sts = standin.NewSTS(s.issuer.URL, awsAudience)
	defer s.sts.Close()
	s.sts.SetProvider(s.issuer.URL, awsAudience, sidecarClient)
	s.aws = standin.NewMCPServer(standin.MCPOptions{STS: s.sts, AWSOnly: true})
	defer s.aws.Close()
	dir, err := os.MkdirTemp("", "countersign-demo-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	credential, err := s.makeClient(dir)
	if err != nil {
		return err
	}
	s.sidecar, err = standin.StartSidecarWithFlags(ctx, binary, dir, map[string]string{
		"auth-config.yaml": fmt.Sprintf(authConfig, s.aws.URL, s.issuer.URL), "tools.cedar": policies,
	}, []string{"--exchange-credential", credential}, "AWS_ENDPOINT_URL_STS="+s.sts.URL)
	if err != nil {
		return err
	}
	head("The cast")
	say("an OIDC issuer, AWS STS and an MCP server that checks SigV4 (stand-ins on loopback)")
	say("the sidecar, between the agent and AWS: %s", s.sidecar.URL)
	err = s.acts(ctx)
	head("The end")
	if stopErr := s.sidecar.Stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("the sidecar did not stop with exit code 0: %w", stopErr))
	} else {
		say("SIGTERM: the sidecar stops with exit code 0")
	}
	return err
}

func (s *story) acts(ctx context.Context) error {
	if err := s.withoutToken(ctx); err != nil {
		return err
	}
	people := []person{
		{
			name:   "alice",
			claims: map[string]any{"groups": []string{"s3-readers"}},
			why:    "claim s3-readers",
			role:   "S3ReadOnlyMCPRole",
			tools:  []string{standin.ToolAvailability, standin.ToolRunScript, standin.ToolSearchDocs},
		},
		{
			name:   "bob",
			claims: map[string]any{"groups": []string{"admins"}, "org": "engineering"},
			why:    "the CEL matcher",
			role:   "AdminMCPRole",
			tools:  slices.Sorted(slices.Values(standin.AWSTools)),
		},
		{name: "auth0|carol", claims: map[string]any{}, why: "fallback", role: "DefaultMCPRole",
			tools: []string{standin.ToolRunScript, standin.ToolSearchDocs}},
	}
	head("Three people, three roles: the agent carries their tokens and no AWS credential")
	var sessions []*mcp.ClientSession
	for i := range people {
		s.sign(&people[i])
		session, err := s.connect(ctx, &people[i])
		if err != nil {
			return err
		}
		defer func() { _ = session.Close() }()
		sessions = append(sessions, session)
	}
	if err := s.hostile(ctx, &people[0]); err != nil {
		return err
	}
	if err := s.calls(ctx, sessions[0], sessions[1]); err != nil {
		return err
	}
	if err := s.scripts(ctx, sessions[0], sessions[1]); err != nil {
		return err
	}
	if err := s.streams(ctx, people[0]); err != nil {
		return err
	}
	return s.counts()
}

type person struct {
	name   string
	claims map[string]any
	// token is made once, as an identity provider would give it for an hour.
	token string
	why   string
	role  string
	tools []string
}

func (s *story) sign(p *person) {
	claims := map[string]any{"sub": p.name, "aud": audience}
	for name, value := range p.claims {
		claims[name] = value
	}
	p.token = s.issuer.Token(claims)
}

func (s *story) withoutToken(ctx context.Context) error {
	head("Without a token")
	r, err := http.NewRequestWithContext(
		ctx,
		http.MethodPost,
		s.sidecar.URL+"/mcp",
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
	)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	challenge := answer.Header.Get("WWW-Authenticate")
	if answer.StatusCode != http.StatusUnauthorized || !strings.Contains(challenge, "resource_metadata=") {
		return fmt.Errorf("a request without a token got %d", answer.StatusCode)
	}
	say("401, WWW-Authenticate: %s", challenge)
	metadata, err := http.Get(s.sidecar.URL + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	defer func() { _ = metadata.Body.Close() }()
	document, err := io.ReadAll(metadata.Body)
	if err != nil || !strings.Contains(string(document), s.issuer.URL) {
		return fmt.Errorf("the metadata does not name the issuer: %s", document)
	}
	say("and there: %s", document)
	return nil
}

func (s *story) client(ctx context.Context, token string, options *mcp.ClientOptions) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, options)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: s.sidecar.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)},
		DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return session, nil
}

type bearer string

// RoundTrip adds the token, as an agent does for the person it acts for.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (s *story) connect(ctx context.Context, p *person) (*mcp.ClientSession, error) {
	session, err := s.client(ctx, p.token, nil)
	if err != nil {
		return nil, err
	}
	who, err := runScript(ctx, session, standin.ScriptWhoAmI)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(who, sessions+p.role+"/") {
		return nil, fmt.Errorf("%s got %q", p.name, who)
	}
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list tools: %w", err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, p.tools) {
		return nil, fmt.Errorf("%s sees %v", p.name, names)
	}
	say("%-12s by %-16s -> AWS saw %s", p.name, p.why, strings.TrimPrefix(who, sessions))
	say("%-12s sees %s", "", strings.Join(names, ", "))
	return session, nil
}

func call(ctx context.Context, session *mcp.ClientSession, tool string, arguments any) (string, error) {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", fmt.Errorf("%s: %w", tool, err)
	}
	content, ok := result.Content[0].(*mcp.TextContent)
	if !ok {
		return "", fmt.Errorf("%s: no text", tool)
	}
	return content.Text, nil
}

// runScript runs Python on AWS's server and gives what its last line is.
func runScript(ctx context.Context, session *mcp.ClientSession, code string) (string, error) {
	said, err := call(ctx, session, standin.ToolRunScript, map[string]any{"code": code})
	if err != nil {
		return "", err
	}
	var answer struct {
		Status string `json:"status"`
		Value  any    `json:"return_value"`
	}
	if err := json.Unmarshal([]byte(said), &answer); err != nil || answer.Status != "success" {
		return "", fmt.Errorf("the script did not run: %s", said)
	}
	return fmt.Sprint(answer.Value), nil
}

func (s *story) calls(ctx context.Context, alice, bob *mcp.ClientSession) error {
	head("Cedar decides on each call")
	ask := func(kind string) error {
		_, err := call(ctx, alice, standin.ToolAvailability, map[string]any{"resource_type": kind})
		return err
	}
	got, err := runScript(ctx, alice, standin.ScriptListObjects)
	if err != nil {
		return err
	}
	say("alice  %-31s ListObjectsV2          allowed: %s", standin.ToolRunScript, got)
	if err := ask("product"); err != nil {
		return err
	}
	say("alice  %-31s resource_type=product  allowed", standin.ToolAvailability)
	files := map[string]any{
		"requests": []any{map[string]any{"operation": "upload", "bucket": "reports", "key": "a.csv"}},
	}
	if _, err = call(ctx, alice, standin.ToolPresignedURL, files); err == nil {
		return errors.New("alice got a URL for an upload")
	}
	say("alice  %-31s                        denied by tool:     %s", standin.ToolPresignedURL, lastPart(err))
	if err = ask("api"); err == nil {
		return errors.New("alice asked about APIs")
	}
	say("alice  %-31s resource_type=api      denied by argument: %s", standin.ToolAvailability, lastPart(err))
	if _, err = call(ctx, bob, standin.ToolPresignedURL, files); err != nil {
		return err
	}
	say("bob    %-31s                        allowed", standin.ToolPresignedURL)
	return nil
}

func lastPart(err error) string {
	text := err.Error()
	if i := strings.Index(text, "access denied"); i >= 0 {
		return text[i:]
	}
	return text
}

// instance runs in eu-west-1.
const instance = "i-0a1b2c3d4e5f60001"

// scripts tells what becomes of the one tool that can do everything.
func (s *story) scripts(ctx context.Context, alice, bob *mcp.ClientSession) error {
	head("One tool for all of AWS: the script is read, and its session can do what was read and nothing else")
	running := func(want string) error {
		if state := s.aws.Account.Instances("eu-west-1")[instance]; state != want {
			return fmt.Errorf("%s is %s, want %s", instance, state, want)
		}
		return nil
	}
	said, err := runScript(ctx, alice, standin.ScriptInstances)
	if err != nil {
		return err
	}
	if !strings.Contains(said, instance) {
		return fmt.Errorf("alice was told %s", said)
	}
	granted := s.sts.Granted()
	policy := granted[len(granted)-1].Policy
	if !strings.Contains(policy, `"NotAction":["ec2:DescribeInstances"`) {
		return fmt.Errorf("the session of alice's script has the policy %s", policy)
	}
	say("alice  asks what runs in eu-west-1      allowed: %s", instance)
	say("       STS was asked for               %s", policy)
	for _, try := range []struct{ what, code string }{
		{"tries to stop it", standin.ScriptStop},
		{"hides the call", standin.ScriptStopHidden},
	} {
		if _, err = runScript(ctx, alice, try.code); err == nil {
			return fmt.Errorf("alice %s, and it ran", try.what)
		}
		say("alice  %-32s denied: %s", try.what, lastPart(err))
	}
	if err := s.aws.Plant("statistics", standin.PlantedStatistics); err != nil {
		return err
	}
	said, err = call(ctx, alice, standin.ToolRunScript, map[string]any{"code": standin.ScriptMean})
	if err != nil {
		return err
	}
	if !strings.Contains(said, "explicit deny in a session policy") {
		return fmt.Errorf("a script that lies was not stopped: %s", said)
	}
	say("alice  runs what reads as harmless; a module that lies in AWS's sandbox stops the instance in its place:")
	say("       IAM says: %s", said)
	if err := running("running"); err != nil {
		return err
	}
	if _, err := runScript(ctx, bob, standin.ScriptStop); err != nil {
		return err
	}
	say("bob    stops it                         allowed: he may use every tool")
	return running("stopped")
}

func (s *story) streams(ctx context.Context, p person) error {
	head("A stream arrives piece by piece")
	begun := time.Now()
	pieces := make(chan time.Duration, 16)
	session, err := s.client(ctx, p.token, &mcp.ClientOptions{
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
			pieces <- time.Since(begun)
		},
	})
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	const count = 4
	code := "import asyncio" + strings.Repeat("\nawait asyncio.sleep(0.15)", count-1)
	params := &mcp.CallToolParams{Name: standin.ToolRunScript, Arguments: map[string]any{"code": code}}
	params.SetProgressToken("demo")
	begun = time.Now()
	if _, err := session.CallTool(ctx, params); err != nil {
		return fmt.Errorf("the script: %w", err)
	}
	var first, last time.Duration
	for i := range count {
		select {
		case last = <-pieces:
		case <-time.After(5 * time.Second):
			return fmt.Errorf("only %d pieces came", i)
		}
		if i == 0 {
			first = last
		}
		say("progress %d of %d after %4d ms", i+1, count, last.Milliseconds())
	}
	say("result          after %4d ms", time.Since(begun).Milliseconds())
	if last-first < 300*time.Millisecond {
		return errors.New("the pieces came together")
	}
	return nil
}

func (s *story) counts() error {
	head("Exchanges and requests")
	exchanges, requests := len(s.sts.Granted()), s.aws.Verified.Load()
	say("%d requests with a good signature reached AWS, %d with a bad one", requests, s.aws.Refused.Load())
	say(
		"%d exchanges with STS: one for bob, whose scripts run in his role; of alice and carol one for each set of",
		exchanges,
	)
	say(
		"actions that their scripts do, and one of alice's role for other tools; %d at the identity provider, one a person",
		len(s.issuer.Exchanges()),
	)
	if exchanges != wantExchanges || len(s.issuer.Exchanges()) != wantPeople || requests < 10 ||
		s.aws.Refused.Load() != 0 {
		return errors.New("the figures are not as told")
	}
	head("What the audit says of it (standard output of the sidecar, one line per decision)")
	allowed, denied := 0, 0
	for line := range strings.Lines(s.sidecar.Audit()) {
		var record struct {
			Decision, Reason, Caller, Role, Method, Tool string
			Policies                                     []string
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			return fmt.Errorf("an audit line is no JSON: %w", err)
		}
		switch record.Decision {
		case "allow":
			allowed++
		case "deny":
			denied++
		}
		if record.Method == "tools/call" && record.Tool != standin.ToolRunScript || record.Reason == "token" {
			fmt.Print("  " + line)
		}
	}
	say("in all %d allowed, %d denied", allowed, denied)
	if denied != wantDenials {
		return fmt.Errorf(
			"%d denials in the audit, want %d: no token, by tool, by argument, two scripts",
			denied,
			wantDenials,
		)
	}
	return nil
}
