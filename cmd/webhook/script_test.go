package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const reading = `page = await call_boto3(service_name="s3", operation_name="ListObjectsV2", region_name="eu-west-1")
await call_boto3(service_name="secretsmanager", operation_name="get_secret_value")
`

func TestScriptTellsWhatAScriptCanDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.py")
	if err := os.WriteFile(path, []byte(reading), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := webhook("", "script", path)
	if err != nil || stderr != "" {
		t.Fatalf("%v: %s", err, stderr)
	}
	for _, want := range []string{
		"Script    complete: it can make these calls and no others", "Calls     s3:ListObjectsV2", "          secretsmanager:GetSecretValue", "Actions   s3:ListBucket",
		"Regions   default, eu-west-1", "Levels    List, Read (read-only)", "Secrets   an answer may hold", "Sent with a session of its own", `"NotAction":["s3:ListBucket","secretsmanager:GetSecretValue"`,
		`{"aws:ViaAWSMCPService":"false"}`,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if fromStdin, _, err := webhook(reading, "script", "-"); err != nil || fromStdin != stdout {
		t.Errorf("%v: from standard input\n%s", err, fromStdin)
	}
}

func TestScriptTellsWhatCannotBeRead(t *testing.T) {
	stdout, _, err := webhook("x = 1\ngo = getattr(x, 'y')\n", "script", "-")
	if err != nil || !strings.Contains(stdout, "NOT READABLE, line 2: the name getattr is not one of those that are read") {
		t.Errorf("%v\n%s", err, stdout)
	}
	if strings.Contains(stdout, "NotAction") {
		t.Errorf("there is a session policy\n%s", stdout)
	}
}

func TestScriptWritesJSON(t *testing.T) {
	for script, want := range map[string]bool{reading: true, "(": false} {
		stdout, _, err := webhook(script, "script", "-", "-o", "json")
		var report struct {
			Complete               bool
			Reason                 string
			Line                   int
			Calls, Actions, Levels []string
			SessionPolicy          json.RawMessage
		}
		if err != nil || json.Unmarshal([]byte(stdout), &report) != nil || report.Complete != want || want != (report.Reason == "") || want != (len(report.SessionPolicy) > 0) || len(report.Calls) == 0 {
			t.Errorf("%v\n%s", err, stdout)
		}
	}
}

func TestScriptNeedsAFile(t *testing.T) {
	_, _, err := webhook("", "script", "/nonexistent.py")
	wantError(t, err, "no such file")
	_, _, err = webhook("", "script")
	wantError(t, err, "accepts 1 arg(s)")
	_, _, err = webhook("1", "script", "-", "-o", "yaml")
	wantError(t, err, `"yaml" is not one of text, json`)
}
