package proxy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-io/countersign/e2e/standin"
)

// scriptUpstream makes the stand-in an upstream that takes scripts.
const scriptUpstream = `, scripts: [{tool: aws___run_script, argument: code}], scriptSessions: `

const readOnlyScripts = `@id("reads") permit(principal, action == MCP::Action::"aws___run_script", resource)
when { context has aws && context.aws.readOnly && !context.aws.secrets };
@id("tasks") permit(principal, action == MCP::Action::"aws___get_tasks", resource);`

const anyScripts = `permit(principal, action, resource);`

func scriptBed(t *testing.T, mode, policies string, more ...func(*bedOptions)) *bed {
	t.Helper()
	o := bedOptions{upstream: scriptUpstream + mode, mcp: standin.MCPOptions{Stateless: true, JSON: true}}
	if policies != "" {
		o.files = map[string]string{"p.cedar": policies}
	}
	for _, change := range more {
		change(&o)
	}
	return newBed(t, o)
}

// runScript calls aws___run_script and gives the answer's body.
func (b *bed) runScript(token, code string) answer {
	b.t.Helper()
	arguments, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.post(token, callTool(1, standin.ToolRunScript, string(arguments)))
}

// narrowedTo reports whether a session policy denies all but the actions.
func narrowedTo(policy string, actions ...string) bool {
	list, _ := json.Marshal(actions)
	return strings.Contains(policy, `"NotAction":`+strings.TrimSuffix(string(list), "]"))
}

func TestAScriptGetsASessionThatCanDoWhatItDoes(t *testing.T) {
	b := scriptBed(t, "auto", readOnlyScripts)
	alice := b.token("alice", nil)
	for range 2 {
		if got := b.runScript(alice, standin.ScriptInstances); !strings.Contains(got.body, "i-0a1b2c3d4e5f60001") {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	granted := b.sts.Granted()
	if len(granted) != 1 || !narrowedTo(granted[0].Policy, "ec2:DescribeInstances") {
		t.Fatalf("%d exchanges, the first with %s", len(granted), granted[0].Policy)
	}
	if !strings.Contains(granted[0].Policy, `"StringLikeIfExists":{"aws:CalledViaLast":"*-mcp.amazonaws.com"}`) ||
		strings.Contains(granted[0].Policy, "aws:ViaAWSService") {
		t.Error(granted[0].Policy)
	}
	if granted[0].Name != "alice" {
		t.Errorf("the session is named %s", granted[0].Name)
	}
	record := b.audit.last(t, 1)[0]
	aws, _ := record["aws"].(map[string]any)
	if aws["session"] != "script" || aws["accessKeyId"] != granted[0].AccessKeyID || aws["complete"] != true ||
		fmt.Sprint(aws["calls"]) != "[ec2:DescribeInstances]" || fmt.Sprint(aws["actions"]) != "[ec2:DescribeInstances]" {
		t.Errorf("audit %v", aws)
	}
	metrics := b.metrics()
	for _, want := range []string{
		`countersign_scripts_total{result="complete",upstream="aws"} 2`,
		`countersign_script_sessions_total{session="script",upstream="aws"} 2`,
		`countersign_script_exchanges_total{result="success"} 1`,
		`countersign_script_analysis_steps_count 2`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	if got := b.runScript(alice, standin.ScriptListObjects); !strings.Contains(got.body, "report.csv") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if granted = b.sts.Granted(); len(granted) != 2 || !narrowedTo(granted[1].Policy, "s3:ListBucket") {
		t.Errorf("another set of actions: %d exchanges", len(granted))
	}
}

func TestADeniedScriptIsToldWhy(t *testing.T) {
	for name, c := range map[string]struct {
		mode, code string
		complete   bool
		reason     string
		line       float64
		calls      string
		message    string
	}{
		"one that writes":                         {"auto", standin.ScriptStop, true, "policy", 0, "[ec2:StopInstances]", "access denied: this script is not allowed for this caller"},
		"one that hides":                          {"auto", "\n" + standin.ScriptStopHidden, false, "policy", 2, "[*]", "access denied: this script is not allowed for this caller; the name globals is not one of those that are read (line 2)"},
		"one with an operation that is not known": {"auto", `await call_boto3(service_name="s3", operation_name="Nonesuch")`, false, "policy", 1, "[*]", `access denied: this script is not allowed for this caller; the IAM actions of "s3:Nonesuch" are not known (line 1)`},
		"one that is no Python":                   {"auto", "def (", false, "policy", 1, "[*]", ""},
		"exact":                                   {"exact", standin.ScriptStopHidden, false, "policy", 1, "[*]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := scriptBed(t, c.mode, readOnlyScripts)
			got := b.runScript(b.token("alice", nil), c.code)
			var m struct {
				Error struct {
					Code    int
					Message string
					Data    struct {
						Reason string
						Script map[string]any
					}
				}
			}
			if err := json.Unmarshal([]byte(got.body), &m); err != nil || got.status != http.StatusOK || m.Error.Code != 40300 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			script := m.Error.Data.Script
			line, _ := script["line"].(float64)
			if m.Error.Data.Reason != c.reason || script["complete"] != c.complete || line != c.line || fmt.Sprint(script["calls"]) != c.calls {
				t.Errorf("%s", got.body)
			}
			if c.message != "" && m.Error.Message != c.message {
				t.Errorf("%s", m.Error.Message)
			}
			if !c.complete && script["reason"] == nil {
				t.Error("no reason")
			}
			if b.sts.Asked() != 0 {
				t.Error("STS was asked")
			}
			if record := b.audit.last(t, 1)[0]; record["decision"] != "deny" || record["aws"] == nil {
				t.Errorf("audit %v", record)
			}
		})
	}
}

func TestWhichSessionAScriptGets(t *testing.T) {
	const hidden = standin.ScriptStopHidden
	for name, c := range map[string]struct {
		mode, policies, code, spec string
		session, reason            string
	}{
		"auto, whoever may run anything uses the role":  {"auto", anyScripts, standin.ScriptInstances, "", "role", ""},
		"auto, what cannot be read uses it too":         {"auto", anyScripts, hidden, "", "role", ""},
		"auto without policies":                         {"auto", "", hidden, "", "role", ""},
		"auto, a narrower decision narrows the session": {"auto", readOnlyScripts, standin.ScriptInstances, "", "script", ""},
		"exact narrows always":                          {"exact", anyScripts, standin.ScriptInstances, "", "script", ""},
		"exact denies what cannot be read":              {"exact", anyScripts, hidden, "", "", "script"},
		"exact without policies narrows":                {"exact", "", standin.ScriptInstances, "", "script", ""},
		"exact without policies denies":                 {"exact", "", hidden, "", "", "script"},
		"role never":                                    {"role", readOnlyScripts, standin.ScriptInstances, "", "role", ""},
		"logOnly never":                                 {"exact", readOnlyScripts, standin.ScriptInstances, "\n  authorization: {mode: logOnly}", "role", ""},
		"logOnly, one that would be denied":             {"exact", readOnlyScripts, hidden, "\n  authorization: {mode: logOnly}", "role", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := scriptBed(t, c.mode, c.policies, func(o *bedOptions) { o.spec = c.spec })
			got := b.runScript(b.token("alice", nil), c.code)
			if c.reason != "" {
				if _, _, reason := got.rpcError(t); reason != c.reason || b.sts.Asked() != 0 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				return
			}
			if strings.Contains(got.body, `"error":{`) {
				t.Fatalf("%d %s", got.status, got.body)
			}
			policy := b.sts.Granted()[0].Policy
			if isNarrow := strings.Contains(policy, "NotAction"); isNarrow != (c.session == "script") {
				t.Errorf("the policy is %s", policy)
			}
			aws, _ := b.audit.last(t, 1)[0]["aws"].(map[string]any)
			if aws["session"] != c.session {
				t.Errorf("audit %v", aws)
			}
		})
	}
}

func TestAScriptThatLiesMeetsIAM(t *testing.T) {
	b := scriptBed(t, "auto", readOnlyScripts)
	if err := b.upstream.Plant("statistics", standin.PlantedStatistics); err != nil {
		t.Fatal(err)
	}
	got := b.runScript(b.token("alice", nil), standin.ScriptMean)
	if got.status != http.StatusOK || !strings.Contains(got.body, "explicit deny in a session policy") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if state := b.upstream.Account.Instances("eu-west-1")["i-0a1b2c3d4e5f60001"]; state != "running" {
		t.Errorf("the instance is %s", state)
	}
	aws, _ := b.audit.last(t, 1)[0]["aws"].(map[string]any)
	if fmt.Sprint(aws["unseen"]) != "[ec2:StopInstances]" || fmt.Sprint(aws["stopped"]) != "[ec2:StopInstances]" {
		t.Errorf("audit %v", aws)
	}
	metrics := b.metrics()
	for _, want := range []string{
		`countersign_script_unseen_calls_total{upstream="aws"} 1`, `countersign_script_stopped_calls_total{upstream="aws"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestServicesMayUseKMSForAScriptAndTheScriptMayNot(t *testing.T) {
	b := scriptBed(t, "exact", anyScripts)
	alice := b.token("alice", nil)
	if got := b.runScript(alice, `await call_boto3(service_name="s3", operation_name="GetObject", params={"Bucket": "sealed", "Key": "a"})`); !strings.Contains(got.body, `ContentLength`) {
		t.Errorf("%s", got.body)
	}
	if got := b.runScript(alice, `await call_boto3(service_name="athena", operation_name="StartQueryExecution", params={"QueryString": "SELECT 1"})`); strings.Contains(got.body, "Denied") {
		t.Errorf("%s", got.body)
	}
	if err := b.upstream.Plant("statistics", strings.ReplaceAll(standin.PlantedStatistics, `service_name="ec2", operation_name="StopInstances"`, `service_name="kms", operation_name="Decrypt"`)); err != nil {
		t.Fatal(err)
	}
	hidden := `await call_boto3(service_name="s3", operation_name="GetObject", params={"Bucket": "sealed", "Key": "a"})` + "\n" + standin.ScriptMean
	if got := b.runScript(alice, hidden); !strings.Contains(got.body, "kms:Decrypt with an explicit deny in a session policy") {
		t.Errorf("%s", got.body)
	}
}

func TestRegionsThatPoliciesReadHoldInTheSession(t *testing.T) {
	const policies = `permit(principal, action == MCP::Action::"aws___run_script", resource)
when { context has aws && context.aws.readOnly && ["eu-west-1", "default"].containsAll(context.aws.regions) };`
	b := scriptBed(t, "auto", policies)
	alice := b.token("alice", nil)
	if got := b.runScript(alice, standin.ScriptInstances+"\n"+standin.ScriptWhoAmI); !strings.Contains(got.body, "success") {
		t.Fatalf("%s", got.body)
	}
	if policy := b.sts.Granted()[0].Policy; !strings.Contains(policy, `{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}`) {
		t.Errorf("%s", policy)
	}
	if got := b.runScript(alice, strings.ReplaceAll(standin.ScriptInstances, "eu-west-1", "us-west-2")); !strings.Contains(got.body, "40300") {
		t.Errorf("%s", got.body)
	}
	if other := scriptBed(t, "auto", readOnlyScripts); strings.Contains(other.runScript(other.token("alice", nil), standin.ScriptInstances).body, "error") ||
		strings.Contains(other.sts.Granted()[0].Policy, "RequestedRegion") {
		t.Error("a Region is held that no policy reads")
	}
}

// manyCalls is a script of n operations of EC2.
func manyCalls(n int) string {
	operations := []string{
		"DescribeAccountAttributes", "DescribeAddresses", "DescribeAvailabilityZones", "DescribeBundleTasks", "DescribeByoipCidrs", "DescribeCapacityReservations",
		"DescribeCarrierGateways", "DescribeClassicLinkInstances", "DescribeCoipPools", "DescribeConversionTasks", "DescribeCustomerGateways", "DescribeDhcpOptions",
		"DescribeEgressOnlyInternetGateways", "DescribeElasticGpus", "DescribeExportImageTasks", "DescribeExportTasks", "DescribeFastSnapshotRestores", "DescribeFleets",
		"DescribeFlowLogs", "DescribeFpgaImages", "DescribeHosts", "DescribeIamInstanceProfileAssociations", "DescribeIdFormat", "DescribeImages",
		"DescribeImportImageTasks", "DescribeImportSnapshotTasks", "DescribeInstanceStatus", "DescribeInstanceTypes", "DescribeInstances", "DescribeInternetGateways",
		"DescribeIpamPools", "DescribeIpams", "DescribeIpv6Pools", "DescribeKeyPairs", "DescribeLaunchTemplates", "DescribeLocalGateways", "DescribeManagedPrefixLists",
		"DescribeMovingAddresses", "DescribeNatGateways", "DescribeNetworkAcls", "DescribeNetworkInterfaces", "DescribePlacementGroups", "DescribePrefixLists",
		"DescribePublicIpv4Pools", "DescribeRegions", "DescribeReservedInstances", "DescribeRouteTables", "DescribeSecurityGroups", "DescribeSnapshots",
		"DescribeSpotInstanceRequests", "DescribeSubnets", "DescribeTags", "DescribeTransitGateways", "DescribeVolumes", "DescribeVpcEndpoints", "DescribeVpcs", "DescribeVpcPeeringConnections", "DescribeVpnConnections", "DescribeVpnGateways",
		"DescribeTransitGatewayRouteTables", "DescribeTransitGatewayVpcAttachments", "DescribeTransitGatewayPeeringAttachments",
		"DescribeTrafficMirrorFilters", "DescribeTrafficMirrorSessions", "DescribeTrafficMirrorTargets", "DescribeVolumeStatus", "DescribeVolumesModifications",
	}
	var b strings.Builder
	for _, operation := range operations[:n] {
		fmt.Fprintf(&b, "await call_boto3(service_name=\"ec2\", operation_name=%q)\n", operation)
	}
	return b.String()
}

func TestASessionPolicyIsNeverShortened(t *testing.T) {
	b := scriptBed(t, "exact", anyScripts)
	alice := b.token("alice", nil)
	if got := b.runScript(alice, manyCalls(35)); !strings.Contains(got.body, "success") {
		t.Errorf("35 actions: %s", got.body)
	}
	got := b.runScript(alice, manyCalls(67))
	_, message, reason := got.rpcError(t)
	if reason != "scriptSize" || !strings.Contains(message, "the script needs 67 IAM actions, and a session policy has room for") {
		t.Errorf("%s", got.body)
	}
	if record := b.audit.last(t, 1)[0]; record["decision"] != "deny" || record["reason"] != "scriptSize" {
		t.Errorf("audit %v", record)
	}
	b.sts.MaxPacked = 1000
	other := b.token("bob", nil)
	if _, message, reason := b.runScript(other, manyCalls(35)).rpcError(t); reason != "scriptSize" || !strings.Contains(message, "STS packs the session policy") {
		t.Errorf("%s %s", reason, message)
	}
	if got := b.runScript(other, standin.ScriptInstances); !strings.Contains(got.body, "success") {
		t.Errorf("%s", got.body)
	}
	metrics := b.metrics()
	for _, want := range []string{
		`countersign_script_sessions_total{session="too_large",upstream="aws"} 1`,
		`countersign_script_sessions_total{session="packed_too_large",upstream="aws"} 1`,
		`countersign_script_exchanges_total{result="policy_too_large"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAScriptIsSentAlone(t *testing.T) {
	b := scriptBed(t, "auto", anyScripts)
	alice := b.token("alice", nil)
	script := callTool(1, standin.ToolRunScript, whoAmI)
	got := b.post(alice, "["+script+","+callTool(2, "echo", `{"text":"x"}`)+"]")
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "send it alone") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if b.sts.Asked() != 0 {
		t.Error("STS was asked")
	}
}

func TestTasksOfScriptsAreTheirCallersOwn(t *testing.T) {
	b := scriptBed(t, "auto", readOnlyScripts, func(o *bedOptions) { o.mcp.TaskAfter = 20 * time.Millisecond })
	alice, bob := b.token("alice", nil), b.token("bob", nil)
	got := b.runScript(alice, "await asyncio.sleep(0.2)\n"+standin.ScriptWhoAmI)
	_, id, found := strings.Cut(got.body, `task_id\":\"`)
	if !found {
		t.Fatalf("no task: %s", got.body)
	}
	id, _, _ = strings.Cut(id, `\"`)
	ask := func(token, ids string) string {
		return b.post(token, callTool(2, standin.ToolTasks, `{"task_ids":`+ids+`}`)).body
	}
	if answer := ask(alice, `["`+id+`"]`); !strings.Contains(answer, `status\":`) {
		t.Errorf("alice: %s", answer)
	}
	for name, answer := range map[string]string{
		"another caller": ask(bob, `["`+id+`"]`), "one of several": ask(alice, `["`+id+`","task-x"]`), "none": ask(alice, `[]`),
		"a string": ask(bob, `"`+id+`"`), "no id": ask(alice, `[1]`),
	} {
		if !strings.Contains(answer, "the task is not known") {
			t.Errorf("%s: %s", name, answer)
		}
	}
}

func TestScriptToolsAreListedWhereSomeScriptIsAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		policies string
		want     bool
	}{
		"reads":                   {readOnlyScripts, true},
		"complete ones":           {`permit(principal, action == MCP::Action::"aws___run_script", resource) when { context has aws && context.aws.complete && context.aws.services == ["s3"] };`, true},
		"but not writes":          {anyScripts + ` forbid(principal, action == MCP::Action::"aws___run_script", resource) when { context has aws && !context.aws.readOnly };`, true},
		"scripts of no such tool": {`permit(principal, action == MCP::Action::"aws___list_regions", resource) when { context has aws };`, false},
		"another group's":         {`permit(principal in MCP::Group::"x", action == MCP::Action::"aws___run_script", resource);`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := scriptBed(t, "auto", c.policies)
			names := toolNames(t, b.client(b.token("alice", nil), nil))
			if slices.Contains(names, standin.ToolRunScript) != c.want || slices.Contains(names, standin.ToolRegions) && name == "scripts of no such tool" {
				t.Errorf("%v", names)
			}
		})
	}
}

func TestATokenHasFewScriptSessions(t *testing.T) {
	b := scriptBed(t, "exact", anyScripts)
	alice := b.token("alice", nil)
	run := func(n int) {
		t.Helper()
		if got := b.runScript(alice, manyCalls(n)); !strings.Contains(got.body, "success") {
			t.Fatalf("%s", got.body)
		}
	}
	for n := 1; n <= 8; n++ {
		run(n)
	}
	run(1)
	if asked := b.sts.Asked(); asked != 8 {
		t.Errorf("%d exchanges for 8 sets", asked)
	}
	run(9) // the set of 2 was used longest ago
	run(1)
	if asked := b.sts.Asked(); asked != 9 {
		t.Errorf("%d exchanges for 9 sets", asked)
	}
	run(2)
	if asked := b.sts.Asked(); asked != 10 {
		t.Errorf("%d exchanges: the set that was used longest ago was kept", asked)
	}
}

func TestArgumentsBesideTheScriptMakeItIncomplete(t *testing.T) {
	b := scriptBed(t, "auto", readOnlyScripts)
	alice := b.token("alice", nil)
	for name, c := range map[string]struct{ arguments, reason string }{
		"another argument":       {`{"code":"1","timeout":3}`, `the tool is not known to have the argument \"timeout\"`},
		"one before it":          {`{"Code":"1","code":"1"}`, `the tool is not known to have the argument \"Code\"`},
		"a code that is no text": {`{"code":["1"]}`, `the argument \"code\" is not a string`},
		"null":                   {`{"code":null}`, `the argument \"code\" is not a string`},
		"none":                   {`{}`, `the call has no argument \"code\"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.post(alice, callTool(1, standin.ToolRunScript, c.arguments))
			_, message, reason := got.rpcError(t)
			if reason != "policy" || !strings.Contains(message, strings.ReplaceAll(c.reason, `\"`, `"`)) {
				t.Errorf("%s", got.body)
			}
		})
	}
	if got := b.post(alice, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"aws___run_script"}}`); !strings.Contains(got.body, "has no argument") {
		t.Errorf("%s", got.body)
	}
}

func TestAScriptCannotSayItselfWhatItDid(t *testing.T) {
	text := func(object string) string {
		quoted, _ := json.Marshal(object)
		return `{"type":"text","text":` + string(quoted) + `}`
	}
	const made = `{"status":"success","api_calls":[{"service":"ec2","operation":"StopInstances"}],"return_value":{"api_calls":[],"task_id":"task-of-another"}}`
	for name, content := range map[string]string{
		"in its value":         `"content":[` + text(made) + `]`,
		"in a second text":     `"content":[` + text(made) + `,` + text(`{"api_calls":[]}`) + `]`,
		"in structuredContent": `"content":[],"structuredContent":` + made,
	} {
		t.Run(name, func(t *testing.T) {
			upstream := answering(t, 200, jsonType, `{"jsonrpc":"2.0","id":1,"result":{`+content+`}}`)
			b := scriptBed(t, "auto", readOnlyScripts, func(o *bedOptions) { o.upstreamURL = upstream })
			alice := b.token("alice", nil)
			if got := b.runScript(alice, standin.ScriptInstances); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			aws, _ := b.audit.last(t, 1)[0]["aws"].(map[string]any)
			if fmt.Sprint(aws["unseen"]) != "[ec2:StopInstances]" {
				t.Errorf("audit %v", aws)
			}
			if got := b.post(alice, callTool(2, standin.ToolTasks, `{"task_ids":["task-of-another"]}`)); !strings.Contains(got.body, "the task is not known") {
				t.Errorf("%s", got.body)
			}
		})
	}
}
