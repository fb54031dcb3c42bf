package awsscript_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign-io/countersign/pkg/awscode"
	"github.com/countersign-io/countersign/pkg/awsscript"
)

func call(service, operation, more string) string {
	return fmt.Sprintf("await call_boto3(service_name=%q, operation_name=%q%s)\n", service, operation, more)
}

func words(list []string) string { return strings.Join(list, " ") }

func TestWhatAScriptDoes(t *testing.T) {
	for name, c := range map[string]struct {
		script                                    string
		calls, actions, services, regions, levels string
		readOnly, secrets                         bool
	}{
		"nothing":               {"1", "", "", "", "", "", true, false},
		"a read":                {call("s3", "ListObjectsV2", ""), "s3:ListObjectsV2", "s3:ListBucket", "s3", "default", "List", true, false},
		"one in snake_case":     {call("s3", "list_objects_v2", ""), "s3:ListObjectsV2", "s3:ListBucket", "s3", "default", "List", true, false},
		"the same twice":        {call("s3", "ListObjectsV2", "") + call("s3", "list_objects_v2", `, region_name="eu-west-1"`), "s3:ListObjectsV2", "s3:ListBucket", "s3", "default eu-west-1", "List", true, false},
		"a secret":              {call("ssm", "GetParameter", ""), "ssm:GetParameter", "ssm:GetParameter", "ssm", "default", "Read", true, true},
		"a write":               {call("kms", "ReEncrypt", ""), "kms:ReEncrypt", "kms:ReEncryptFrom kms:ReEncryptTo", "kms", "default", "Write", false, false},
		"permissions":           {call("s3", "PutBucketPolicy", ""), "s3:PutBucketPolicy", "s3:PutBucketPolicy", "s3", "default", "Write PermissionsManagement", false, false},
		"an object":             {call("s3", "GetObject", `, params={"Bucket": "b", "Key": "k"}`), "s3:GetObject", "s3:GetObject", "s3", "default", "Read", true, false},
		"its version":           {call("s3", "GetObject", `, params={"Bucket": "b", "Key": "k", "VersionId": "v"}`), "s3:GetObject", "s3:GetObject s3:GetObjectVersion", "s3", "default", "Read", true, false},
		"any parameters":        {"p = {}\np[\"Key\"] = \"k\"\n" + call("s3", "GetObject", `, params=p`), "s3:GetObject", "s3:GetObject s3:GetObjectVersion", "s3", "default", "Read", true, false},
		"a request":             {`await make_request(method="post", url="https://x/_search", service_name="es", region_name="eu-west-1")`, "es:POST", "es:ESHttpPost", "es", "eu-west-1", "Write", false, false},
		"a Region that is none": {call("s3", "ListBuckets", `, region_name="${aws:RequestedRegion}"`), "s3:ListBuckets", "s3:ListAllMyBuckets", "s3", "*", "List", true, false},
		"one with a wildcard":   {call("s3", "ListBuckets", `, region_name="us-*"`), "s3:ListBuckets", "s3:ListAllMyBuckets", "s3", "*", "List", true, false},
		"an unknown Region":     {call("s3", "ListBuckets", ", region_name=str(1)"), "s3:ListBuckets", "s3:ListAllMyBuckets", "s3", "*", "List", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := awsscript.Of(c.script)
			if !e.Complete || e.Reason != "" || e.Line != 0 {
				t.Fatalf("incomplete: line %d: %s", e.Line, e.Reason)
			}
			got := [...]string{words(e.Calls), words(e.Actions), words(e.Services), words(e.Regions), words(e.Levels)}
			if want := [...]string{c.calls, c.actions, c.services, c.regions, c.levels}; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if e.ReadOnly != c.readOnly || e.Secrets != c.secrets {
				t.Errorf("readOnly %v, secrets %v", e.ReadOnly, e.Secrets)
			}
		})
	}
}

func TestAnIncompleteScriptMayDoAnything(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		cause  awscode.Cause
		line   int
		calls  string
	}{
		"a capability":         {call("s3", "ListBuckets", "") + "eval('1')", awscode.CauseCapability, 2, "* s3:ListBuckets"},
		"a value":              {call("s3", "ListBuckets", "") + "await call_boto3(service_name='s3', operation_name=print())", awscode.CauseValue, 2, "* s3:ListBuckets"},
		"syntax":               {"(", awscode.CauseSyntax, 1, "*"},
		"a NUL":                {"\x00", awscode.CauseText, 1, "*"},
		"an operation":         {call("s3", "ListBuckets", "") + call("s3", "Nonesuch", ""), awsscript.CauseOperation, 2, "* s3:ListBuckets"},
		"a service":            {call("nonesuch", "List", ""), awsscript.CauseOperation, 1, "*"},
		"a request elsewhere":  {`await make_request(method="GET", url="https://x", service_name="s3")`, awsscript.CauseOperation, 1, "*"},
		"the first of several": {call("s3", "Nonesuch", "") + "eval('1')", awsscript.CauseOperation, 1, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			e := awsscript.Of(c.script)
			if e.Complete || e.Cause != c.cause || e.Line != c.line || e.Reason == "" {
				t.Errorf("%+v", e)
			}
			if e.ReadOnly || !e.Secrets || words(e.Levels) != "List Read Write Tagging PermissionsManagement" || words(e.Calls) != c.calls {
				t.Errorf("%+v", e)
			}
			for _, set := range [][]string{e.Calls, e.Actions, e.Services, e.Regions} {
				if set[0] != "*" {
					t.Errorf("%q lacks *", set)
				}
			}
		})
	}
	complete := awsscript.Of(call("s3", "ListBuckets", ""))
	if e := complete.AsIncomplete(); e.Complete || words(e.Calls) != "* s3:ListBuckets" || !complete.Complete || words(complete.Calls) != "s3:ListBuckets" {
		t.Errorf("%+v of %+v", e, complete)
	}
}

func TestAScriptHasABoundOfCalls(t *testing.T) {
	var b strings.Builder
	for _, service := range []string{"ec2", "iam", "rds"} {
		for n := range 400 {
			b.WriteString(call(service, fmt.Sprintf("Nonesuch%d", n), ""))
		}
	}
	if e := awsscript.Of(b.String()); e.Complete || e.Line != 1 {
		t.Errorf("%+v", e)
	}
}

func TestRequestedRegions(t *testing.T) {
	for name, c := range map[string]struct {
		script, want string
		known        bool
	}{
		"constant":         {call("ec2", "DescribeVpcs", `, region_name="eu-west-1"`), "eu-west-1", true},
		"the default":      {call("ec2", "DescribeVpcs", ""), "eu-central-1", true},
		"a global service": {call("iam", "ListRoles", `, region_name="eu-west-1"`), "eu-west-1 us-east-1", true},
		"an unknown one":   {call("ec2", "DescribeVpcs", `, region_name=str(1)`), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := awsscript.Of(c.script).RequestedRegions("eu-central-1")
			if words(got) != c.want || known != c.known {
				t.Errorf("%q, %v", got, known)
			}
		})
	}
}

func TestArgumentsThatAreNoScript(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for arguments, want := range map[string]string{
		``: `the call has no argument "code"`, `null`: `the call has no argument "code"`, `[]`: `the call has no argument "code"`,
		`{}`: `the call has no argument "code"`, `{"code":1}`: `the argument "code" is not a string`,
		`{"code":"1","x":{}}`:  `the tool is not known to have the argument "x"`,
		`{"x":{},"code":"1"}`:  `the tool is not known to have the argument "x"`,
		`{"` + long + `":"1"}`: `the tool is not known to have the argument "` + long[:64] + `..."`,
	} {
		if e := awsscript.OfArguments(jsontext.Value(arguments), "code"); e.Complete || e.Reason != want || e.Cause != awsscript.CauseArguments {
			t.Errorf("%.40s: %s", arguments, e.Reason)
		}
	}
	if e := awsscript.OfArguments(jsontext.Value(`{"code":"1"}`), "code"); !e.Complete {
		t.Errorf("%+v", e)
	}
}
